"""The parent's side of the decoder's process: starts it, gives it bytes, reads its answers, kills it.

It is not believed: every size is checked before anything is read, and whatever is not an answer ends it.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable

from judge.decoding.wire import HEADER, MAX_ERROR_BYTES, Job, Kind, Request, to_bytes
from judge.errors import MediaError

_LATEST_EXIT_S = 5.0
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


def shared_file(data: bytes) -> int:
    """A descriptor of a file without a name that holds `data`, to be closed by the caller.

    Raises:
        OSError: There is no room for it.
    """
    if not hasattr(os, "memfd_create"):
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.seek(0)
            return os.dup(file.fileno())
    descriptor = os.memfd_create("video", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


class DecoderProcess:
    """One process for one file. Every method raises `MediaError` without the file's name, and kills it then.

    Args:
        wall_s: Seconds that may be waited for it, in all.
    """

    def __init__(self, job: Job, *, wall_s: float) -> None:
        self._job = job
        self._wall_s = self._left_s = wall_s
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "judge.decoding"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd="/",
                env=_environment(),
                pass_fds=(job.descriptor,),
                start_new_session=True,
            )
        except OSError as error:
            raise MediaError(f"the decoder cannot be started: {error.strerror}") from error
        self._end = weakref.finalize(self, _kill, self._process)
        self.send(job)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not been ended from here."""
        return self._end.alive

    def send(self, message: Job | Request) -> None:
        """Small enough for the pipe to take it at once, or the process is waiting for it."""
        assert self._process.stdin is not None
        view = memoryview(to_bytes(message))
        os.set_blocking(self._process.stdin.fileno(), False)
        while view:
            self._wait(self._process.stdin.fileno(), select.POLLOUT)
            try:
                view = view[os.write(self._process.stdin.fileno(), view) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._death() from error

    def answer(self, largest: Callable[[Kind], int]) -> tuple[Kind, int]:
        """Kind and size of the next answer, whose payload is then read with `fill`.

        Args:
            largest: How many bytes an answer of a kind may have, below 0 if it must not come now.

        Raises:
            MediaError: The process reported an error (it lives on), or ended, or answered what it must not.
        """
        header = bytearray(HEADER.size)
        self.fill(header)
        code, size = HEADER.unpack(header)
        kind = Kind(code) if code in Kind._value2member_map_ else None
        if kind is Kind.ERROR and size <= MAX_ERROR_BYTES:
            raise self._reported(size)
        if kind is None or size > largest(kind):
            raise self.nonsense()
        return kind, size

    def fill(self, buffer: bytearray | memoryview) -> None:
        """Read as many bytes as the buffer has."""
        assert self._process.stdout is not None
        view = memoryview(buffer).cast("B")
        while view:
            self._wait(self._process.stdout.fileno(), select.POLLIN)
            n_bytes = os.readv(self._process.stdout.fileno(), [view])
            if not n_bytes:
                raise self._death()
            view = view[n_bytes:]

    def nonsense(self) -> MediaError:
        """Kill it, because it does not keep to the protocol."""
        self.end()
        return MediaError("the decoder gave an answer that makes no sense", hint="this file is not to be trusted")

    def end(self) -> None:
        """Kill it; may be called twice."""
        self._end()

    def _wait(self, descriptor: int, event: int) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        started = time.monotonic()
        ready = poll.poll(max(self._left_s, 0.0) * 1000)
        self._left_s -= time.monotonic() - started
        if not ready:
            self.end()
            raise MediaError(
                f"decoding took longer than {self._wall_s:g} s",
                hint="cut it into pieces or raise video.decoding.wall_s",
            )

    def _reported(self, size: int) -> MediaError:
        text = bytearray(size)
        self.fill(text)
        message, _, hint = (_plain(part) for part in text.decode("utf-8", "replace").partition("\0"))
        return MediaError(message or "the decoder failed", hint=hint)

    def _death(self) -> MediaError:
        """Why it ended by itself."""
        try:
            code = self._process.wait(_LATEST_EXIT_S)
        except subprocess.TimeoutExpired:
            code = 0
        self.end()
        if code == -signal.SIGXCPU:
            return MediaError(
                f"decoding took more than {self._job.cpu_s:g} s of processor time",
                hint="cut it into pieces or raise video.decoding.cpu_s",
            )
        if code >= 0:
            return MediaError("the decoder ended without an answer")
        if code == -signal.SIGKILL:
            return MediaError("the decoder was killed from outside", hint="the machine may have run out of memory")
        name = signal.Signals(-code).name if -code in signal.valid_signals() else str(-code)
        return MediaError(f"the decoder crashed on it ({name})")


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _environment() -> dict[str, str]:
    """Nothing of the caller's secrets; the same modules as here, whatever made them importable."""
    places = [os.path.abspath(place) for place in sys.path]
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {"PYTHONPATH": os.pathsep.join(places), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", **kept}


def _plain(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
