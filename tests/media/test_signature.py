import pytest
from PIL import Image, features

from judge.media.signature import Signature, sniff

from .making import encode


@pytest.mark.parametrize("format", ["AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"])
def test_real_pictures(format: str) -> None:
    if format == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    assert sniff(encode(Image.new("RGB", (2, 2)), format)) == Signature("image", format)


def box(major: bytes, *compatible: bytes) -> bytes:
    content = b"ftyp" + major + b"\0\0\0\0" + b"".join(compatible)
    return (len(content) + 4).to_bytes(4, "big") + content + b"avif"


@pytest.mark.parametrize(
    ("data", "kind", "name"),
    [
        (box(b"isom", b"mp41"), "video", "MP4"),
        (box(b"qt  "), "video", "QuickTime"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "video", "QuickTime"),
        (b"\x1a\x45\xdf\xa3\x01\0\0\0", "video", "WebM or Matroska"),
        (b"RIFF\x10\0\0\0AVI LIST", "video", "AVI"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "other", "WAV sound"),
        (box(b"M4A "), "other", "MPEG-4 sound"),
        (box(b"heic", b"mif1"), "other", "HEIC picture"),
        (box(b"mif1", b"avif"), "image", "AVIF"),
        (b"%PDF-1.7\n%\xe2\xe3", "other", "PDF document"),
        (b"\xef\xbb\xbf \n<!DOCTYPE html><html>", "other", "HTML page"),
        (b"<html lang='en'>", "other", "HTML page"),
        (b"<?xml version='1.0'?>\n<svg xmlns=''>", "other", "SVG drawing"),
        (b"<svg>", "other", "SVG drawing"),
        (b"<?xml version='1.0'?><a/>", "other", "XML document"),
        (b"PK\x03\x04\x14", "other", "ZIP archive or office document"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "other",
            "Git LFS pointer (the real file was not downloaded)",
        ),
        (b"#EXTM3U\n/etc/passwd\n", "other", "HLS playlist"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "other", "list of files for FFmpeg"),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n", "other", "SDP session"),
        (b"<?xml version='1.0'?>\n<MPD xmlns='urn:mpeg:dash:schema:mpd:2011'>", "other", "DASH manifest"),
        (b"<MPD>", "other", "DASH manifest"),
        (b"BMW is a car", "other", "text file"),
        (b"MZ is a country code", "other", "text file"),
        ("Gr\u00fc\u00df dich".encode(), "other", "text file"),
        (b"x" * 1023 + "\u00fc".encode(), "other", "text file"),
        ("Gr\u00fc\u00df dich".encode("latin-1"), "unknown", "unknown"),
        (b"\x00\x01\x02\x03", "unknown", "unknown"),
        (b"", "unknown", "unknown"),
    ],
)
def test_other_files(data: bytes, kind: str, name: str) -> None:
    signature = sniff(data)
    assert (signature.kind, signature.name) == (kind, name)
