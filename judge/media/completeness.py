"""Whether a video file ends before it says so itself, from the sizes that its outermost boxes state.

What is cut off would not be judged, and a file that is judged by its beginning alone is not safe.
"""

from __future__ import annotations

from collections.abc import Iterator

_SEGMENT = b"\x18\x53\x80\x67"


def missing_bytes(data: bytes, container: str) -> int:
    """How many bytes the file lacks: 0 if it is whole, or does not say how long it is.

    Args:
        container: `mov` (mp4 too), `avi` or `matroska`.
    """
    ends = {"mov": _box_ends, "avi": _chunk_ends, "matroska": _element_ends}[container]
    return max([end - len(data) for end in ends(data)], default=0) if data else 0


def _box_ends(data: bytes) -> Iterator[int]:
    """ISO 14496-12, section 4.2: size 1 means that it stands in eight bytes more, 0 that it goes on to the end."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size < 8:
            return
        at += size
        yield at


def _chunk_ends(data: bytes) -> Iterator[int]:
    """RIFF: the size does not count its own eight bytes, and is made even; 0 in a recording that was not finished."""
    at = 0
    while data[at : at + 4] == b"RIFF":
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if not size:
            return
        at += 8 + size + size % 2
        yield at


def _element_ends(data: bytes) -> Iterator[int]:
    """RFC 8794: two elements, the header and the segment; a size of all ones is not known."""
    at = 0
    for mark in (b"\x1a\x45\xdf\xa3", _SEGMENT):
        if data[at : at + 4] != mark or at + 4 >= len(data) or not data[at + 4]:
            return
        n_bytes = 9 - data[at + 4].bit_length()
        size = int.from_bytes(data[at + 4 : at + 4 + n_bytes], "big") & ((1 << (7 * n_bytes)) - 1)
        if size == (1 << (7 * n_bytes)) - 1:
            return
        at += 4 + n_bytes + size
        yield at
