"""Next-token probabilities of many prompts: the shared way where it is exact for this model, else the plain way.

Which one is decided once, by a probe when the model is loaded.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

import torch

from judge.engines.admission import check_length
from judge.engines.answer_tokens import AnswerTokens, answer_tokens, choice_log_masses, normalize
from judge.engines.base import YES_NO
from judge.engines.encoding import FrameGroup, PromptEncoder
from judge.engines.identity import frame_key
from judge.engines.loading import Model
from judge.engines.prefix_cache import frames_encoded_once, score_groups, score_one
from judge.engines.probe import TOLERANCE, probe_groups, probe_questions
from judge.errors import JudgeError
from judge.types import Message, Prompt

_LOG = logging.getLogger(__name__)
Score = tuple[list[float], int]
"""Log masses of the choices, and the number of prompt tokens."""


class Scorer:
    """Asks one model.

    Args:
        name: The model's, for messages.
        model: In evaluation mode.
        encoder: The model's own.
        batch_size: Most rows in one forward pass.

    Attributes:
        text_only: The model takes prompts without frames.
        shares_frames: Prompts about the same frames are scored the shared way.
        shares_text: The same for prompts without frames.
    """

    def __init__(self, name: str, model: Model, encoder: PromptEncoder, *, batch_size: int) -> None:
        self._name = name
        self._model = model
        self._encoder = encoder
        self._batch_size = batch_size
        self._max_tokens: int | None = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        answers = answer_tokens(encoder.tokenizer, YES_NO)
        self.shares_frames = self._agree(probe_groups(), answers)
        self.text_only = self._answers_text(answers)
        self.shares_text = self.text_only and self._agree([probe_questions(())], answers)

    def score(self, prompts: Sequence[Prompt], answers: AnswerTokens) -> list[Score]:
        """One score per prompt, order kept; frames are compared by their pixels, and equal prompts asked once."""
        rows: dict[tuple[str, ...], dict[tuple[Message, ...], list[int]]] = {}
        digests: dict[int, str] = {}
        for row, prompt in enumerate(prompts):
            key = tuple(frame_key(frame, digests) for frame in prompt.frames)
            rows.setdefault(key, {}).setdefault(prompt.messages, []).append(row)
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
        encoded = [self._encoder.encode_group(group) if self._shares(group[0]) else None for group in groups]
        shared = iter(self._score_shared([group for group in encoded if group is not None], answers))
        return [
            self._score_plainly(group, answers) if packed is None else next(shared)
            for group, packed in zip(groups, encoded, strict=True)
        ]

    def _shares(self, prompt: Prompt) -> bool:
        return self.shares_frames if prompt.frames else self.shares_text

    def _score_shared(self, groups: Sequence[FrameGroup], answers: AnswerTokens) -> list[list[Score]]:
        lengths = [[len(group.head) + len(tail) for tail in group.tails] for group in groups]
        self.check_length(max((length for group in lengths for length in group), default=0))
        read = partial(choice_log_masses, answers=answers)
        scores = score_groups(self._model, groups, read, batch_size=self._batch_size)
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

    def _agree(self, groups: Sequence[Sequence[Prompt]], answers: AnswerTokens) -> bool:
        """Whether the shared way gives what the plain way gives, on synthetic prompts."""
        plain = torch.tensor([[values for values, _ in self._score_plainly(group, answers)] for group in groups])
        for values in plain.flatten(0, 1).tolist():
            normalize(values)  # a model that returns NaN must not get past start-up
        try:
            encoded = [packed for group in groups if (packed := self._encoder.encode_group(group)) is not None]
            if len(encoded) == len(groups):
                found = self._score_shared(encoded, answers)
                shared = torch.tensor([[values for values, _ in group] for group in found])
                if torch.allclose(shared, plain, rtol=0, atol=TOLERANCE[self._model.dtype]):
                    return True
                reason = f"log probabilities differ by {(shared - plain).abs().max():.2g}"
            else:
                reason = "its processor cannot be fed in two pieces"
        except (JudgeError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # whatever this architecture cannot do, the plain way can
            reason = f"{type(error).__name__}: {error}"
        kind = "with frames" if groups[0][0].frames else "without frames"
        _LOG.warning("model '%s': questions %s are asked one by one, slowly: %s", self._name, kind, reason)
        return False

    def _answers_text(self, answers: AnswerTokens) -> bool:
        try:
            self._score_plainly(probe_questions(()), answers)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            _LOG.warning("model '%s' takes no prompt without a frame: %s", self._name, error)
            return False
        return True
