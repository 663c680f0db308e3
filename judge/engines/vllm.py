"""The engine for vLLM, inside our process: the highest throughput, on GPUs; on the CPU for trials and tests.

Not for models that vLLM does not know; those run with `transformers`. vLLM itself works in a child process. No URL
and no name of a picture that somebody else chose ever reaches it: it gets decoded pixels, named by their digest.
Not here: its start and end (`vllm_start`), and what is asked of it (`vllm_requests`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import weakref
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import JsonValue

from judge.assets import model_path
from judge.config import NO_TRAITS, ModelTraits
from judge.engines.admission import SchemaRefused, check_max_tokens, check_prompts, check_schema
from judge.engines.base import YES_NO, Capabilities, JsonSchema, ModelInfo
from judge.engines.encoding import PromptEncoder
from judge.engines.loading import describe_model, find_model, load_config_json, load_processor, precision_of
from judge.engines.loop_thread import LoopThread
from judge.engines.model_folder import ModelCard
from judge.engines.probe import TOLERANCE
from judge.engines.vllm_requests import VllmRequests
from judge.engines.vllm_start import (
    check_device,
    check_options,
    common_arguments,
    import_vllm,
    in_short,
    is_refusal,
    name_of,
    sampling_parameters,
    start,
    stop,
)
from judge.errors import ConfigError, EngineError, JudgeError
from judge.types import ChoiceProbabilities, Generation, Prompt

if TYPE_CHECKING:
    from judge.config import EngineConfig

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_MAX_FRAMES = 8


class VllmEngine:
    """See `judge.engines.base.Engine` for the contract.

    These environment variables are set when an engine is made, unless they are set already: `VLLM_NO_USAGE_STATS`,
    `VLLM_LOGGING_LEVEL`, `VLLM_LOGGING_STREAM`, and on the CPU `VLLM_ENABLE_V1_MULTIPROCESSING`.
    The child process is spawned, so a script must make its engine under `if __name__ == "__main__":`.

    Args:
        model: A folder, or the id of a model on the Hugging Face hub.
        name: What to call it; empty = as its card or folder says.
        device: `auto`, or the kind that the installed vLLM was built for: `cpu`, `cuda`.
        dtype: `auto` (float32 on the CPU, bfloat16 on a GPU), `float32`, `bfloat16`, `float16`.
        batch_size: Most prompts in one forward pass.
        revision: Of a hub model.
        trust_remote_code: Run code that comes with the model.
        local_files_only: Never ask the hub.
        options: More arguments of vLLM's `AsyncEngineArgs`, over our defaults.
        traits: How the model wants to be loaded, asked and read.

    Raises:
        ConfigError: vLLM is not installed, an option is wrong, or the model cannot be found or loaded by it.
        EngineError: It does not start, has no tokens for Yes and No, or fails the test of itself.
    """

    def __init__(
        self,
        model: str,
        *,
        name: str = "",
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int = 32,
        revision: str | None = None,
        trust_remote_code: bool = False,
        local_files_only: bool = False,
        options: Mapping[str, JsonValue] | None = None,
        traits: ModelTraits = NO_TRAITS,
    ) -> None:
        if traits.wrapper_class:
            raise ConfigError(f"model '{model}' does not run in vLLM", hint="use the engine transformers")
        place = import_vllm()
        check_device(device, place)
        self._options = dict(options or {})
        check_options(self._options)
        precision = precision_of(dtype, place)
        source = find_model(model, revision=revision, local_files_only=local_files_only)
        processor = load_processor(source, trust_remote_code=trust_remote_code, traits=traits)
        runtime = f"vllm/{name_of(precision)}/{place}"
        config_json = load_config_json(source, trust_remote_code=trust_remote_code)
        info, card = describe_model(source, name=name, config_json=config_json, runtime=runtime, traits=traits)
        self._info = info
        self._capabilities = Capabilities(max_frames=_frame_limit(card, self._options))
        encoder = PromptEncoder(processor, template_options=traits.chat_template)
        if not encoder.has_template:
            _LOG.warning("model '%s' has no chat template: its prompts are plain text", info.name)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._gone = ""
        arguments = common_arguments(source, precision, place) | {
            "trust_remote_code": trust_remote_code,
            "max_num_seqs": batch_size,
            "limit_mm_per_prompt": {"image": self._capabilities.max_frames},
            **({"mm_processor_kwargs": dict(traits.image)} if traits.image else {}),
            **self._options,
        }
        self._thread = LoopThread(f"vllm {info.name}")
        try:
            self._llm = self._thread.run(start(info.name, arguments))
        except BaseException:
            self._thread.stop()
            raise
        # also at the interpreter's end, where vLLM's own clean-up comes too late and prints a traceback
        self._finalizer = weakref.finalize(self, stop, self._llm, self._thread)
        self._requests = VllmRequests(
            self._llm,
            encoder,
            info,
            settings=json.dumps(arguments, sort_keys=True),
            sampling=sampling_parameters(),
            spellings=traits.spellings,
        )
        try:
            self._thread.run(self._guard(self._requests.test(TOLERANCE[precision])))
            self._capabilities = replace(self._capabilities, structured=self._test_schemas())
        except BaseException:
            self._finalizer()
            raise

    @classmethod
    def from_config(cls, config: EngineConfig) -> VllmEngine:
        """Load the model that a configuration names, an embedded one by its own name."""
        embedded = model_path(config.model)
        return cls(
            str(embedded or config.model),
            name=config.model if embedded else "",
            device=config.device,
            dtype=config.dtype,
            batch_size=config.batch_size,
            revision=config.revision,
            trust_remote_code=config.trust_remote_code,
            options=config.vllm.options,
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
        check_prompts(self._info.name, self._capabilities, prompts)
        return await self._call(self._requests.choose(tuple(prompts), tuple(choices)))

    async def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        json_schema: JsonSchema | None = None,
    ) -> list[Generation]:
        """All prompts at once, each with its own seed: the same batch gives the same texts."""
        check_max_tokens(max_tokens)
        check_schema(self._info.name, self._capabilities, json_schema)
        check_prompts(self._info.name, self._capabilities, prompts)
        try:
            return await self._call(self._requests.generate(tuple(prompts), max_tokens, temperature, json_schema))
        except EngineError as error:
            if json_schema is None or not is_refusal(error.__cause__):
                raise
            reason = f"model '{self._info.name}' cannot write under this JSON schema: {error.__cause__}"
            raise SchemaRefused(reason) from error.__cause__

    async def sleep(self, level: int = 1) -> None:
        """Free the GPU's memory until `wake`; running work is aborted, and calls raise `EngineError` meanwhile.

        Args:
            level: 1 keeps the weights in main memory, 2 drops them.

        Raises:
            ConfigError: Not on this kind of device, or without `enable_sleep_mode` among the options.
        """
        self._require_sleep_mode()
        await self._call(self._llm.sleep(level))
        self._gone = "asleep"

    async def wake(self) -> None:
        """Load again what `sleep` freed.

        Raises:
            ConfigError: As for `sleep`.
        """
        self._require_sleep_mode()
        if self._gone != "asleep":
            return
        await self._thread.call(self._guard(self._llm.wake_up()))
        self._gone = ""

    async def close(self) -> None:
        """End the child process, once running work is done; later calls raise `EngineError`."""
        if self._gone == "closed":
            return
        self._gone = "closed"
        await self._thread.call(self._drain())
        await asyncio.to_thread(self._finalizer)

    def _test_schemas(self) -> bool:
        """Whether vLLM's structured output works with this tokenizer on this machine."""
        try:
            self._thread.run(self._guard(self._requests.test_schemas()))
        except EngineError as error:
            if self._gone:
                raise
            _LOG.warning("model '%s' does not write under JSON schemas: %s", self._info.name, error.message)
            return False
        return True

    # --- calls ----------------------------------------------------------------------------------------------

    async def _call(self, work: Coroutine[Any, Any, T]) -> T:
        if self._gone:
            work.close()
            raise self._gone_error()
        return await self._thread.call(self._guard(work))

    async def _guard(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs on the private loop; only errors of ours leave."""
        from vllm.v1.engine.exceptions import EngineDeadError  # noqa: PLC0415

        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            return await work
        except JudgeError:
            raise
        except EngineDeadError as error:
            self._gone = self._gone or "dead"
            raise self._gone_error() from error
        except Exception as error:
            raise EngineError(f"model '{self._info.name}' failed: {in_short(error)}") from error
        finally:
            self._tasks.discard(task)

    def _gone_error(self) -> EngineError:
        if self._gone == "dead":
            return EngineError(
                f"model '{self._info.name}': its vLLM process has died", hint="vLLM's log says why; load the model anew"
            )
        return EngineError(f"model '{self._info.name}' is {self._gone}")

    async def _drain(self) -> None:
        others = [task for task in self._tasks if task is not asyncio.current_task()]
        await asyncio.gather(*others, return_exceptions=True)

    def _require_sleep_mode(self) -> None:
        from vllm.platforms import current_platform  # noqa: PLC0415

        if not current_platform.is_sleep_mode_available():
            raise ConfigError(f"vLLM cannot sleep on '{current_platform.device_type}'", hint="close the engine instead")
        if not self._options.get("enable_sleep_mode"):
            raise ConfigError("vLLM was not started for sleeping", hint="set the option enable_sleep_mode")


def _frame_limit(card: ModelCard, options: Mapping[str, JsonValue]) -> int:
    limit = card.max_frames or _MAX_FRAMES
    wanted = options.get("limit_mm_per_prompt")
    images = wanted.get("image") if isinstance(wanted, dict) else None
    return min(limit, images) if isinstance(images, int) else limit
