"""Reads a few vectors from a file: safetensors, .npy, or the pickle of a NumPy array. No code of the file is run.

A pickle can call any function that it names. Ours may name what arrays are made of, and nothing else, and what it names
is replaced by functions that only make small numeric arrays.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from judge.bench.detectors.checkpoints import missing_package, needed_file
from judge.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_BYTES = 1 << 24
_SUFFIXES = (".safetensors", ".npy", ".p", ".pkl", ".pickle")
_FLOATS = ("f2", "f4", "f8")


def read_vectors(path: str, what: str) -> tuple[NDArray[np.float32], str]:
    """`(rows, dimensions)`, and the sha256 (hex) of the file.

    Raises:
        ConfigError: The file is missing, too large, or holds no such array of finite numbers.
    """
    file = needed_file(path, what, _SUFFIXES)
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise ConfigError(f"{what} '{path}' is larger than {_MAX_BYTES:,} bytes: that is not a few vectors")
        data = file.read_bytes()
        found = np.asarray(_array(file, data))
    except ConfigError:
        raise
    except ImportError as error:
        raise missing_package(error) from error
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise ConfigError(
            f"{what} '{path}' cannot be read: {reason}", hint="save the array with numpy.save or safetensors"
        ) from error
    if found.ndim != 2 or found.dtype.kind != "f" or 0 in found.shape or not np.isfinite(found).all():
        raise ConfigError(f"{what} '{path}' must hold rows of finite numbers, not {found.dtype} {found.shape}")
    return found.astype(np.float32), hashlib.sha256(data).hexdigest()


def _array(file: Path, data: bytes) -> object:
    if file.suffix.lower() == ".npy":
        return np.load(io.BytesIO(data), allow_pickle=False)
    if file.suffix.lower() == ".safetensors":
        from safetensors.numpy import load  # noqa: PLC0415 - an extra brings it

        tensors = load(data)
        if len(tensors) != 1:
            raise ConfigError(f"'{file}' holds {len(tensors)} tensors, and it is not clear which is meant")
        return next(iter(tensors.values()))
    return _ArrayUnpickler(io.BytesIO(data)).load()


class _ArrayUnpickler(pickle.Unpickler):
    """Knows NumPy's arrays of floating point numbers only."""

    def find_class(self, module: str, name: str) -> Any:
        found = _HARMLESS.get((module.replace("numpy._core", "numpy.core"), name))
        if found is None:
            raise pickle.UnpicklingError(f"it wants {module}.{name}, which no array needs")
        return found

    def persistent_load(self, pid: object) -> Any:
        raise pickle.UnpicklingError("it refers to something outside")


def _dtype(kind: object, *_flags: object) -> np.dtype[Any]:
    if kind not in _FLOATS:
        raise pickle.UnpicklingError("it holds something other than floating point numbers")
    return np.dtype(str(kind), False, True)  # a copy: what follows in the file changes it


def _empty(*_said: object) -> NDArray[Any]:
    """Its state, which follows, brings size and content; the size that is said here could be anything."""
    return np.zeros(0, dtype=np.uint8)


def _latin1(text: object, encoding: object) -> bytes:
    """How older protocols write bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("it encodes something other than bytes")
    return text.encode("latin1")


def _from_buffer(data: Any, kind: Any, shape: Any, order: Any) -> NDArray[Any]:
    """How protocol 5 writes arrays."""
    return np.frombuffer(data, kind).reshape(shape, order=order)


_HARMLESS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _empty,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _latin1,
}
