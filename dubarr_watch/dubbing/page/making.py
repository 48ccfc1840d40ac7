"""A report and two sounds into a page."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from dubarr_watch.dubbing.page.sound import Sound, decode
from dubarr_watch.dubbing.report import LineReport, Report
from dubarr_watch.languages import parse_language

SOUND_BUDGET_BYTES = 24 * 2**20
"""Sound that a page holds at most; lines to check get theirs first."""

_BARS = 150
_OVERVIEW_BARS = 900
_MARGIN_S = 0.3
_LONGEST_S = 30.0
_HALF = 20
"""Height of the half of a picture that one sound has, in its own units."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the sounds of a page come from.

    Attributes:
        original: File with the original's sound.
        original_stream: Which of its audio streams.
        dub: File with the dubbed track.
        dub_stream: Which of its audio streams.
    """

    original: Path
    original_stream: int
    dub: Path
    dub_stream: int


@dataclass(frozen=True, slots=True)
class _Row:
    """A line as the page shows it; every number of a picture is in the picture's own units."""

    line: LineReport
    start: str
    original_bars: str
    dub_bars: str
    slot_x: float
    slot_width: float
    take_x: float
    take_width: float
    playable: bool


@dataclass(frozen=True, slots=True)
class _Mark:
    index: int
    x: float
    width: float
    check: bool


def make_page(
    report: Report, sources: Sources, target: Path, *, budget_bytes: int = SOUND_BUDGET_BYTES
) -> int:
    """Write a report as one HTML file, and return how many of its lines have no sound in it.

    Args:
        report: What to show.
        sources: What to play.
        target: The file to write.
        budget_bytes: How much sound it holds at most, as it stands in the file.

    Raises:
        MediaError: A sound cannot be decoded.
    """
    with tempfile.TemporaryDirectory(prefix="dubarr-watch-") as folder:
        original = decode(sources.original, sources.original_stream, Path(folder) / "original.wav")
        dub = decode(sources.dub, sources.dub_stream, Path(folder) / "dub.wav")
        lines = sorted(report.lines, key=lambda line: (not line.check, line.start_s))
        sounds, silent = _sounds(lines, original, dub, budget_bytes)
        total_s = max(original.duration_s, dub.duration_s, 0.01)
        page = _environment().get_template("report.html.j2").render(
            report=report,
            summary=report.summary,
            name=Path(report.video).name,
            language=parse_language(report.language).name,
            rows=[_row(line, original, dub, f"{line.index}d" in sounds) for line in lines],
            marks=[_mark(line, total_s) for line in report.lines],
            outcomes=_counted(report.lines),
            speakers=sorted({line.speaker for line in report.lines}),
            called={one.speaker: one.name for one in report.summary.cast},
            overview=(
                _bars(original.bars(0, total_s, _OVERVIEW_BARS), down=False),
                _bars(dub.bars(0, total_s, _OVERVIEW_BARS), down=True),
            ),
            overview_bars=_OVERVIEW_BARS,
            bars=_BARS,
            half=_HALF,
            length=_clock(total_s),
            sounds=sounds,
            without_sound=silent,
        )  # fmt: skip
        target.write_text(page, encoding="utf-8", errors="backslashreplace")
    return silent


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("dubarr_watch.dubbing.page", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _sounds(
    lines: Sequence[LineReport], original: Sound, dub: Sound, budget_bytes: int
) -> tuple[dict[str, str], int]:
    """Return recordings by line and kind (`17o`, `17d`), and how many lines found no room."""
    sounds: dict[str, str] = {}
    left = budget_bytes
    silent = 0
    for line in lines:
        start_s, end_s = stretch(line)
        if left <= 0:
            silent += 1
            continue
        pair = {f"{line.index}{kind}": sound.mp3(start_s, end_s)
                for kind, sound in (("o", original), ("d", dub))}  # fmt: skip
        left -= sum(map(len, pair.values()))
        if left < 0:
            silent += 1
            left = 0
            continue
        sounds |= pair
    return sounds, silent


def stretch(line: LineReport) -> tuple[float, float]:
    """Return what of both sounds is shown and played: the line, its take, and a little around."""
    start_s = max(min(line.start_s, line.placed_s) - _MARGIN_S, 0.0)
    end_s = max(line.end_s, line.placed_s + line.take_s) + _MARGIN_S
    return start_s, min(end_s, start_s + _LONGEST_S)


def _row(line: LineReport, original: Sound, dub: Sound, playable: bool) -> _Row:
    start_s, end_s = stretch(line)
    scale = _BARS / (end_s - start_s)

    def place(at_s: float) -> float:
        return round(min(max((at_s - start_s) * scale, 0.0), float(_BARS)), 1)

    slot = place(line.start_s), place(line.start_s + line.slot_s)
    take = place(line.placed_s), place(line.placed_s + line.take_s)
    return _Row(
        line=line,
        start=_clock(line.start_s),
        original_bars=_bars(original.bars(start_s, end_s, _BARS), down=False),
        dub_bars=_bars(dub.bars(start_s, end_s, _BARS), down=True),
        slot_x=slot[0],
        slot_width=round(slot[1] - slot[0], 1),
        take_x=take[0],
        take_width=round(take[1] - take[0], 1),
        playable=playable,
    )


def _mark(line: LineReport, total_s: float) -> _Mark:
    x = line.start_s / total_s * _OVERVIEW_BARS
    width = max((line.end_s - line.start_s) / total_s * _OVERVIEW_BARS, 2.0)
    return _Mark(line.index, round(x, 1), round(width, 1), line.check)


def _bars(peaks: Sequence[float], *, down: bool) -> str:
    """Return bars from the middle up or down as the `d` of an SVG path."""
    return "".join(_strokes(peaks, -1 if not down else 1))


def _strokes(peaks: Sequence[float], sign: int) -> Iterator[str]:
    for n, peak in enumerate(peaks):
        # Speech is quiet most of the time: the square root shows it beside a shout.
        height = round(peak**0.5 * _HALF)
        if height:
            yield f"M{n} {_HALF}v{sign * height}"


def _counted(lines: Sequence[LineReport]) -> list[tuple[str, int]]:
    found: dict[str, int] = {}
    for line in lines:
        found[line.outcome] = found.get(line.outcome, 0) + 1
    return sorted(found.items())


def _clock(at_s: float) -> str:
    minutes, seconds = divmod(at_s, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{seconds:04.1f}" if hours else f"{minutes}:{seconds:04.1f}"
