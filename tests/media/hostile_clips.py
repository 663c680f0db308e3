"""Videos that are not what they claim, that are damaged, or that are made to cost too much. Always the same ones."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .clips import CONTAINERS, alias, box, clip, with_box

SECRET = b"the secret of another file"
_SMALL = (400, 300)


@dataclass(frozen=True)
class Hostile:
    """`refusal` is a pattern of the message; None = frames or a refusal, whichever comes."""

    name: str
    data: bytes
    refusal: str | None
    limits: Mapping[str, object] = field(default_factory=dict)


def hostile_clips(folder: Path) -> Iterator[Hostile]:
    """All of them; `folder` gets the files that some of them name."""
    yield from misnamed(folder)
    yield from broken()
    yield from flipped()
    yield from greedy()
    yield redirected(folder)


def misnamed(folder: Path) -> Iterator[Hostile]:
    """Something else, playlists among it, which name a file that must not be read."""
    secret = folder / "secret.mp4"
    secret.write_bytes(clip(n_frames=2) + SECRET)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{secret}\n#EXT-X-ENDLIST\n".encode()
    manifest = f"<?xml version='1.0'?>\n<MPD><Period><BaseURL>file://{secret}</BaseURL></Period></MPD>".encode()
    yield Hostile("empty", b"", "empty")
    yield Hostile("text", b"not a film at all\n" * 50, "not a video; detected type: text file")
    yield Hostile("hls", playlist, "not a video; detected type: HLS playlist")
    yield Hostile("dash", manifest, "not a video; detected type: DASH manifest")
    yield Hostile(
        "concat", f"ffconcat version 1.0\nfile '{secret}'\n".encode(), "detected type: list of files for FFmpeg"
    )
    yield Hostile("sdp", b"v=0\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n", "detected type: SDP session")
    # A signature in front does not make a playlist of it: FFmpeg is told the format.
    for name, head in (("mp4", box(b"ftyp", b"isom\0\0\0\0isom")), ("avi", b"RIFF\0\0\0\0AVI ")):
        for kind, text in (("hls", playlist), ("dash", manifest)):
            yield Hostile(
                f"{kind} behind {name}", head + text, "Invalid data|incomplete|no moving|no frames|end of file"
            )
    yield Hostile("flv", b"FLV\x01" + bytes(100), "FLV video is not decoded")
    yield Hostile("ogg", b"OggS" + bytes(100), "Ogg video is not decoded")
    yield Hostile("picture", clip(n_frames=1).replace(b"ftypisom", b"ftypavif", 1), "not a video; detected type: AVIF")
    yield Hostile("sound only", _sound_only(), "no moving pictures")


def broken() -> Iterator[Hostile]:
    """Cut off, or random behind a sound header."""
    for container in CONTAINERS:
        data = clip(container)
        for tenth in (0, 1, 3, 5, 7, 9):
            at = 12 + (len(data) - 12) * tenth // 10
            yield Hostile(f"{container} cut at {at}", data[:at], "incomplete: .* bytes are missing")
        yield Hostile(f"{container} without its last byte", data[:-1], "incomplete: 1 bytes are missing")
        for seed in range(2):
            noise = random.Random(seed).randbytes(len(data) - 64)
            yield Hostile(f"{container} head, noise {seed}", data[:64] + noise, ".")
    fragments = clip(mux=(("movflags", "frag_keyframe+empty_moov"),))
    yield Hostile("no frames", fragments[: fragments.index(b"moof") - 4], "it contains no frames|states no size")
    yield from shortened()


def shortened() -> Iterator[Hostile]:
    """Cut off, and the outermost size adjusted, so that only the decoder can notice."""
    mp4 = clip(mux=(("movflags", "faststart"),))
    media = mp4.index(b"mdat") - 4
    mp4 = mp4[:media] + bytes(4) + mp4[media + 4 :]  # a size of 0: to the end of the file
    avi, mkv = clip("avi"), clip("mkv")
    segment = mkv.index(b"\x18\x53\x80\x67") + 4
    for tenth in (3, 6, 9):
        yield Hostile(
            f"mp4 shortened to {tenth}/10",
            mp4[: media + (len(mp4) - media) * tenth // 10],
            "incomplete: .* of 40" if tenth < 9 else None,
        )
        end = 400 + (len(avi) - 400) * tenth // 10
        end -= end % 2
        riff = avi[:4] + (end - 8).to_bytes(4, "little") + avi[8:end]
        yield Hostile(f"avi shortened to {tenth}/10", riff, "." if tenth < 9 else None)
        end = 800 + (len(mkv) - 800) * tenth // 10
        size = (1 << 56 | end - segment - 8).to_bytes(8, "big")
        found = mkv[:segment] + size + mkv[segment + 8 : end]
        yield Hostile(
            f"mkv shortened to {tenth}/10", found, "incomplete: it ends at .* of 1.6 s" if tenth < 9 else None
        )


def flipped() -> Iterator[Hostile]:
    """Ten bytes each are other ones."""
    for container in CONTAINERS:
        for seed in range(2):
            data = bytearray(clip(container))
            chance = random.Random(seed)
            for _ in range(10):
                data[chance.randrange(16, len(data))] = chance.randrange(256)
            yield Hostile(f"{container} flipped {seed}", bytes(data), None)


def greedy() -> Iterator[Hostile]:
    """Much declared, little given; or much given."""
    data = clip("webm", n_frames=2, size=_SMALL, codec="libvpx")
    in_box = data.replace(b"\xb0\x82\x01\x90", b"\xb0\x82\x27\x10").replace(b"\xba\x82\x01\x2c", b"\xba\x82\x27\x10")
    assert in_box != data
    in_stream = _huge_vp8(data)
    too_large = "10000 x 10000 pixels: more than 16,000,000"
    yield Hostile("10,000 x 10,000 in header and stream", _huge_vp8(in_box), too_large)
    yield Hostile("10,000 x 10,000 in the header", in_box, None)
    yield Hostile("10,000 x 10,000 in the stream", in_stream, "keyframes cannot be decoded")
    large = clip(n_frames=5, size=(5200, 3000), coding=(("preset", "ultrafast"),))
    yield Hostile("5,200 x 3,000 in 64 MB", large, None, {"memory_mb": 64})
    yield Hostile("too long", clip(n_frames=3, times_ms=(0, 1000, 20_000_000)), "longer than 14,400.0 s")
    yield Hostile("no time", clip(), "took longer than 0.01 s", {"wall_s": 0.01})
    yield Hostile("too many bytes", clip(), "bytes: more than 1,000", {"max_bytes": 1000})


def redirected(folder: Path) -> Hostile:
    """Its pictures are said to lie in another file."""
    return Hostile("pictures in another file", pointing_to(elsewhere(folder)), "it contains no frames")


def elsewhere(folder: Path) -> Path:
    """The file that `redirected` names, with pictures 100 to 102."""
    path = folder / "elsewhere.mov"
    path.write_bytes(clip("mov", n_frames=3, first=100, codec="rawvideo", pixels="uyvy422"))
    return path


def pointing_to(path: Path) -> bytes:
    """Pictures 0 to 2 stand in the file itself, at the same places as the others in the file at `path`."""
    own = clip("mov", n_frames=3, codec="rawvideo", pixels="uyvy422")
    return with_box(own, (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"), alias(str(path)))


def _sound_only() -> bytes:
    return with_box(clip(n_frames=2), (b"moov", b"trak", b"mdia", b"hdlr"), bytes(8) + b"soun" + bytes(13))


def _huge_vp8(data: bytes) -> bytes:
    """The size in every keyframe of VP8 (RFC 6386, 9.1): 14 bits each."""
    changed = data.replace(b"\x9d\x01\x2a\x90\x01\x2c\x01", b"\x9d\x01\x2a\x10\x27\x10\x27")
    assert changed != data
    return changed
