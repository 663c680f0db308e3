"""A real vLLM server for OpenAI's API with the embedded model, on the CPU: a process of its own, started once.

It speaks to nobody but 127.0.0.1 and asks no hub for anything.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property

import httpx
import pytest

from judge.assets import model_path
from judge.config import EngineConfig, OpenAIOptions
from judge.engines.base import Engine
from judge.engines.build import build_engine

one_server = pytest.mark.xdist_group("vllm-server")
"""On every test with `shared_vllm_server`: they run in one process."""
MODEL = "stickers-vlm"
MAX_FRAMES = 8
_START_S = 400
"""40 s on two free cores; more than 200 s were seen with ten processes for each."""
_LIFE_S = 1200
"""Then `timeout` ends it, even where the tests themselves were killed."""
_LOG_LINES = 200
_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_CPU_KVCACHE_SPACE": "1",
}


@dataclass
class VllmServer:
    """A started server; `log` holds its last lines."""

    process: subprocess.Popen[str]
    port: int
    log: deque[str] = field(default_factory=lambda: deque(maxlen=_LOG_LINES))

    @property
    def options(self) -> OpenAIOptions:
        return OpenAIOptions(base_url=f"http://127.0.0.1:{self.port}/v1", max_frames=MAX_FRAMES)

    @property
    def config(self) -> EngineConfig:
        return EngineConfig(name="openai", model=MODEL, openai=self.options)

    @cached_property
    def engine(self) -> Engine:
        """That asks it."""
        return build_engine(self.config)

    def kill(self) -> None:
        """The whole group: vLLM's process for the model outlives a killed server, and `timeout` would too."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)


@cache
def shared_vllm_server() -> VllmServer:
    """It ends with the interpreter; who kills it must do `shared_vllm_server.cache_clear()`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        ["timeout", "--kill-after=10", str(_LIFE_S), *_command(port)],
        env=os.environ | _ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    server = VllmServer(process, port)
    atexit.register(server.kill)
    threading.Thread(target=_keep_log, args=(server,), daemon=True).start()
    try:
        _await_health(server)
    except BaseException:
        server.kill()
        raise
    return server


def _command(port: int) -> list[str]:
    settings = {
        "model": model_path(MODEL),
        "served-model-name": MODEL,
        "host": "127.0.0.1",
        "port": port,
        "dtype": "float32",
        "block-size": 32,
        "max-num-seqs": 32,
        "limit-mm-per-prompt": json.dumps({"image": MAX_FRAMES}),
        "mm-processor-cache-gb": 0.5,
        # as judge.engines.vllm sets it: with free white space this model writes nothing else
        "structured-outputs-config": json.dumps({"backend": "guidance", "disable_any_whitespace": True}),
        "uvicorn-log-level": "warning",
    }
    options = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    flags = ["--enforce-eager", "--disable-log-stats", "--disable-uvicorn-access-log"]
    return [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *options, *flags]


def _keep_log(server: VllmServer) -> None:
    assert server.process.stdout is not None
    for line in server.process.stdout:
        server.log.append(line[:500])


def _await_health(server: VllmServer) -> None:
    end_s = time.monotonic() + _START_S
    while time.monotonic() < end_s:
        if server.process.poll() is not None:
            break
        with suppress(httpx.HTTPError):
            if httpx.get(f"http://127.0.0.1:{server.port}/health", timeout=5, trust_env=False).status_code == 200:
                return
        time.sleep(0.25)
    raise RuntimeError("vLLM's server does not start:\n" + "".join(server.log))
