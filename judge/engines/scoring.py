"""Next-token probabilities of many prompts: the shared way where it is exact for this model, else the plain way.

Which one is decided once, by a probe when the model is loaded.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence
from functools import partial

import torch

from judge.engines.admission import check_length
from judge.engines.answer_tokens import AnswerTokens, answer_tokens, choice_log_masses, normalize
from judge.engines.base import YES_NO
from judge.engines.causality import sees_later_tokens
from judge.engines.encoding import FrameGroup, PromptEncoder
from judge.engines.identity import frame_key, prompt_words
from judge.engines.memory import PassBudget
from judge.engines.model_interface import Model
from judge.engines.probe import TOLERANCE, probe_groups, probe_questions
from judge.engines.shared_prefix import Way, frames_encoded_once, score_groups, score_one
from judge.errors import JudgeError
from judge.types import Prompt

_LOG = logging.getLogger(__name__)
_WAYS: tuple[Way, ...] = ("packed", "expanded")
"""Fastest first."""

Score = tuple[list[float], int]
"""Log masses of the choices, and the number of prompt tokens."""


class Scorer:
    """Asks one model.

    Args:
        name: The model's, for messages.
        model: In evaluation mode.
        encoder: The model's own.
        budget: How much goes into one forward pass.

    Attributes:
        text_only: The model takes prompts without frames.
        frames_way: How prompts about the same frames share them; None = each runs alone, in full.
        text_way: The same for prompts without frames.
    """

    def __init__(self, name: str, model: Model, encoder: PromptEncoder, budget: PassBudget) -> None:
        self._name = name
        self._model = model
        self._encoder = encoder
        self._budget = budget
        self._max_tokens: int | None = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        answers = answer_tokens(encoder.tokenizer, YES_NO)
        self.frames_way = self._fastest_way(probe_groups(), answers)
        self.text_only = self._answers_text(answers)
        self.text_way = self._fastest_way([probe_questions(())], answers) if self.text_only else None

    def score(self, prompts: Sequence[Prompt], answers: AnswerTokens) -> list[Score]:
        """One score per prompt, order kept; frames are compared by their pixels, and equal prompts asked once."""
        rows: dict[tuple[str, ...], dict[Hashable, list[int]]] = {}
        digests: dict[int, str] = {}
        for row, prompt in enumerate(prompts):
            key = tuple(frame_key(frame, digests) for frame in prompt.frames)
            rows.setdefault(key, {}).setdefault(prompt_words(prompt), []).append(row)
        groups = [[prompts[same[0]] for same in group.values()] for group in rows.values()]
        found: dict[int, Score] = {}
        for group, scores in zip(rows.values(), self._score_groups(groups, answers), strict=True):
            for same, score in zip(group.values(), scores, strict=True):
                found.update(dict.fromkeys(same, score))
        return [found[row] for row in range(len(prompts))]

    def check_length(self, n_tokens: int) -> None:
        """See `judge.engines.admission.check_length`."""
        check_length(self._name, n_tokens, self._max_tokens)

    def _score_groups(self, groups: Sequence[Sequence[Prompt]], answers: AnswerTokens) -> list[list[Score]]:
        ways = [self.frames_way if group[0].frames else self.text_way for group in groups]
        encoded = [self._encoder.encode_group(group) if way else None for group, way in zip(groups, ways, strict=True)]
        found: dict[int, list[Score]] = {}
        for way in _WAYS:
            members = [n for n, group in enumerate(encoded) if group is not None and ways[n] == way]
            if not members:
                continue
            shared = self._score_shared([group for n in members if (group := encoded[n])], answers, way)
            found.update(zip(members, shared, strict=True))
        return [found[n] if n in found else self._score_plainly(group, answers) for n, group in enumerate(groups)]

    def _score_shared(self, groups: Sequence[FrameGroup], answers: AnswerTokens, way: Way) -> list[list[Score]]:
        lengths = [[len(group.head) + len(tail) for tail in group.tails] for group in groups]
        self.check_length(max((length for group in lengths for length in group), default=0))
        read = partial(choice_log_masses, answers=answers)
        scores = score_groups(self._model, groups, read, budget=self._budget, way=way)
        return [list(zip(*pair, strict=True)) for pair in zip(scores, lengths, strict=True)]

    def _score_plainly(self, group: Sequence[Prompt], answers: AnswerTokens) -> list[Score]:
        """One full forward pass per prompt; the frames are encoded once all the same."""
        read = partial(choice_log_masses, answers=answers)
        scores: list[Score] = []
        with frames_encoded_once(self._model):
            for prompt in group:
                inputs = self._encoder.encode(prompt)
                n_tokens = inputs["input_ids"].shape[1]
                self.check_length(n_tokens)
                scores.append((score_one(self._model, inputs, read), n_tokens))
        return scores

    # --- the probe ------------------------------------------------------------------------------------------

    def _fastest_way(self, groups: Sequence[Sequence[Prompt]], answers: AnswerTokens) -> Way | None:
        """The first that gives what the plain way gives, on synthetic prompts; None if neither does."""
        plain = torch.tensor([[values for values, _ in self._score_plainly(group, answers)] for group in groups])
        for values in plain.flatten(0, 1).tolist():
            normalize(values)  # a model that returns NaN must not get past start-up
        first = self._encoder.encode_group(groups[0])
        causal = first is None or not sees_later_tokens(self._model, first)
        reasons = [] if causal else ["its tokens see later ones"]
        for way in _WAYS if causal else ():
            reason = self._disagreement(groups, answers, way, plain)
            if not reason:
                return way
            reasons.append(f"{way}: {reason}")
        kind = "with frames" if groups[0][0].frames else "without frames"
        _LOG.warning("model '%s': questions %s are asked one by one, slowly (%s)", self._name, kind, "; ".join(reasons))
        return None

    def _disagreement(
        self, groups: Sequence[Sequence[Prompt]], answers: AnswerTokens, way: Way, plain: torch.Tensor
    ) -> str:
        """Why this way is not exact for this model; empty if it is."""
        try:
            encoded = [packed for group in groups if (packed := self._encoder.encode_group(group)) is not None]
            if len(encoded) != len(groups):
                return "its processor cannot be fed in two pieces"
            found = self._score_shared(encoded, answers, way)
        except (JudgeError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # whatever this architecture cannot do, the plain way can
            return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        shared = torch.tensor([[values for values, _ in group] for group in found])
        if torch.allclose(shared, plain, rtol=0, atol=TOLERANCE[self._model.dtype]):
            return ""
        return f"log probabilities differ by {(shared - plain).abs().max():.2g}"

    def _answers_text(self, answers: AnswerTokens) -> bool:
        try:
            self._score_plainly(probe_questions(()), answers)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            _LOG.warning("model '%s' takes no prompt without a frame: %s", self._name, error)
            return False
        return True
