"""Subtitles of our own lines."""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from dubarr_watch.dubbing.subtitle_text import Cue

MAX_LINE_CHARS = 42
"""Width of a subtitle line that broadcasters and streaming services agree on."""

MAX_LINES = 2


def write_srt(lines: Sequence[Cue], path: Path) -> None:
    """Write lines as a SubRip file: UTF-8, at most two lines of about 42 characters at a time.

    A longer text is split in time by its length; a cue ends at the latest where the next starts.

    Args:
        lines: In order of start.
        path: The file to write.
    """
    cues = [shown for line in _without_overlaps(lines) for shown in _split(line)]
    blocks = [
        f"{number}\n{_clock(cue.start_s)} --> {_clock(cue.end_s)}\n{cue.text}\n"
        for number, cue in enumerate(cues, start=1)
    ]
    path.write_bytes("\n".join(blocks).encode("utf-8", "replace"))


def _without_overlaps(lines: Sequence[Cue]) -> Iterator[Cue]:
    for position, line in enumerate(lines):
        text = _plain(line.text)
        until_s = lines[position + 1].start_s if position + 1 < len(lines) else math.inf
        end_s = min(line.end_s, until_s)
        if text and _ms(end_s) > _ms(line.start_s):
            yield Cue(line.start_s, end_s, text)


def _plain(text: str) -> str:
    """Return a text on one line without what would end a cue or be taken for markup."""
    text = "".join(ch if unicodedata.category(ch)[0] != "C" else " " for ch in text)
    return " ".join(text.split()).replace("-->", "→").replace("<", "‹").replace(">", "›")


def _split(line: Cue) -> Iterator[Cue]:
    """Split a cue in time when its text needs more than two lines."""
    width = _width(line.text)
    rows = textwrap.wrap(line.text, width, break_on_hyphens=False)
    parts = [rows[at : at + MAX_LINES] for at in range(0, len(rows), MAX_LINES)]
    sizes = [sum(map(len, part)) for part in parts]
    seconds, start_s, said = line.end_s - line.start_s, line.start_s, 0
    for part, size in zip(parts, sizes, strict=True):
        said += size
        end_s = line.start_s + seconds * said / sum(sizes)
        if _ms(end_s) > _ms(start_s):
            yield Cue(start_s, end_s, _balanced(" ".join(part), width))
        start_s = end_s


def _width(text: str) -> int:
    # Han characters and kana are twice as wide as letters.
    wide = sum(unicodedata.east_asian_width(ch) in "WF" for ch in text)
    return MAX_LINE_CHARS // 2 if wide > len(text) / 2 else MAX_LINE_CHARS


def _balanced(text: str, width: int) -> str:
    """Break a text that fits two lines so that they are about equally long."""
    if len(text) <= width:
        return text
    for narrow in range(math.ceil(len(text) / MAX_LINES), width):
        rows = textwrap.wrap(text, narrow, break_on_hyphens=False, break_long_words=False)
        if len(rows) <= MAX_LINES and max(map(len, rows)) <= width:
            return "\n".join(rows)
    return "\n".join(textwrap.wrap(text, width, break_on_hyphens=False))


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))


def _clock(seconds: float) -> str:
    minutes, ms = divmod(_ms(seconds), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{ms // 1000:02},{ms % 1000:03}"
