"""How much of a file has not arrived yet, by what its own container says.

A copy that pauses for longer than SETTLE_SECONDS looks settled, and ffprobe reads full length and
all streams from the first kilobytes of a Matroska file. Both Matroska and MP4 write down how
long they are, which costs a few reads to compare.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_MP4_FIRST_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp"})
_BOXES_MAX = 10_000  # fragmented MP4 has many; beyond these it is left to ffprobe


def missing_bytes(path: Path) -> int:
    """Return how many bytes the file lacks to be as long as it says; 0 when it does not say.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(64)
        if head.startswith(_EBML):
            return max(0, _matroska_length(head) - size)
        if head[4:8] in _MP4_FIRST_BOXES:
            return max(0, _mp4_length(file, size) - size)
    return 0


def _matroska_length(head: bytes) -> int:
    """Return the length after RFC 8794: the EBML header, then one Segment with its size."""
    header_size, at = _vint(head, 4)
    if header_size is None:
        return 0
    at += header_size
    if head[at : at + 4] != _SEGMENT:
        return 0
    segment_size, behind = _vint(head, at + 4)
    return 0 if segment_size is None else behind + segment_size


def _vint(data: bytes, at: int) -> tuple[int | None, int]:
    """Return an EBML variable-size integer and where it ends; nothing for an unknown size."""
    if at >= len(data) or data[at] == 0:
        return None, at
    width = 9 - data[at].bit_length()
    if at + width > len(data):
        return None, at
    value = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
    unknown = value == (1 << 7 * width) - 1
    return (None if unknown else value), at + width


def _mp4_length(file: BinaryIO, size: int) -> int:
    """Return where the last top-level box ends after ISO/IEC 14496-12, section 4.2."""
    at = 0
    for _ in range(_BOXES_MAX):
        if at + 8 > size:
            break
        file.seek(at)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 0:  # up to the end of the file
            return size
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < 8 or not header[4:8].isalnum():
            return size
        at += length
    return at
