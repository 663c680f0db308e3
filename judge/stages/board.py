"""What is known about a piece of media while stage after stage asks about it, and what is still worth asking.

Not here: how a stage asks (`judge.stages.*`), how answers become decisions (`judge.decide`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field

from judge.config import JudgeConfig
from judge.constitution import Constitution, Rule, deciding, names
from judge.decide import abstain, argued, decide_rule, fuse, merge_frames, not_relevant
from judge.stages.along import Along, along_frames, along_pieces, to_ms, unless_damaged
from judge.stages.escalation import OpenQuestion
from judge.types import Evidence, Frame, Guarantee, Media, Outcome, RuleDecision, Usage

ENGINE_FAILED = "the engine failed"
"""How the reason begins where a question has no answer."""


@dataclass(slots=True)
class FrameBoard:
    """One frame, or one piece of a video that is asked about as a whole; or a text, with a frame without pixels.

    Attributes:
        clip: The frames of the piece, in order, of which `frame` is the middle one; empty for a single frame.
        evidence: By precondition id, in the order of the stages; the last one counts.
        whole: The reading of each rule as a whole, by rule id; empty where it is not asked.
        argued: What a debate about a rule as a whole found, by rule id; empty where none was held.
        irrelevant: Evidence of the relevance scan, by the id of each rule that it dropped.
        outside: Why the frame cannot be judged at all; empty if it can.
    """

    frame: Frame
    clip: tuple[Frame, ...] = ()
    evidence: dict[str, tuple[Evidence, ...]] = field(default_factory=dict)
    whole: Mapping[str, Evidence] = field(default_factory=dict)
    argued: dict[str, Evidence] = field(default_factory=dict)
    irrelevant: Mapping[str, Evidence] = field(default_factory=dict)
    outside: str = ""

    @property
    def key(self) -> int:
        """Unlike that of all other frames and pieces of the media: the frame's index, below 0 for a piece."""
        return -1 - self.clip[0].index if self.clip else self.frame.index

    @property
    def is_sound(self) -> bool:
        """Every question about it was answered, by a model that knows such media."""
        found = [each for history in self.evidence.values() for each in history]
        found += [*self.whole.values(), *self.argued.values()]
        return not self.outside and not any(each.readings is None or ENGINE_FAILED in each.reason for each in found)

    def last(self) -> dict[str, Evidence]:
        """The evidence that counts, by precondition id."""
        return {name: found[-1] for name, found in self.evidence.items()}

    def add(self, evidence: Evidence) -> None:
        """One more piece of evidence about its precondition; the one that counts already changes nothing."""
        known = self.evidence.get(evidence.precondition_id, ())
        if evidence not in known[-1:]:
            self.evidence[evidence.precondition_id] = (*known, evidence)

    def explain(self, precondition_id: str, reason: str) -> None:
        """One more reason why a precondition is open; nothing, if it is not."""
        *earlier, last = self.evidence[precondition_id]
        if last.outcome == "undecided":
            told = last.model_copy(update={"reason": f"{last.reason}; {reason}"})
            self.evidence[precondition_id] = (*earlier, told)


