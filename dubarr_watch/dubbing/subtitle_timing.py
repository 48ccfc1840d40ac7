"""Subtitles of another release put in time: by where people speak and where something is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dubarr_watch.dubbing.subtitle_text import Cue
from dubarr_watch.dubbing.subtitles import FoundSubtitles
from dubarr_watch.engines.base import Span

STEP_S = 0.1
MOST_S = 60.0
"""Subtitles are looked for this far off, and no further than a tenth of the film."""

RATES = (1.0, 25 / 23.976, 23.976 / 25, 24 / 23.976, 23.976 / 24, 25 / 24, 24 / 25)
"""Frame rates that films are released at, one by another."""

FEWEST = 8
"""Fewer cues tell nothing of their times."""

_INDEPENDENT_S = 3.0
"""Speech and silence this far apart have nothing to do with each other."""

_SURE, _BETTER = 4.5, 3.0
"""In standard deviations of the correlation of two films that have nothing in common."""

_AGREE, _UNRELATED = 0.3, 0.2
"""Correlations: 0.7 is usual for subtitles in time, 0.05 the most of those of another film."""

_LONG_ENOUGH_S = 1200.0
_IN_TIME_S = 0.3


@dataclass(frozen=True, slots=True)
class _Fit:
    correlation: float
    rate: float
    shift_s: float


def in_time(subtitles: FoundSubtitles, voice: Sequence[Span], duration_s: float) -> FoundSubtitles:
    """Return subtitles at the times of this film, with a note where they were moved or left out.

    They are moved where that makes them clearly agree with the voice: by some seconds, and by the
    ratio of two frame rates. Those that agree with nothing, of a film that is long enough to tell,
    are of another film or cut and are left out.

    Args:
        subtitles: As they were found.
        voice: Where somebody speaks.
        duration_s: Length of the film.
    """
    cues = [*subtitles.cues, *subtitles.songs]
    if len(cues) < FEWEST or duration_s <= 0:
        return subtitles
    spoken = _shown([(span.start_s, span.end_s) for span in voice], duration_s)
    if not spoken.std():
        return subtitles
    farthest_s = min(MOST_S, duration_s / 10)
    fits = [_best(spoken, cues, rate, farthest_s, duration_s) for rate in RATES]
    best = max(fits, key=lambda fit: fit.correlation)
    as_is = _correlation(spoken, _shown(_times(cues, 1.0), duration_s))
    sigma = 1 / math.sqrt(duration_s / _INDEPENDENT_S)
    moved = best.rate != 1.0 or abs(best.shift_s) > _IN_TIME_S
    sure = (
        best.correlation > max(_AGREE, _SURE * sigma) and best.correlation - as_is > _BETTER * sigma
    )
    if moved and sure:
        return _moved(subtitles, best)
    if duration_s >= _LONG_ENOUGH_S and max(best.correlation, as_is) < _UNRELATED:
        note = "The subtitles agree with nothing that is said: they are of another film or cut."
        return FoundSubtitles([], [], [*subtitles.notes, note])
    return subtitles


def _moved(subtitles: FoundSubtitles, fit: _Fit) -> FoundSubtitles:
    rate = "" if fit.rate == 1.0 else f" and stretched by {fit.rate - 1:+.1%}"
    note = f"The subtitles were moved by {fit.shift_s:+.1f} s{rate} to agree with what is said."
    return FoundSubtitles(
        [_at(cue, fit) for cue in subtitles.cues],
        [_at(cue, fit) for cue in subtitles.songs],
        [*subtitles.notes, note],
    )


def _at(cue: Cue, fit: _Fit) -> Cue:
    start_s = max(0.0, cue.start_s * fit.rate + fit.shift_s)
    return replace(cue, start_s=start_s, end_s=max(start_s, cue.end_s * fit.rate + fit.shift_s))


def _best(
    spoken: NDArray[np.float64], cues: Sequence[Cue], rate: float, farthest_s: float,
    duration_s: float,
) -> _Fit:  # fmt: skip
    """Return the shift of a rate at which cues agree with the voice most."""
    shown = _shown(_times(cues, rate), duration_s)
    size = 2 * len(spoken)
    centred = np.fft.rfft(spoken - spoken.mean(), size)
    products = np.fft.irfft(centred * np.conj(np.fft.rfft(shown - shown.mean(), size)), size)
    steps = round(farthest_s / STEP_S)
    near = np.concatenate([products[-steps:], products[: steps + 1]])
    scale = len(spoken) * spoken.std() * shown.std()
    at = int(near.argmax())
    correlation = float(near[at] / scale) if scale > 0 else 0.0
    return _Fit(correlation, rate, round((at - steps) * STEP_S, 1))


def _correlation(spoken: NDArray[np.float64], shown: NDArray[np.float64]) -> float:
    scale = len(spoken) * spoken.std() * shown.std()
    return (
        float(((spoken - spoken.mean()) * (shown - shown.mean())).sum() / scale) if scale else 0.0
    )


def _times(cues: Sequence[Cue], rate: float) -> list[tuple[float, float]]:
    return [(cue.start_s * rate, cue.end_s * rate) for cue in cues]


def _shown(times: Sequence[tuple[float, float]], duration_s: float) -> NDArray[np.float64]:
    """Return 1 for every step in which there is something, else 0."""
    found = np.zeros(max(1, math.ceil(duration_s / STEP_S)))
    for start_s, end_s in times:
        found[max(0, round(start_s / STEP_S)) : max(0, round(end_s / STEP_S))] = 1.0
    return found
