"""Videos of a few kilobytes that want to become gigabytes, where ffmpeg has zlib."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from tests.composing import ffmpeg
from tests.corpus import making

SUBTITLE_CUES = 200
SUBTITLE_BYTES = 1_000_000
PIXELS = 12_000


def subtitles(folder: Path) -> Path:
    """Put a film of 4 s into a folder whose subtitles are packed: 0.2 MB that become 200."""
    path = folder / "subtitle-bomb.mkv"
    film = folder / "inner.mkv"
    making.make("really-matroska.avi", folder).rename(film)
    packed = zlib.compress(b"a long word " * (SUBTITLE_BYTES // 12), 9)
    data = film.read_bytes()
    film.unlink()
    content = _element(0x6D80, _element(0x6240, _element(0x5034, _element(0x4254, b"\0"))))
    track = _element(0xAE, b"".join([
        _number(0xD7, 9), _number(0x73C5, 9), _number(0x83, 17), _element(0x86, b"S_TEXT/UTF8"),
        _element(0x22B59C, b"spa"), content,
    ]))  # fmt: skip
    cues = b"".join(
        _element(0xA0, _element(0xA1, b"\x89" + struct.pack(">hB", 10 * n, 0) + packed)
                 + _number(0x9B, 9))
        for n in range(SUBTITLE_CUES)
    )  # fmt: skip
    path.write_bytes(_with(data, track, _element(0x1F43B675, _number(0xE7, 0) + cues)))
    return path


def plain_subtitles(folder: Path) -> Path:
    """Put a film into a folder that holds 20 MB of subtitles as they are."""
    cues = (
        f"{n + 1}\n00:00:00,{n:03} --> 00:00:03,000\n{'long ' * 40_000}\n\n" for n in range(100)
    )
    text = folder / "long.srt"
    text.write_text("".join(cues))
    film = making.make("really-matroska.avi", folder)
    path = folder / "long-subtitles.mkv"
    ffmpeg("-i", f"file:{film}", "-i", f"file:{text}", "-map", "0", "-map", "1", "-c", "copy",
           "-metadata:s:s:0", "language=spa", f"file:{path}")  # fmt: skip
    film.unlink()
    text.unlink()
    return path


def cover(folder: Path) -> Path:
    """Put a film into a folder whose attached cover is 5 MB and unpacks to 1.2 GB."""
    packer, row = zlib.compressobj(1), bytes(1 + 8 * PIXELS)
    packed = b"".join(packer.compress(row) for _ in range(PIXELS)) + packer.flush()
    picture = folder / "cover.png"
    head = struct.pack(">IIBBBBB", PIXELS, PIXELS, 16, 6, 0, 0, 0)
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", packed)
                        + _chunk(b"IEND", b""))  # fmt: skip
    film = making.make("really-matroska.avi", folder)
    path = folder / "cover-bomb.mkv"
    ffmpeg("-i", f"file:{film}", "-c", "copy", "-attach", str(picture), "-metadata:s:t",
           "mimetype=image/png", f"file:{path}")  # fmt: skip
    film.unlink()
    picture.unlink()
    return path


def _with(film: bytes, track: bytes, cluster: bytes) -> bytes:
    """Return a Matroska file of ffmpeg's with a track, and a cluster at its end, put into it."""
    at, segment = film.rindex(b"\x16\x54\xae\x6b", 0, 5000), film.index(b"\x18\x53\x80\x67")
    begin, end = _inside(film, at + 4)
    tracks = _element(0x1654AE6B, film[begin:end] + track)
    body = film[_inside(film, segment + 4)[0] : at] + tracks + film[end:] + cluster
    return film[:segment] + _element(0x18538067, body)


def _inside(data: bytes, at: int) -> tuple[int, int]:
    """Return where the content of an element begins and ends whose length stands somewhere."""
    width = 9 - data[at].bit_length()
    size = int.from_bytes(data[at : at + width], "big") & (2 ** (7 * width) - 1)
    return at + width, at + width + size


def _element(name: int, data: bytes) -> bytes:
    length = (name.bit_length() + 7) // 8
    return name.to_bytes(length, "big") + b"\x01" + len(data).to_bytes(7, "big") + data


def _number(name: int, value: int) -> bytes:
    return _element(name, value.to_bytes(8, "big"))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
