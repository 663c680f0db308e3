"""Writes text with a model: greedy or sampled, one prompt at a time, prompts about the same frames behind one prefix.

Not here: probabilities of answers (`scoring`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessorList

from judge.engines.encoding import FrameGroup, PromptEncoder
from judge.engines.identity import frame_key, sample_seeds
from judge.engines.json_grammar import Guide
from judge.engines.model_interface import Cache, Model
from judge.engines.shared_prefix import cached_prefix, forget_positions, own_cache, to_device
from judge.errors import JudgeError
from judge.types import Generation, Prompt

_LOG = logging.getLogger(__name__)
_MIN_TEMPERATURE = 1e-4
_PROBE_TOKENS = 3


class Writer:
    """Writes for one model.

    Args:
        name: The model's, for messages.
        model: In evaluation mode.
        encoder: The model's own.
        check_length: Raises if a prompt and what is written behind it are too long for the model.
        probe: Prompts about one image, to find out whether its prefix can be shared; empty = it cannot.

    Attributes:
        shares_frames: Prompts about the same frames run them through the model once.
    """

    def __init__(
        self,
        name: str,
        model: Model,
        encoder: PromptEncoder,
        check_length: Callable[[int], None],
        probe: Sequence[Prompt],
    ) -> None:
        self._name = name
        self._model = model
        self._encoder = encoder
        self._check_length = check_length
        self._ends = end_ids(model, encoder.tokenizer.eos_token_id)
        self.shares_frames = self._agrees(probe)

    def write(
        self,
        prompts: Sequence[Prompt],
        max_tokens: int,
        temperature: float,
        new_guide: Callable[[], Guide] | None = None,
    ) -> list[Generation]:
        """One text per prompt, order kept. Sampling is seeded by the prompt and by how often it occurred before."""
        groups: dict[tuple[str, ...], list[int]] = {}
        digests: dict[int, str] = {}
        for row, prompt in enumerate(prompts):
            groups.setdefault(tuple(frame_key(frame, digests) for frame in prompt.frames), []).append(row)
        seeds = sample_seeds(prompts)
        written: dict[int, Generation] = {}
        for rows in groups.values():
            sources = self._sources([prompts[row] for row in rows])
            for row, source in zip(rows, sources, strict=True):
                with torch.random.fork_rng():
                    torch.manual_seed(seeds[row])
                    written[row] = self._continue(source(), max_tokens, temperature, new_guide and new_guide())
        return [written[row] for row in range(len(prompts))]

    def _sources(self, prompts: Sequence[Prompt]) -> list[Callable[[], dict[str, Any]]]:
        """What to hand to `generate` for each prompt; made when it is needed."""
        group = self._encoder.encode_group(prompts) if self.shares_frames and prompts[0].frames else None
        if group is None or len(prompts) == 1:
            return [lambda prompt=prompt: self._whole(prompt) for prompt in prompts]  # type: ignore[misc]
        cache = cached_prefix(self._model, [group], 0)
        return [lambda tail=tail: self._behind(group, cache, tail) for tail in group.tails]  # type: ignore[misc]

    def _whole(self, prompt: Prompt) -> dict[str, Any]:
        forget_positions(self._model)
        return dict(to_device(self._model, self._encoder.encode(prompt)))

    def _behind(self, group: FrameGroup, cache: Cache | None, tail: tuple[int, ...]) -> dict[str, Any]:
        ids = torch.tensor([group.head + tail])
        inputs: dict[str, Any] = dict(
            to_device(self._model, {"input_ids": ids, "attention_mask": torch.ones_like(ids)})
        )
        if cache is not None:
            inputs["past_key_values"] = own_cache(cache)
        return inputs

    def _continue(self, inputs: dict[str, Any], max_tokens: int, temperature: float, guide: Guide | None) -> Generation:
        n_prompt = inputs["input_ids"].shape[1]
        self._check_length(n_prompt + max_tokens)
        settings = _generation_settings(max_tokens, temperature, self._ends)
        guides: Any = LogitsProcessorList([guide] if guide else [])  # its type wants their base class, not any callable
        whole = self._model.generate(**inputs, generation_config=settings, logits_processor=guides)
        written = whole[0, n_prompt:].tolist()
        return Generation(
            text=self._encoder.tokenizer.decode(written, skip_special_tokens=True).strip(),
            finish_reason="stop" if written and written[-1] in self._ends else "length",
            prompt_tokens=n_prompt,
            completion_tokens=len(written),
        )

    def _agrees(self, probe: Sequence[Prompt]) -> bool:
        """Whether texts behind a shared prefix are those of full prompts."""
        self.shares_frames = False
        if not probe:
            return False
        plain = self.write(probe, _PROBE_TOKENS, 0.0)
        self.shares_frames = True
        try:
            if self.write(probe, _PROBE_TOKENS, 0.0) == plain:
                return True
            reason = "the texts differ"
        except (JudgeError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # whatever this architecture cannot do, the plain way can
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        _LOG.info("model '%s': texts about one image run it anew for each: %s", self._name, reason)
        return False


def end_ids(model: Model, fallback: int | None) -> tuple[int, ...]:
    """Tokens that end a text; `fallback` where the model names none."""
    ends: int | list[int] | None = getattr(model.generation_config, "eos_token_id", None)
    if ends is None:
        ends = [] if fallback is None else fallback
    return (ends,) if isinstance(ends, int) else tuple(ends)


def _generation_settings(max_tokens: int, temperature: float, ends: tuple[int, ...]) -> GenerationConfig:
    """Every knob is set here: those left open would be taken from the model's own `generation_config.json`."""
    sampled = temperature > _MIN_TEMPERATURE
    config: Any = GenerationConfig
    settings: GenerationConfig = config(
        max_new_tokens=max_tokens,
        do_sample=sampled,
        temperature=temperature if sampled else 1.0,
        top_k=0 if sampled else 50,
        top_p=1.0,
        num_beams=1,
        repetition_penalty=1.0,
        eos_token_id=list(ends) or None,
        pad_token_id=ends[0] if ends else 0,
    )
    return settings
