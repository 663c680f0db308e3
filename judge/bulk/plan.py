"""What is to be labelled, and how rows are chosen: values that travel to other processes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from judge.bulk.parts import Span
from judge.config import DecodingSettings
from judge.media import Permissions
from judge.sources.columns import Columns
from judge.sources.open import open_source
from judge.sources.sample import Sample
from judge.sources.stream import SampleStream

if TYPE_CHECKING:
    from judge.bulk.decoders import PictureDecoder

_GUESSED = Columns()


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """The arguments of `open_source`, so that every process opens the source itself."""

    source: str
    root: Path | None = None
    split: str | None = None
    columns: Columns = _GUESSED

    def open(self) -> SampleStream:
        """Raises as `open_source`."""
        return open_source(self.source, root=self.root, split=self.split, columns=self.columns)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows of the source are labelled.

    Attributes:
        share: Of the rows, drawn by their ids: the same rows in every run, whatever else the source holds.
        limit: The first so many of these; None = all.
    """

    share: float = 1.0
    seed: int = 0
    limit: int | None = None

    def of(self, samples: Iterator[Sample]) -> Iterator[Sample]:
        chosen = samples if self.share >= 1.0 else filter(self._is_drawn, samples)
        return islice(chosen, self.limit)

    def _is_drawn(self, sample: Sample) -> bool:
        drawn = hashlib.blake2b(f"{self.seed} {sample.id}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(drawn) < self.share * 2**64


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """What the reader needs.

    Attributes:
        parts: Folder of the rows that are written.
        written: Those that were when the run began: they are skipped, and their verdicts serve duplicates. A reader
            that is started again must give the same bundles again, so this may not grow.
        bundle_rows: Rows that are decoded and judged together...
        bundle_bytes: ...fewer if their encoded media have so many bytes.
        duplicates: Whether the same media with the same text are judged once only.
        threads: Media that are read at the same time.
    """

    source: SourceSpec
    selection: Selection
    permissions: Permissions
    parts: Path
    written: tuple[Span, ...] = ()
    bundle_rows: int = 16
    bundle_bytes: int = 16 * 2**20
    duplicates: bool = True
    threads: int = 8


@dataclass(frozen=True, slots=True)
class Cluster:
    """How much of what.

    Attributes:
        address: Of a running cluster, or `auto`; None = one is started here, for this labelling alone.
        judges: Actors with an engine each.
        cpus: Logical CPUs of each judge, which are also the threads of its libraries.
        gpus: GPUs of each judge; may be a share.
        decoders: Actors that decode.
    """

    address: str | None = None
    judges: int = 1
    cpus: float = 1.0
    gpus: float = 0.0
    decoders: int = 1


@dataclass(frozen=True, slots=True)
class DecoderSpec:
    """How to start a decoder of pictures.

    Attributes:
        limits: Memory and seconds for one picture.
        processes: Pictures decoded at the same time.
    """

    limits: DecodingSettings
    processes: int = 1

    def start(self) -> PictureDecoder:
        from judge.bulk.decoders import PictureDecoder  # noqa: PLC0415  (needs pebble)

        return PictureDecoder(self.limits, self.processes)
