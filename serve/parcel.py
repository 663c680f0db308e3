"""Work on its way to another process. Its constitution, which hardly ever changes, is written and read once."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar

from judge.constitution import Constitution
from serve.backend import Work

T = TypeVar("T")
_MOST = 32
"""Constitutions that are kept ready."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A `Work`: its fields without the constitution, and that one as bytes, between processes of the same service."""

    rest: dict[str, Any]
    digest: str
    constitution: bytes


class Packer:
    """Makes and opens parcels, and remembers the constitutions of both by their digest."""

    def __init__(self) -> None:
        self._packed: _Recent[bytes] = _Recent()
        self._opened: _Recent[Constitution] = _Recent()

    def pack(self, work: Work) -> Parcel:
        constitution = work.constitution
        packed = self._packed.get(constitution.digest)
        if packed is None:
            packed = self._packed.keep(constitution.digest, pickle.dumps(constitution))
        rest = {each.name: getattr(work, each.name) for each in fields(work) if each.name != "constitution"}
        return Parcel(rest, constitution.digest, packed)

    def open(self, parcel: Parcel) -> Work:
        constitution = self._opened.get(parcel.digest)
        if constitution is None:
            constitution = self._opened.keep(parcel.digest, pickle.loads(parcel.constitution))
        return Work(constitution=constitution, **parcel.rest)


class _Recent(Generic[T]):
    """The last few, by name."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, T] = OrderedDict()

    def get(self, name: str) -> T | None:
        if name in self._kept:
            self._kept.move_to_end(name)
        return self._kept.get(name)

    def keep(self, name: str, value: T) -> T:
        self._kept[name] = value
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)
        return value
