"""Subtitles of our own lines."""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from dubarr_watch.dubbing.subtitle_text import Cue

MAX_LINE_CHARS = 42
"""Width of a subtitle line that broadcasters and streaming services agree on."""

MAX_LINES = 2

SHORTEST_CUE_S = 0.8
"""Who begins so soon after somebody else is shown together with them: nobody reads faster."""

SHORTEST_OVERLAP_S = 0.2
"""Less is no talking at the same time; see `engines/turns.py`."""

_DASH = "- "


def write_srt(lines: Sequence[Cue], path: Path) -> None:
    """Write lines as a SubRip file: UTF-8, at most two lines of about 42 characters at a time.

    A longer text is split in time by its length; a cue ends at the latest where the next starts.
    What two speakers say at the same time is shown together, a dash before each.

    Args:
        lines: In order of start; only those of different speakers overlap.
        path: The file to write.
    """
    cues = [shown for group in _together(lines) for shown in _shown(group)]
    blocks = [
        f"{number}\n{_clock(cue.start_s)} --> {_clock(cue.end_s)}\n{cue.text}\n"
        for number, cue in enumerate(cues, start=1)
    ]
    path.write_bytes("\n".join(blocks).encode("utf-8", "replace"))


def _together(lines: Sequence[Cue]) -> Iterator[list[Cue]]:
    """Yield lines in groups that overlap; too short an overlap is cut off the earlier ones."""
    group: list[Cue] = []
    for line in (Cue(line.start_s, line.end_s, _plain(line.text)) for line in lines):
        if not line.text or _ms(line.end_s) <= _ms(line.start_s):
            continue
        if group and max(one.end_s for one in group) - line.start_s < SHORTEST_OVERLAP_S:
            yield [replace(one, end_s=min(one.end_s, line.start_s)) for one in group]
            group = []
        group.append(line)
    if group:
        yield group


def _shown(group: Sequence[Cue]) -> Iterator[Cue]:
    """Yield the cues of lines that overlap: another one wherever somebody says something new."""
    if len(group) == 1:
        yield from _split(group[0])
        return
    saying: dict[int, Cue] = {}
    steps = list(_steps(group))
    until_s = max(line.end_s for line in group)
    for (start_s, new), (end_s, _) in pairwise([*steps, (until_s, {})]):
        still = {
            who: row
            for who, row in saying.items()
            if who not in new and row.end_s - start_s >= SHORTEST_OVERLAP_S
        }
        others = list(still.items())[-1:] if len(new) < MAX_LINES else []
        saying = still | new
        rows = [row.text for _, row in sorted([*others, *new.items()])]
        dash = _DASH if len(rows) > 1 else ""
        if _ms(end_s) > _ms(start_s):
            yield Cue(start_s, end_s, "\n".join(dash + row for row in rows))


def _steps(group: Sequence[Cue]) -> Iterator[tuple[float, dict[int, Cue]]]:
    """Yield when something new is shown and what, by number of the line in its group."""
    rows = sorted(
        ((row, who) for who, line in enumerate(group) for row in _split(line, MAX_LINES - 1)),
        key=lambda row: row[0].start_s,
    )
    start_s, new = rows[0][0].start_s, {rows[0][1]: rows[0][0]}
    for row, who in rows[1:]:
        soon = row.start_s - start_s < SHORTEST_CUE_S
        if soon and who not in new and len(new) < MAX_LINES:
            new[who] = row
            continue
        yield start_s, new
        start_s, new = max(row.start_s, start_s + SHORTEST_CUE_S), {who: row}
    yield start_s, new


def _plain(text: str) -> str:
    """Return a text on one line without what would end a cue or be taken for markup."""
    text = "".join(ch if unicodedata.category(ch)[0] != "C" else " " for ch in text)
    return " ".join(text.split()).replace("-->", "→").replace("<", "‹").replace(">", "›")


def _split(line: Cue, most: int = MAX_LINES) -> Iterator[Cue]:
    """Split a cue in time when its text needs more lines; single ones leave room for a dash."""
    width = _width(line.text) - (len(_DASH) if most == 1 else 0)
    rows = textwrap.wrap(line.text, width, break_on_hyphens=False)
    parts = [rows[at : at + most] for at in range(0, len(rows), most)]
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
