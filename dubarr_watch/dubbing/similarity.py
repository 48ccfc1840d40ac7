"""How much a cloned voice is like the one it was cloned from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import combinations
from pathlib import Path

from dubarr_watch.dubbing.fitting import Take
from dubarr_watch.dubbing.studio import Part
from dubarr_watch.engines.voice_prints import Print, VoicePrinter, likeness

CEILING = 0.80
"""Median likeness of two recordings of one person: 10 pairs of 4 s of eight people reading; the
median of two people's was 0.34 (95 pairs)."""

_MOST_RECORDINGS = 8

OpenPrinter = Callable[[], AbstractContextManager[VoicePrinter]]
"""Opens the engine that knows voices, for the length of a `with` block."""


def similarities(
    parts: Sequence[Part], takes: Mapping[int, Take], open_printer: OpenPrinter
) -> dict[int, float]:
    """Return how like its speaker each cloned take is, by index of the line.

    It is the likeness of the take and the recordings it was cloned from, as a share of that which
    recordings of the speaker have among each other: 1 is as like as the speaker's own voice.

    Args:
        parts: The lines.
        takes: The take of each line, by index.
        open_printer: Opens the engine; only called when a voice is cloned.

    Raises:
        EngineError: The engine failed.
        JobCancelled: Somebody asked for it.
    """
    cloned = [part for part in parts if _is_cloned(part, takes.get(part.line.index))]
    if not cloned:
        return {}
    spoken = {part.line.index: takes[part.line.index].path for part in cloned}
    recordings = {path for part in cloned for path in part.references}
    paths = sorted({*recordings, *spoken.values()})
    with open_printer() as printer:
        known = dict(zip(paths, printer.prints(paths), strict=True))
    ceilings = {
        speaker: _ceiling([part for part in cloned if part.line.speaker == speaker], known)
        for speaker in {part.line.speaker for part in cloned}
    }
    found: dict[int, float] = {}
    for part in cloned:
        voice = known[spoken[part.line.index]]
        like = _mean([likeness(voice, known[path]) for path in part.references])
        if like is not None:
            share = like / ceilings[part.line.speaker]
            found[part.line.index] = round(min(max(share, 0.0), 1.0), 3)
    return found


def _is_cloned(part: Part, take: Take | None) -> bool:
    own = take is not None and take.voice == part.voice.id
    return own and part.voice.cloned and bool(part.references)


def _ceiling(parts: Sequence[Part], known: Mapping[Path, Print]) -> float:
    """Return how like each other recordings of different lines of a speaker are."""
    own = sorted({part.references[0] for part in parts})[:_MOST_RECORDINGS]
    pairs = [likeness(known[one], known[other]) for one, other in combinations(own, 2)]
    return max(_mean(pairs) or CEILING, CEILING / 2)


def _mean(values: Sequence[float | None]) -> float | None:
    told = [value for value in values if value is not None]
    return sum(told) / len(told) if told else None