@dataclass(slots=True)
class MediaBoard:
    """One piece of media: the rules that apply to it, the frames that are judged, and what was spent on them.

    Attributes:
        frames: In the order of their time.
        clips: Pieces of a video, in order, for the rules that no single frame can show.
        failure: Why nothing could be asked; empty if it could.
        clip_failure: The same for the pieces.
        damaged: Why frames that were wanted could not be read, in order.
        guarantee: With which fitted thresholds settled the media; None if they have not.
        taken_over: Index of a frame that was not judged, because it looks like another -> that one's index.
    """

    media: Media
    rules: tuple[Rule, ...]
    frames: tuple[FrameBoard, ...]
    clips: tuple[FrameBoard, ...] = ()
    usage: Usage = field(default_factory=Usage)
    failure: str = ""
    clip_failure: str = ""
    damaged: tuple[str, ...] = ()
    taken_over: Mapping[int, int] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    guarantee: Guarantee | None = None

    @property
    def is_sound(self) -> bool:
        """Every question was answered, by a model that knows such media: the scores can be relied on."""
        views = (*self.frames, *self.clips)
        if self.failure or self.clip_failure or self.damaged or not views:
            return False
        return all(view.is_sound for view in views)

    @property
    def unread_ms(self) -> frozenset[int]:
        """When frames are shown whose scores cannot be relied on, and those that look like them; as in timelines."""
        bad = {each.frame.index: each.frame.timestamp_s for each in self.frames if not each.is_sound}
        alike = [time_s for index, time_s in self.times_s.items() if self.taken_over[index] in bad]
        return frozenset(to_ms(time_s) for time_s in (*bad.values(), *alike))

    @property
    def has_time(self) -> bool:
        """The frames follow each other; those of a picture, and the pages of a document, do not."""
        return self.media.kind == "video" and self.media.duration_s > 0.0

    @property
    def times_s(self) -> dict[int, float]:
        """Of the frames that were taken over."""
        video = self.media.video
        return {index: video.info.timestamps_s[index] for index in self.taken_over} if video else {}

    @property
    def frame_rules(self) -> tuple[Rule, ...]:
        """Rules that are judged frame by frame."""
        return tuple(rule for rule in self.rules if not shows_in_clips(rule))

    @property
    def clip_rules(self) -> tuple[Rule, ...]:
        """Rules that are asked about several frames at once."""
        return tuple(rule for rule in self.rules if shows_in_clips(rule))

    def views(self, rule: Rule) -> tuple[FrameBoard, ...]:
        """What the rule is read on: frames, or pieces."""
        return self.clips if shows_in_clips(rule) else self.frames

    def view(self, key: int) -> FrameBoard:
        """The frame or piece with this key."""
        return next(each for each in (*self.frames, *self.clips) if each.key == key)


def _at(decision: RuleDecision, index: int) -> RuleDecision:
    """The same decision, on a frame that looks alike."""
    return decision.model_copy(update={"frame_index": index})


def shows_in_clips(rule: Rule) -> bool:
    """A rule for videos alone: its harm lies in the action or the transition, which no single frame shows."""
    return rule.modalities == ("video",)


