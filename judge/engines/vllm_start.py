"""Imports vLLM, starts it and ends it: its arguments, its environment, its child process."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import torch
from pydantic import JsonValue

from judge.engines.base import JsonSchema
from judge.engines.loading import ModelSource
from judge.engines.loop_thread import LoopThread
from judge.engines.vllm_interface import AsyncLLM
from judge.errors import ConfigError, EngineError, did_you_mean

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


def import_vllm() -> str:
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
        raise ConfigError(f"engine 'vllm': the package does not load here: {in_short(error)}") from error
    place = str(current_platform.device_type)
    if place == "cpu":
        for key, value in _CPU_ENVIRONMENT.items():
            os.environ.setdefault(key, value)
    return place


def check_device(device: str, place: str) -> None:
    if device not in ("auto", place, f"{place}:0"):
        raise ConfigError(
            f"device '{device}': the installed vLLM runs on '{place}'",
            hint="use auto; CUDA_VISIBLE_DEVICES chooses among several GPUs",
        )


def check_options(options: Mapping[str, JsonValue]) -> None:
    from vllm import AsyncEngineArgs  # noqa: PLC0415

    known = {argument.name for argument in fields(AsyncEngineArgs)}
    for option in options:
        if option not in known:
            raise ConfigError(f"vLLM has no option '{option}'", hint=did_you_mean(option, known))
        if option in _OURS:
            raise ConfigError(f"vLLM's option '{option}' is not free", hint="see the other settings of the engine")


def common_arguments(source: ModelSource, precision: torch.dtype, place: str) -> dict[str, JsonValue]:
    arguments: dict[str, JsonValue] = {
        "model": source.location,
        "dtype": name_of(precision),
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        # llguidance refuses what it does not enforce; and free white space lets a weak model write nothing else
        "structured_outputs_config": {"backend": "guidance", "disable_any_whitespace": True},
        "use_tqdm_on_load": False,
    }
    if isinstance(source.place, str):
        arguments |= {"revision": source.revision, "tokenizer_revision": source.revision}
    return arguments | _CPU_ARGUMENTS if place == "cpu" else arguments


async def start(name: str, arguments: Mapping[str, JsonValue]) -> AsyncLLM:
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
        raise ConfigError(f"model '{name}' cannot be loaded by vLLM: {in_short(error)}") from error
    try:
        started: AsyncLLM = llm.from_vllm_config(config, disable_log_stats=bool(arguments["disable_log_stats"]))
    except Exception as error:
        raise EngineError(
            f"model '{name}': vLLM does not start: {in_short(error)}",
            hint="its messages above say why; a script must load it under `if __name__ == '__main__':`",
        ) from error
    return started


def stop(llm: Any, thread: LoopThread) -> None:
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


def sampling_parameters() -> Callable[..., object]:
    from vllm import SamplingParams  # noqa: PLC0415
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams  # noqa: PLC0415

    def make(*, json_schema: JsonSchema | None = None, **settings: object) -> object:
        if json_schema is not None:
            settings["structured_outputs"] = StructuredOutputsParams(json=json.dumps(dict(json_schema)))
        return SamplingParams(detokenize=False, output_kind=RequestOutputKind.FINAL_ONLY, **settings)

    return make


def is_refusal(error: BaseException | None) -> bool:
    """Whether vLLM will not even try, as against having failed."""
    from vllm.exceptions import VLLMClientError  # noqa: PLC0415

    return isinstance(error, VLLMClientError)


def name_of(precision: torch.dtype) -> str:
    return str(precision).removeprefix("torch.")


def in_short(error: BaseException) -> str:
    """The innermost cause: vLLM wraps what happened in exceptions without a message."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
