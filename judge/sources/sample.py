"""One row of a source: where its media lies and what is said of it. Nothing is opened here: see `read`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from judge.media import FileMedia, UrlMedia
from judge.sources.categories import Category
from judge.types import Modality, Wire

Origin = Literal["real", "synthetic", "unknown"]


class TarMember(Wire):
    """A file inside an uncompressed tar archive."""

    kind: Literal["tar"] = "tar"
    """Tag of the union."""
    path: Path
    """The archive."""
    offset: int = Field(ge=0)
    """Where the member's bytes begin."""
    n_bytes: int = Field(ge=0)
    """How many there are."""
    name: str
    """The member's name, for people."""


class TableCell(Wire):
    """A cell of a Parquet file that holds encoded media."""

    kind: Literal["cell"] = "cell"
    """Tag of the union."""
    path: str
    """The file, or a URL that fsspec reads."""
    row: int = Field(ge=0)
    """Number of the row in the file."""
    column: str
    """Name of the column; `image.bytes` is the field `bytes` of the column `image`."""


class RemoteFile(Wire):
    """A file behind a URL that fsspec reads, e.g. `s3://bucket/key.jpg`."""

    kind: Literal["remote"] = "remote"
    """Tag of the union."""
    url: str
    """As fsspec takes it."""


class NoMedia(Wire):
    """A row that leads to no media; `Sample.problem` says why."""

    kind: Literal["none"] = "none"
    """Tag of the union."""


Locator = Annotated[FileMedia | UrlMedia | TarMember | TableCell | RemoteFile | NoMedia, Field(discriminator="kind")]
"""Where encoded media lies. Small and printable: it is what a row keeps instead of bytes."""


Span = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]
"""Start and end; the end does not belong to it."""


class Intervals(Wire):
    """When something harmful is seen in a video, as its data set says. A harmless video needs none."""

    unit: Literal["frames", "ms"]
    """Frames are counted from 0, as the video stores them."""
    harmful: tuple[Span, ...] = ()
    """Every harmful moment; none where nothing is said of this video."""
    unclear: tuple[Span, ...] = ()
    """Moments that are neither harmful nor harmless, where they are not harmful as well."""
    problem: str = ""
    """Why they cannot be read; there are none then. Empty otherwise."""


class Sample(Wire):
    """One row. What could not be used is a row as well, with a `problem`."""

    id: str
    """Unique in its source, and the same in every run: a path below the root, a row's own id, or a row number."""
    locator: Locator
    """Where its media lies."""
    modality: Modality
    """What it should be; what it is shows when it is read."""
    harmful: bool | None = None
    """The label; None for none, or one that cannot be read."""
    labels: tuple[str, ...] = ()
    """Kinds of harm in the set's own words."""
    categories: tuple[Category, ...] = ()
    """The same in common names."""
    text: str = ""
    """What was posted with it."""
    origin: Origin = "unknown"
    """Whether it shows something real or was generated."""
    group: str = ""
    """Samples of a group belong together, e.g. a picture and its edited twin; empty = alone."""
    attributes: Mapping[str, str] = Field(default_factory=dict)
    """More columns worth splitting results by, e.g. the type of stimulus."""
    intervals: Intervals | None = None
    """When a video is harmful; None where the set never says."""
    problem: str = ""
    """Why the row cannot be used as it should: no such file, a label that cannot be read; empty otherwise."""
