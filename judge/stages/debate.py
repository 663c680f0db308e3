"""Debates: two sides argue before a judge, who reads after every round; many at once, every step in one call.

Not here: what is debated and why (`judge.stages.debate_stage`), what the judge's words mean (`judge.stages.ruling`).
Source of the protocol: VHD11K (arXiv 2409.19734). Ours: the judge's answer is a probability, a debate ends as soon as
it decides, and nothing that fails or refuses becomes an answer.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from judge.config import DebateRole, DebateSettings, Thresholds
from judge.errors import AnswerError, EngineError
from judge.prompts.debate import DebateSpeaker, debate_prompt
from judge.prompts.posted import with_posted
from judge.stages.cast import Cast, Motion, sees_examples
from judge.stages.questions import choose, read_yes, write
from judge.stages.retry import Unanswered, ask_each
from judge.stages.ruling import Ruling, is_sure, rule_on
from judge.stages.speech import SAYS_NOTHING, is_refusal
from judge.types import ChoiceProbabilities, Debate, DebateOrder, Generation, Prompt, Turn, Usage

_LOG = logging.getLogger(__name__)
_ROLES: dict[DebateOrder, tuple[DebateRole, DebateRole]] = {
    "affirmative_first": ("affirmative", "negative"),
    "negative_first": ("negative", "affirmative"),
}


async def hold_debates(
    cast: Cast,
    motions: Sequence[Motion],
    settings: DebateSettings,
    thresholds: Thresholds,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> list[tuple[Debate, ...]]:
    """Debate every motion, in order; two debates for each where `settings.orders` is `both`.

    Never raises for an engine that fails: a debate that cannot go on is undecided, with the reason and its turns. The
    budgets are looked at before a debater speaks; the turns under way are finished.

    Args:
        cast: Who plays which role.
        motions: What is debated.
        settings: Rounds, lengths and budgets.
        thresholds: `accept`, `reject` and `min_mass` count, whatever the preset.
        clock: Seconds, never going back.
    """
    orders: tuple[DebateOrder, ...] = tuple(_ROLES) if settings.orders == "both" else (settings.orders,)
    floors = [[_Floor(motion, order) for order in orders] for motion in motions]
    session = _Session(cast, settings, thresholds, clock)
    await session.hold([floor for each in floors for floor in each])
    return [tuple(session.close(floor) for floor in each) for each in floors]


def usage_of(debate: Debate) -> Usage:
    """What a debate or a vote cost."""
    voters = [turn for turn in debate.turns if turn.speaker == "voter"]
    read = [turn for turn in debate.turns if turn.speaker == "judge"] + [turn for turn in voters if not turn.refused]
    written = [turn for turn in debate.turns if turn.speaker != "judge" or turn.text or turn.refused]
    return Usage(
        prompt_tokens=debate.prompt_tokens,
        completion_tokens=debate.completion_tokens,
        questions=len(read),
        generations=len(written),
    )


@dataclass(slots=True)
class _Floor:
    """One debate under way.

    Attributes:
        unread: Why the judge's last reading is none; empty if it is one.
        stopped: Why the debate cannot go on; empty if it can.
        answered: The judge gave its words, or refused them: the debate is over.
    """

    motion: Motion
    order: DebateOrder
    turns: list[Turn] = field(default_factory=list)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    unread: str = ""
    stopped: str = ""
    answered: bool = False

    @property
    def is_open(self) -> bool:
        return not (self.stopped or self.answered)

    @property
    def purse(self) -> Hashable:
        """Motions with the same purse spend the same token budget."""
        media = self.motion.media
        return id(media) if media is not None else tuple(id(frame.image) for frame in self.motion.frames)

    def heard(self) -> list[tuple[DebateSpeaker, str]]:
        """What has been said aloud; a reading is not."""
        return [
            (turn.speaker, SAYS_NOTHING if turn.refused else turn.text)
            for turn in self.turns
            if turn.speaker != "voter" and (turn.text or turn.refused)
        ]


class _Session:
    """Debates that are held together."""

    def __init__(
        self, cast: Cast, settings: DebateSettings, thresholds: Thresholds, clock: Callable[[], float]
    ) -> None:
        self._cast = cast
        self._settings = settings
        self._thresholds = thresholds
        self._clock = clock
        limit_s = settings.time_budget_s
        self._deadline_s = None if limit_s is None else clock() + limit_s
        self._spent: Counter[Hashable] = Counter()

    async def hold(self, floors: Sequence[_Floor]) -> None:
        for number in range(1, self._settings.rounds + 1):
            for place in (0, 1):
                speaking = [floor for floor in floors if floor.is_open and self._may_go_on(floor)]
                await self._argue([(floor, _ROLES[floor.order][place]) for floor in speaking], number)
            await self._read([floor for floor in floors if floor.is_open], number)
            last = number == self._settings.rounds
            ready = [
                floor for floor in floors if floor.is_open and (last or is_sure(floor.turns[-1], self._thresholds))
            ]
            await self._answer(ready)
        if self._settings.critic:
            await self._criticise([floor for floor in floors if floor.answered and not self._exhausted(floor)])

    def close(self, floor: _Floor) -> Debate:
        ruling = self._ruling(floor)
        return Debate(
            subject=" ".join(floor.motion.subject.statements),
            order=floor.order,
            turns=tuple(floor.turns),
            probability=ruling.probability,
            outcome=ruling.outcome,
            answer=ruling.answer,
            reason=ruling.reason,
            prompt_tokens=floor.prompt_tokens,
            completion_tokens=floor.completion_tokens,
        )

    def _ruling(self, floor: _Floor) -> Ruling:
        if not floor.answered:
            return Ruling("undecided", None, reason=floor.stopped)
        turn = next(turn for turn in reversed(floor.turns) if turn.speaker == "judge")
        return rule_on(turn, floor.motion.subject, self._settings, self._thresholds, unread=floor.unread)

    # --- budgets --------------------------------------------------------------------------------------------

    def _may_go_on(self, floor: _Floor) -> bool:
        floor.stopped = self._exhausted(floor)
        return not floor.stopped

    def _exhausted(self, floor: _Floor) -> str:
        """Which budget is used up; empty if none is."""
        if self._spent[floor.purse] >= self._settings.token_budget:
            return f"the budget of {self._settings.token_budget} tokens for one media is used up"
        if self._deadline_s is not None and self._clock() >= self._deadline_s:
            return f"the budget of {self._settings.time_budget_s:g} s for the debates held together is used up"
        return ""

    # --- steps ----------------------------------------------------------------------------------------------

    async def _argue(self, parts: Sequence[tuple[_Floor, DebateRole]], number: int) -> None:
        for floor, role, said in await self._write(parts, self._settings.turn_tokens):
            if isinstance(said, EngineError):
                floor.stopped = _failed(said)
            else:
                floor.turns.append(self._turn(role, number, said))

    async def _read(self, floors: Sequence[_Floor], number: int) -> None:
        judge = self._cast.player("judge")
        prompts = [self._prompt(floor, "judge") for floor in floors]
        answers = await ask_each(lambda part: choose(judge, part), prompts)
        for floor, answer in zip(floors, answers, strict=True):
            if isinstance(answer, EngineError):
                floor.stopped = _failed(answer)
            else:
                self._take_reading(floor, number, answer)

    def _take_reading(self, floor: _Floor, number: int, answer: ChoiceProbabilities | AnswerError) -> None:
        turn = Turn(speaker="judge", round=number, model=self._cast.name("judge"))
        floor.unread = ""
        try:
            if isinstance(answer, AnswerError):
                raise answer
            floor.prompt_tokens += answer.prompt_tokens
            read = read_yes(answer)
            turn = turn.model_copy(update={"probability": read.observed, "mass": read.mass})
        except AnswerError as error:
            floor.unread = error.message
        floor.turns.append(turn)

    async def _answer(self, floors: Sequence[_Floor]) -> None:
        """The judge's words join its last reading."""
        for floor, _, said in await self._write([(floor, "judge") for floor in floors], self._settings.judge_tokens):
            if isinstance(said, EngineError):
                floor.stopped = _failed(said)
                continue
            spoken = self._turn("judge", 0, said)
            words = {"text": spoken.text, "refused": spoken.refused, "cut_off": spoken.cut_off}
            floor.turns[-1] = floor.turns[-1].model_copy(update=words)
            floor.answered = True

    async def _criticise(self, floors: Sequence[_Floor]) -> None:
        """Changes nothing, so that a critic that fails is only missed."""
        parts: list[tuple[_Floor, DebateRole]] = [(floor, "critic") for floor in floors]
        for floor, role, said in await self._write(parts, self._settings.critic_tokens):
            if isinstance(said, EngineError):
                _LOG.warning("a debate has no critic: %s", said)
            else:
                floor.turns.append(self._turn(role, floor.turns[-1].round, said))

    # --- engines --------------------------------------------------------------------------------------------

    async def _write(
        self, parts: Sequence[tuple[_Floor, DebateRole]], max_tokens: int
    ) -> list[tuple[_Floor, DebateRole, Generation | Unanswered]]:
        """One call per engine that has something to say; tokens are counted here."""
        found: list[tuple[_Floor, DebateRole, Generation | Unanswered]] = []
        for mine in _by_player(self._cast, parts):
            engine = self._cast.player(mine[0][1])
            prompts = [self._prompt(floor, role) for floor, role in mine]
            texts = await ask_each(
                lambda part, engine=engine: write(engine, part, max_tokens, self._settings.temperature),  # type: ignore[misc]
                prompts,
            )
            found += [(floor, role, text) for (floor, role), text in zip(mine, texts, strict=True)]
        for floor, _, text in found:
            if isinstance(text, Generation):
                floor.prompt_tokens += text.prompt_tokens
                floor.completion_tokens += text.completion_tokens
                self._spent[floor.purse] += text.completion_tokens
        return found

    def _prompt(self, floor: _Floor, role: DebateRole) -> Prompt:
        motion = floor.motion
        examples = motion.examples[: self._settings.max_examples] if sees_examples(role, self._settings) else ()
        prompt = debate_prompt(motion.subject, role, floor.heard(), motion.frames, examples)
        return with_posted(prompt, self._cast.text_for(role, motion.media))

    def _turn(self, role: DebateRole, number: int, said: Generation | AnswerError) -> Turn:
        """A withheld text is a refusal without words."""
        text = said.text if isinstance(said, Generation) else ""
        return Turn(
            speaker=role,
            round=number,
            text=text,
            refused=is_refusal(text),
            cut_off=isinstance(said, Generation) and said.finish_reason == "length",
            model=self._cast.name(role),
        )


def _by_player(cast: Cast, parts: Iterable[tuple[_Floor, DebateRole]]) -> list[list[tuple[_Floor, DebateRole]]]:
    groups: dict[int, list[tuple[_Floor, DebateRole]]] = {}
    for floor, role in parts:
        groups.setdefault(id(cast.player(role)), []).append((floor, role))
    return list(groups.values())


def _failed(error: EngineError) -> str:
    return f"the engine failed in debate: {error}"
