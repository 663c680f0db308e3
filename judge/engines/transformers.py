"""The engine for Hugging Face transformers: any vision-language model, on the CPU or on one GPU.

Not for the highest throughput. How questions about one image share it: `scoring` and `shared_prefix`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import torch

from judge.assets import model_path
from judge.config import NO_TRAITS, ModelTraits
from judge.engines.admission import check_max_tokens, check_prompts, check_schema
from judge.engines.answer_tokens import AnswerTokens, answer_tokens, choice_answer
from judge.engines.base import YES_NO, Capabilities, JsonSchema, ModelInfo
from judge.engines.encoding import PromptEncoder
from judge.engines.json_grammar import open_json_grammar
from judge.engines.loading import LoadedModel, load_model
from judge.engines.memory import pass_budget
from judge.engines.model_interface import Model
from judge.engines.probe import probe_groups
from judge.engines.scoring import Scorer
from judge.engines.writing import Writer, end_ids
from judge.errors import EngineError, JudgeError
from judge.types import ChoiceProbabilities, Generation, Prompt

if TYPE_CHECKING:
    from judge.config import EngineConfig

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_MAX_FRAMES = 8


class TransformersEngine:
    """See `judge.engines.base.Engine` for the contract.

    Args:
        model: A folder, or the id of a model on the Hugging Face hub.
        name: What to call it; empty = as its card or folder says.
        device: `auto`, `cpu`, `cuda`, `cuda:0`...
        dtype: `auto` (float32 on the CPU, bfloat16 on a GPU), `float32`, `bfloat16`, `float16`.
        batch_size: Most rows in one forward pass.
        memory_mb: For one forward pass, beside the weights; None = 1024 on the CPU, 40 % of what is free on a GPU.
        revision: Of a hub model.
        trust_remote_code: Run code that comes with the model.
        local_files_only: Never ask the hub.
        traits: How the model wants to be loaded, asked and read.

    Raises:
        ConfigError: The model cannot be found or loaded.
        EngineError: It does not fit into memory, or its tokenizer has no tokens for Yes and No.
    """

    def __init__(
        self,
        model: str,
        *,
        name: str = "",
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int = 32,
        memory_mb: int | None = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
        local_files_only: bool = False,
        traits: ModelTraits = NO_TRAITS,
    ) -> None:
        loaded = load_model(
            model,
            name=name,
            device=device,
            dtype=dtype,
            revision=revision,
            trust_remote_code=trust_remote_code,
            local_files_only=local_files_only,
            traits=traits,
        )
        self._spellings = traits.spellings
        self._info = loaded.info
        self._lock = threading.Lock()
        self._loaded: LoadedModel | None = loaded
        self._tokenizer = loaded.processor.tokenizer
        self._answers: dict[tuple[str, ...], AnswerTokens] = {}
        self._encoder = PromptEncoder(loaded.processor, _accepted_inputs(loaded.model), traits.chat_template)
        if not self._encoder.has_template:
            _LOG.warning("model '%s' has no chat template: its prompts are plain text", self._info.name)
        self._writer: Writer | None = None  # made when text is first wanted: most uses need none
        self._scorer: Scorer | None = self._run(
            lambda: Scorer(
                self._info.name,
                loaded.model,
                self._encoder,
                pass_budget(loaded.model, memory_mb=memory_mb, max_rows=batch_size),
            )
        )
        ends = end_ids(loaded.model, self._tokenizer.eos_token_id)
        self._grammar = open_json_grammar(self._info.name, self._tokenizer, ends)
        self._capabilities = Capabilities(
            max_frames=loaded.card.max_frames or _MAX_FRAMES,
            text_only=self._scorer.text_only,
            structured=self._grammar is not None,
        )

    @classmethod
    def from_config(cls, config: EngineConfig) -> TransformersEngine:
        """Load the model that a configuration names, an embedded one by its own name."""
        embedded = model_path(config.model)
        return cls(
            str(embedded or config.model),
            name=config.model if embedded else "",
            device=config.device,
            dtype=config.dtype,
            batch_size=config.batch_size,
            memory_mb=config.memory_mb,
            revision=config.revision,
            trust_remote_code=config.trust_remote_code,
            traits=config.traits,
        )

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def info(self) -> ModelInfo:
        return self._info

    async def choose(self, prompts: Sequence[Prompt], choices: Sequence[str] = YES_NO) -> list[ChoiceProbabilities]:
        """Prompts about the same frames share them, in any order; equal prompts are asked once."""
        return await asyncio.to_thread(self._run, partial(self._choose, tuple(prompts), tuple(choices)))

    async def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        json_schema: JsonSchema | None = None,
    ) -> list[Generation]:
        """One prompt at a time, so that no text depends on its batch; prompts about the same frames share them.

        Sampling is seeded by the prompt and by how often it occurred before in this batch: the same batch gives
        the same texts, and n copies of a prompt give n samples.
        """
        work = partial(self._generate, tuple(prompts), max_tokens, temperature, json_schema)
        return await asyncio.to_thread(self._run, work)

    async def close(self) -> None:
        """Free the memory, once running work is done; later calls raise `EngineError`."""
        await asyncio.to_thread(self._release)

    def _release(self) -> None:
        with self._lock:
            self._loaded = self._scorer = self._writer = None

    def _run(self, work: Callable[[], T]) -> T:
        """One piece of work at a time; only errors of ours leave."""
        with self._lock, torch.inference_mode():
            if self._loaded is None:
                raise EngineError(f"model '{self._info.name}' is closed")
            try:
                return work()
            except JudgeError:
                raise
            except torch.OutOfMemoryError as error:
                raise EngineError(f"model '{self._info.name}' ran out of memory", hint="lower batch_size") from error
            except Exception as error:
                reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
                raise EngineError(f"model '{self._info.name}' failed: {reason}") from error

    def _choose(self, prompts: tuple[Prompt, ...], choices: tuple[str, ...]) -> list[ChoiceProbabilities]:
        if choices not in self._answers:
            self._answers[choices] = answer_tokens(self._tokenizer, choices, self._spellings)
        check_prompts(self._info.name, self._capabilities, prompts)
        assert self._scorer is not None
        return [choice_answer(choices, *score) for score in self._scorer.score(prompts, self._answers[choices])]

    def _generate(
        self, prompts: tuple[Prompt, ...], max_tokens: int, temperature: float, schema: JsonSchema | None
    ) -> list[Generation]:
        check_max_tokens(max_tokens)
        check_schema(self._info.name, self._capabilities, schema)
        check_prompts(self._info.name, self._capabilities, prompts)
        assert self._loaded is not None
        if self._writer is None:
            assert self._scorer is not None
            # Three equal tokens could be luck: a prefix that cannot be shared for scores is not shared for texts.
            probe = probe_groups()[0] if self._scorer.frames_way else ()
            self._writer = Writer(self._info.name, self._loaded.model, self._encoder, self._scorer.check_length, probe)
        new_guide = None if schema is None or self._grammar is None else partial(self._grammar.guide, schema)
        return self._writer.write(prompts, max_tokens, temperature, new_guide)


def _accepted_inputs(model: Model) -> frozenset[str] | None:
    """Names that `forward` spells out; None for one that takes anything."""
    names = frozenset(inspect.signature(model.forward).parameters)
    return names if "input_ids" in names else None