class Decider:
    """Reads boards: what each rule's decision is so far, and which questions could still change one."""

    def __init__(self, constitution: Constitution, config: JudgeConfig) -> None:
        self._constitution = constitution
        self._config = config

    def needed(self, rules: tuple[Rule, ...]) -> dict[str, str]:
        """The statements that these rules rest on, by precondition id; each once, however many rules share it."""
        ids = dict.fromkeys(name for rule in rules for name in names(self._constitution.expression(rule.id)))
        return {name: self._constitution.precondition(name).statement for name in ids}

    def rule(self, rule: Rule, board: MediaBoard) -> RuleDecision:
        """The rule's decision about the media as things stand."""
        return self.along(rule, board).decision

    def along(self, rule: Rule, board: MediaBoard) -> Along:
        """The same, and for a video when."""
        views = board.views(rule)
        if board.failure or not views:
            nothing = decide_rule(self._constitution, rule, {}, 0)
            missing = board.clip_failure if shows_in_clips(rule) else ""
            return Along(abstain(nothing, board.failure or missing or "the media has no frames"))
        decisions = [self.on_frame(rule, view) for view in views]
        if shows_in_clips(rule):
            return unless_damaged(along_pieces(decisions, [view.clip for view in views]), board.damaged)
        if not board.has_time:
            return Along(merge_frames(decisions))
        by_index = dict(zip((view.frame.index for view in views), decisions, strict=True))
        by_index |= {index: _at(by_index[judged], index) for index, judged in board.taken_over.items()}
        times = {view.frame.index: view.frame.timestamp_s for view in views} | board.times_s
        order = sorted(by_index)
        found = along_frames(
            [by_index[index] for index in order],
            [to_ms(times[index]) for index in order],
            to_ms(board.media.duration_s),
            self._config.video.timeline,
            self._config.thresholds.accept,
        )
        return unless_damaged(found, board.damaged)

    def on_frame(self, rule: Rule, board: FrameBoard) -> RuleDecision:
        """The same for one frame, with the whole history of its evidence."""
        dropped = board.irrelevant.get(rule.id)
        if dropped is not None:
            decision = not_relevant(self._constitution, rule, dropped, board.frame.index)
            return abstain(decision, board.outside) if board.outside else decision
        decision = decide_rule(self._constitution, rule, board.last(), board.frame.index)
        history = tuple(item for found in decision.evidence for item in board.evidence[found.precondition_id])
        decision = decision.model_copy(update={"evidence": history})
        whole = board.whole.get(rule.id)
        if whole is not None:
            decision = fuse(decision, whole, self._config.cascade.holistic_weight, self._config.thresholds)
        if rule.id in board.argued:
            decision = argued(decision, board.argued[rule.id])
        return abstain(decision, board.outside) if board.outside else decision

    def open_rules(self, board: MediaBoard) -> list[tuple[Rule, FrameBoard]]:
        """Rules that are open on a frame, where the verdict needs to know."""
        return list(self._undecided(board, satisfied=False))

    def open_questions(
        self,
        board: MediaBoard,
        asked: Set[tuple[int, str]],
        *,
        one_per_rule: bool,
        satisfied: bool,
        clips: bool = False,
    ) -> list[OpenQuestion]:
        """What is undecided and can still change a rule, each precondition of a frame once.

        Args:
            board: The media.
            asked: Frame indices and precondition ids that are not to be asked again.
            one_per_rule: Only the question that is likeliest to end the rule with a No.
            satisfied: Also the satisfied preconditions that a violated rule rests on.
            clips: Also about pieces of a video.
        """
        found: dict[tuple[int, str], OpenQuestion] = {}
        for rule, frame in self._undecided(board, satisfied=satisfied):
            if frame.clip and not clips:
                continue
            last = frame.last()
            ids = [name for name in self._worth_asking(rule, frame, last) if (frame.key, name) not in asked]
            ids.sort(key=lambda name: last[name].probability)
            for name in ids[:1] if one_per_rule else ids:
                precondition = self._constitution.precondition(name)
                question = OpenQuestion(frame.frame, precondition, last[name], board.media, frame.clip)
                found.setdefault((frame.key, name), question)
        return list(found.values())

    def _undecided(self, board: MediaBoard, *, satisfied: bool) -> Iterator[tuple[Rule, FrameBoard]]:
        """Rules and frames on which more could be learned; without `thorough`, only where the verdict needs it."""
        if board.failure:
            return
        violated = {rule.id for rule in board.rules if self.rule(rule, board).outcome == "violated"}
        for rule in board.rules:
            for frame in board.views(rule):
                if frame.outside or rule.id in frame.irrelevant:
                    continue
                outcome = self.on_frame(rule, frame).outcome
                if outcome == "violated" and satisfied:
                    yield rule, frame
                if outcome == "abstained" and (self._config.cascade.thorough or not violated):
                    yield rule, frame

    def _worth_asking(self, rule: Rule, frame: FrameBoard, last: Mapping[str, Evidence]) -> list[str]:
        """Preconditions with evidence whose value matters to this rule on this frame."""
        expression = self._constitution.expression(rule.id)
        outcomes: dict[str, Outcome] = {name: last[name].outcome for name in names(expression) if name in last}
        if self.on_frame(rule, frame).outcome == "violated":
            return [name for name, outcome in outcomes.items() if outcome == "satisfied"]
        return [name for name in deciding(expression, outcomes) if name in last]
