"""Renders rows of verdicts as one HTML page without external resources. Everything shown is escaped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from judge.constitution import Expression, names, parse
from judge.errors import ConstitutionError
from judge.guarantee import guarantee_in_words
from judge.report import debates
from judge.report.chart import WIDTH_PX, Chart, chart
from judge.report.html import page_environment
from judge.report.moments import clock, no_segments, span
from judge.report.policy_tree import Node, expression_tree
from judge.report.strip import StripFrame, VideoStrip
from judge.types import Evidence, RuleDecision, ScoreRow, Verdict


@dataclass(frozen=True, slots=True)
class Card:
    """One row, and what there is to see of it.

    Attributes:
        thumbnail: A data URL; empty if nothing could be decoded.
        strip: Frames of a video.
        live: The page has the media itself: it puts pictures in, and jumps to moments of a video.
    """

    row: ScoreRow
    thumbnail: str = ""
    strip: VideoStrip | None = None
    live: bool = False

    @property
    def is_video(self) -> bool:
        """Whether there is anything to show along time."""
        verdict = self.row.verdict
        if verdict is None:
            return False
        return bool(self.strip or verdict.timelines or verdict.segments or verdict.duration_ms is not None)

    @property
    def is_wide(self) -> bool:
        """Whether it needs the whole width of the page: time, or talk."""
        rules = self.row.verdict.rules if self.row.verdict else ()
        return self.is_video or any(item.debates for rule in rules for item in rule.evidence)

    @property
    def length(self) -> str:
        """Of a video; empty if it is not known."""
        if self.row.verdict is not None and self.row.verdict.duration_ms is not None:
            return clock(self.row.verdict.duration_ms)
        return clock(self.strip.duration_s * 1000) if self.strip else ""

    def picture(self, frame_index: int) -> str:
        """A data URL of this frame; empty if it is not among those that are kept."""
        if self.strip is None:
            return "" if self.is_video else self.thumbnail
        return next((frame.picture for frame in self.strip.frames if frame.index == frame_index), "")

    def marks(self, frame: StripFrame) -> tuple[str, ...]:
        """Ids of the rules that are violated at that moment."""
        segments = self.row.verdict.segments if self.row.verdict else ()
        return tuple(dict.fromkeys(s.rule_id for s in segments if s.start_ms <= frame.time_ms <= s.end_ms))

    def tree(self, rule: RuleDecision) -> Node | None:
        """The rule's expression; None where it cannot be read."""
        expression = _expression(rule)
        return expression_tree(expression) if expression else None

    def beside(self, rule: RuleDecision) -> tuple[Evidence, ...]:
        """Evidence about no precondition of the expression, e.g. about the whole rule."""
        expression = _expression(rule)
        asked = names(expression) if expression else ()
        return tuple(item for item in rule.evidence if item.precondition_id not in asked)

    def chart(self) -> Chart | None:
        """The drawing of a video's timelines; None if there is nothing to draw."""
        verdict = self.row.verdict
        return chart(verdict) if verdict and (verdict.timelines or verdict.segments) else None


def render_page(cards: Sequence[Card]) -> str:
    """The whole page."""
    counts = Counter("error" if card.row.error else card.row.decision for card in cards)
    verdicts: list[Verdict] = [card.row.verdict for card in cards if card.row.verdict]
    return (
        page_environment()
        .get_template("page.html.jinja")
        .render(
            cards=cards,
            counts=[(name, counts.get(name, 0)) for name in ("unsafe", "uncertain", "safe", "error")],
            verdicts=verdicts,
            debates=debates,
            clock=clock,
            promise=guarantee_in_words,
            span=span,
            no_segments=no_segments,
            width=WIDTH_PX,
        )
    )


def _expression(rule: RuleDecision) -> Expression | None:
    try:
        return parse(rule.expression)
    except ConstitutionError:
        return None
