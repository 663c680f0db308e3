"""The engine for vLLM, inside our process: the highest throughput, on GPUs; on the CPU for trials and tests.

Not for models that vLLM does not know; those run with `transformers`. vLLM itself works in a child process. No URL
and no name of a picture that somebody else chose ever reaches it: it gets decoded pixels, named by their digest.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import weakref
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from pydantic import JsonValue

from judge.assets import model_path
from judge.config import NO_TRAITS, ModelTraits
from judge.engines.admission import SchemaRefused, check_max_tokens, check_prompts, check_schema
from judge.engines.base import YES_NO, Capabilities, JsonSchema, ModelInfo
from judge.engines.encoding import PromptEncoder
from judge.engines.loading import (
    ModelSource,
    describe_model,
    find_model,
    load_config_json,
    load_processor,
    precision_of,
)
from judge.engines.loop_thread import LoopThread
from judge.engines.model_folder import ModelCard
from judge.engines.probe import TOLERANCE
from judge.engines.vllm_interface import AsyncLLM
from judge.engines.vllm_requests import VllmRequests
from judge.errors import ConfigError, EngineError, JudgeError, did_you_mean
from judge.types import ChoiceProbabilities, Generation, Prompt

if TYPE_CHECKING:
    from judge.config import EngineConfig

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_MAX_FRAMES = 8
_ENVIRONMENT = {
    "VLLM_NO_USAGE_STATS": "1",  # otherwise it reports to its authors
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # standard output belongs to the verdicts
}
_CPU_ENVIRONMENT = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
"""On the CPU vLLM would start a third process for the model alone."""
_CPU_ARGUMENTS: dict[str, JsonValue] = {
    "enforce_eager": True,  # compiling takes minutes
    "block_size": 32,  # with the CPU's default of 128 a short prompt never hits the prefix cache
    "kv_cache_memory_bytes": 1 << 30,
    "mm_processor_cache_gb": 0.5,
}
_OURS = frozenset(
    ("model", "tokenizer", "revision", "tokenizer_revision", "dtype", "trust_remote_code", "logprobs_mode")
)
"""Arguments that `options` must not touch: set elsewhere, or the label mass would no longer be honest."""


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
        place = _import_vllm()
        _check_device(device, place)
        self._options = dict(options or {})
        _check_options(self._options)
        precision = precision_of(dtype, place)
        source = find_model(model, revision=revision, local_files_only=local_files_only)
        processor = load_processor(source, trust_remote_code=trust_remote_code, traits=traits)
        runtime = f"vllm/{_name_of(precision)}/{place}"
        config_json = load_config_json(source, trust_remote_code=trust_remote_code)
        info, card = describe_model(source, name=name, config_json=config_json, runtime=runtime, traits=traits)
        self._info = info
        self._capabilities = Capabilities(max_frames=_frame_limit(card, self._options))
        encoder = PromptEncoder(processor, template_options=traits.chat_template)
        if not encoder.has_template:
            _LOG.warning("model '%s' has no chat template: its prompts are plain text", info.name)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._gone = ""
        arguments = _common_arguments(source, precision, place) | {
            "trust_remote_code": trust_remote_code,
            "max_num_seqs": batch_size,
            "limit_mm_per_prompt": {"image": self._capabilities.max_frames},
            **({"mm_processor_kwargs": dict(traits.image)} if traits.image else {}),
            **self._options,
        }
        self._thread = LoopThread(f"vllm {info.name}")
        try:
            self._llm = self._thread.run(_start(info.name, arguments))
        except BaseException:
            self._thread.stop()
            raise
        # also at the interpreter's end, where vLLM's own clean-up comes too late and prints a traceback
        self._finalizer = weakref.finalize(self, _stop, self._llm, self._thread)
        self._requests = VllmRequests(
            self._llm,
            encoder,
            info,
            settings=json.dumps(arguments, sort_keys=True),
            sampling=_sampling(),
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
            if json_schema is None or not _is_refusal(error.__cause__):
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
            raise EngineError(f"model '{self._info.name}' failed: {_in_short(error)}") from error
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


# --- vLLM itself --------------------------------------------------------------------------------------------


def _import_vllm() -> str:
    """Import it with our environment, and tell the kind of device that it was built for."""
    for key, value in _ENVIRONMENT.items():  # before the import: it sets up its log then
        os.environ.setdefault(key, value)
    try:
        from vllm.platforms import current_platform  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"engine 'vllm' needs the package '{error.name}', which is not installed",
            hint="install the extra 'vllm', or on a machine without a GPU run `make setup-vllm`",
        ) from error
    except Exception as error:
        raise ConfigError(f"engine 'vllm': the package does not load here: {_in_short(error)}") from error
    place = str(current_platform.device_type)
    if place == "cpu":
        for key, value in _CPU_ENVIRONMENT.items():
            os.environ.setdefault(key, value)
    return place


def _check_device(device: str, place: str) -> None:
    if device not in ("auto", place, f"{place}:0"):
        raise ConfigError(
            f"device '{device}': the installed vLLM runs on '{place}'",
            hint="use auto; CUDA_VISIBLE_DEVICES chooses among several GPUs",
        )


def _check_options(options: Mapping[str, JsonValue]) -> None:
    from vllm import AsyncEngineArgs  # noqa: PLC0415

    known = {argument.name for argument in fields(AsyncEngineArgs)}
    for option in options:
        if option not in known:
            raise ConfigError(f"vLLM has no option '{option}'", hint=did_you_mean(option, known))
        if option in _OURS:
            raise ConfigError(f"vLLM's option '{option}' is not free", hint="see the other settings of the engine")


def _common_arguments(source: ModelSource, precision: torch.dtype, place: str) -> dict[str, JsonValue]:
    arguments: dict[str, JsonValue] = {
        "model": source.location,
        "dtype": _name_of(precision),
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        # llguidance refuses what it does not enforce; and free white space lets a weak model write nothing else
        "structured_outputs_config": {"backend": "guidance", "disable_any_whitespace": True},
        "use_tqdm_on_load": False,
    }
    if isinstance(source.place, str):
        arguments |= {"revision": source.revision, "tokenizer_revision": source.revision}
    return arguments | _CPU_ARGUMENTS if place == "cpu" else arguments


async def _start(name: str, arguments: Mapping[str, JsonValue]) -> AsyncLLM:
    """On the loop that the engine will live on.

    Raises:
        ConfigError: vLLM refuses the model or an argument.
        EngineError: The child process does not come up.
    """
    from vllm import AsyncEngineArgs  # noqa: PLC0415
    from vllm.v1.engine.async_llm import AsyncLLM as vllm_class  # noqa: PLC0415

    llm: Any = vllm_class
    try:
        config = AsyncEngineArgs(**arguments).create_engine_config()
    except Exception as error:
        raise ConfigError(f"model '{name}' cannot be loaded by vLLM: {_in_short(error)}") from error
    try:
        started: AsyncLLM = llm.from_vllm_config(config, disable_log_stats=bool(arguments["disable_log_stats"]))
    except Exception as error:
        raise EngineError(
            f"model '{name}': vLLM does not start: {_in_short(error)}",
            hint="its messages above say why; a script must load it under `if __name__ == '__main__':`",
        ) from error
    return started


def _stop(llm: Any, thread: LoopThread) -> None:
    thread.run(_stop_listening(llm))  # else its log calls the end of the child process a failure
    llm.shutdown()
    llm.shutdown = _nothing  # `__del__` calls it again, maybe when the interpreter has already cleared vLLM's modules
    thread.stop()


async def _stop_listening(llm: Any) -> None:
    if llm.output_handler is not None:
        llm.output_handler.cancel()
        await asyncio.gather(llm.output_handler, return_exceptions=True)


def _nothing() -> None:
    return None


def _sampling() -> Callable[..., object]:
    from vllm import SamplingParams  # noqa: PLC0415
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams  # noqa: PLC0415

    def make(*, json_schema: JsonSchema | None = None, **settings: object) -> object:
        if json_schema is not None:
            settings["structured_outputs"] = StructuredOutputsParams(json=json.dumps(dict(json_schema)))
        return SamplingParams(detokenize=False, output_kind=RequestOutputKind.FINAL_ONLY, **settings)

    return make


def _is_refusal(error: BaseException | None) -> bool:
    """Whether vLLM will not even try, as against having failed."""
    from vllm.exceptions import VLLMClientError  # noqa: PLC0415

    return isinstance(error, VLLMClientError)


# --- small parts --------------------------------------------------------------------------------------------


def _frame_limit(card: ModelCard, options: Mapping[str, JsonValue]) -> int:
    limit = card.max_frames or _MAX_FRAMES
    wanted = options.get("limit_mm_per_prompt")
    images = wanted.get("image") if isinstance(wanted, dict) else None
    return min(limit, images) if isinstance(images, int) else limit


def _name_of(precision: torch.dtype) -> str:
    return str(precision).removeprefix("torch.")


def _in_short(error: BaseException) -> str:
    """The innermost cause: vLLM wraps what happened in exceptions without a message."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
