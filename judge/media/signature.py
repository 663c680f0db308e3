"""What a file is, from its first bytes. Suffixes and Content-Type headers are claims of whoever sent the file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

IMAGE_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""Formats that are decoded, as Pillow calls them."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a file seems to be. For an image, `name` is one of `IMAGE_FORMATS`."""

    kind: Literal["image", "video", "other", "unknown"]
    name: str


_PREFIXES: tuple[tuple[bytes, Signature], ...] = (
    (b"\xff\xd8\xff", Signature("image", "JPEG")),
    (b"\x89PNG\r\n\x1a\n", Signature("image", "PNG")),
    (b"GIF87a", Signature("image", "GIF")),
    (b"GIF89a", Signature("image", "GIF")),
    (b"II*\0", Signature("image", "TIFF")),
    (b"MM\0*", Signature("image", "TIFF")),
    (b"II+\0", Signature("image", "TIFF")),
    (b"MM\0+", Signature("image", "TIFF")),
    (b"\x1a\x45\xdf\xa3", Signature("video", "WebM or Matroska")),
    (b"FLV\x01", Signature("video", "FLV")),
    (b"OggS", Signature("video", "Ogg")),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Signature("video", "WMV")),
    (b"\0\0\x01\xba", Signature("video", "MPEG")),
    (b"\0\0\x01\xb3", Signature("video", "MPEG")),
    (b"%PDF-", Signature("other", "PDF document")),
    (b"8BPS", Signature("other", "Photoshop document")),
    (b"\0\0\x01\0", Signature("other", "Windows icon")),
    (b"\xff\x0a", Signature("other", "JPEG XL picture")),
    (b"\0\0\0\x0cJXL ", Signature("other", "JPEG XL picture")),
    (b"\0\0\0\x0cjP  ", Signature("other", "JPEG 2000 picture")),
    (b"PK\x03\x04", Signature("other", "ZIP archive or office document")),
    (b"\x1f\x8b", Signature("other", "gzip archive")),
    (b"7z\xbc\xaf\x27\x1c", Signature("other", "7z archive")),
    (b"Rar!\x1a\x07", Signature("other", "RAR archive")),
    (b"\x7fELF", Signature("other", "program")),
    (b"MZ", Signature("other", "program")),
    (b"version https://git-lfs", Signature("other", "Git LFS pointer (the real file was not downloaded)")),
    (b"#EXTM3U", Signature("other", "HLS playlist")),
    (b"ffconcat version", Signature("other", "list of files for FFmpeg")),
    (b"v=0\n", Signature("other", "SDP session")),
    (b"v=0\r\n", Signature("other", "SDP session")),
    (b"BM", Signature("image", "BMP")),
)
_RIFF = {
    b"WEBP": Signature("image", "WEBP"),
    b"AVI ": Signature("video", "AVI"),
    b"WAVE": Signature("other", "WAV sound"),
}
_MARKUP = (
    (re.compile(rb"<(!doctype html|html|head|body)\b", re.I), Signature("other", "HTML page")),
    (re.compile(rb"(<\?xml.*?|<!--.*?-->\s*)?<svg\b", re.I | re.S), Signature("other", "SVG drawing")),
    (re.compile(rb"(<\?xml[^>]*>\s*)?<MPD\b"), Signature("other", "DASH manifest")),
    (re.compile(rb"<\?xml\b", re.I), Signature("other", "XML document")),
)
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_QUICKTIME_ATOMS = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip"})
_TEXT_BYTES = 1024


def sniff(data: bytes) -> Signature:
    """Name the content of a file from its first bytes; it may still turn out damaged."""
    for prefix, signature in _PREFIXES:
        # "BM" and "MZ" also begin words.
        if data.startswith(prefix) and not (len(prefix) == 2 and _is_text(data)):
            return signature
    if data.startswith(b"RIFF") and data[8:12] in _RIFF:
        return _RIFF[data[8:12]]
    if data[4:8] == b"ftyp":
        return _iso_media(data)
    if data[4:8] in _QUICKTIME_ATOMS:
        return Signature("video", "QuickTime")
    head = data[:_TEXT_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip()
    for pattern, signature in _MARKUP:
        if pattern.match(head):
            return signature
    return Signature("other", "text file") if _is_text(data) else Signature("unknown", "unknown")


def _iso_media(data: bytes) -> Signature:
    """An ISO base media file says what it is by its major brand and the compatible ones after it."""
    end = min(int.from_bytes(data[:4], "big"), 512)
    major = data[8:12]
    brands = {major, *(data[at : at + 4] for at in range(16, end, 4))}
    if brands & {b"avif", b"avis"}:
        return Signature("image", "AVIF")
    if brands & _HEIF_BRANDS:
        return Signature("other", "HEIC picture")
    if major in (b"M4A ", b"M4B "):
        return Signature("other", "MPEG-4 sound")
    return Signature("video", "QuickTime" if major == b"qt  " else "MP4")


def _is_text(data: bytes) -> bool:
    """Whether the beginning is UTF-8 without control characters other than white space."""
    try:
        text = data[:_TEXT_BYTES].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < min(len(data), _TEXT_BYTES) - 3:  # not merely a character cut in two
            return False
        text = data[: error.start].decode("utf-8")
    return bool(text) and all(character.isprintable() or character in "\t\n\r\f\v" for character in text)
