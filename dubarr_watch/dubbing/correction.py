"""Misheard words put right by subtitles in the language that is spoken, where there are any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from dubarr_watch.dubbing.subtitle_text import Cue
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.dubbing.translation import cues_by_line
from dubarr_watch.engines.base import (
    CorrectionRequest,
    Progress,
    SpokenText,
    Translator,
    no_progress,
)


def correct_lines(
    lines: Sequence[Line],
    cues: Sequence[Cue],
    translator: Callable[[], Translator],
    *,
    source: str,
    progress: Progress = no_progress,
) -> list[Line]:
    """Return the lines with what was misheard put right; times and speakers stay as they are.

    Args:
        lines: All lines.
        cues: Subtitles in the source language; they may say more or less than is spoken.
        translator: Gives the engine; called only when a cue lies on a line.
        source: ISO 639-1 code of both.
        progress: Called with (lines done, lines in all).
    """
    references = {
        index: " ".join(cue.text for cue in own) for index, own in cues_by_line(lines, cues).items()
    }
    if not references:
        return list(lines)
    request = CorrectionRequest(
        source,
        tuple(
            SpokenText(line.index, line.text, line.speaker, references.get(line.index, ""))
            for line in lines
        ),
    )
    better = translator().correct(request, progress=progress)
    return [_corrected(line, better.get(line.index, "")) for line in lines]


def _corrected(line: Line, text: str) -> Line:
    text = " ".join(text.split())
    return replace(line, text=text) if text else line
