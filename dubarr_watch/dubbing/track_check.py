"""How loud an encoded track came out: what was planned is known, so what came of it is asked.

A short track is decoded whole. Of a long one, that is decoded where something could be wrong:
wherever the sound is so loud that encoding may lift a peak over the limit, and at moments all over
the film, which tell by how much the mix and the codec moved the loudness.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubarr_watch.dubbing.codecs import TrackCodec
from dubarr_watch.dubbing.levels import Loudness, factor
from dubarr_watch.dubbing.loudness import (
    SILENCE_LUFS,
    STEP_S,
    EnergyMeter,
    PeakMeter,
    energy_of,
    integrated_lufs,
)
from dubarr_watch.dubbing.timeline import BLOCK, SAMPLE_RATE
from dubarr_watch.engines.base import Progress, Span, no_progress
from dubarr_watch.errors import JobCancelled
from dubarr_watch.media import decode_samples

MAX_TRUE_PEAK_DBTP = -1.5
"""Of every output. An encoder is fed with less, because it lifts peaks."""

METERS_DIFFER_DB = 0.1
"""Two meters of true peaks, both right by the standard, may differ by this much."""

WHOLE_UP_TO_S = 600.0
_LIFT_DB = 3.0
_MOMENTS, _MOMENT_S = 40, 5.0
_SETTLING_S = 1.0


@dataclass(frozen=True, slots=True)
class Written:
    """What went into an encoder.

    Attributes:
        codec: How it was encoded.
        energy: Of all channels, weighted, for each tenth of a second, as it was planned.
        peaks: Linear peak of each second.
        exact: Whether the encoder got these channels; else fewer were made of them.
    """

    codec: TrackCodec
    energy: NDArray[np.float64]
    peaks: Sequence[float]
    exact: bool = True


def check_track(
    path: Path,
    written: Written,
    progress: Progress = no_progress,
    cancelled: Callable[[], bool] = lambda: False,
) -> Loudness:
    """Return the loudness of an encoded track.

    Args:
        path: The track.
        written: What was encoded.
        progress: In seconds of what is decoded.
        cancelled: Whether to stop.

    Raises:
        MediaError: It cannot be decoded.
        JobCancelled: As `cancelled` says.
    """
    duration_s = len(written.energy) * STEP_S
    spans = _spans(written, duration_s)
    total_s, done_s = sum(span.duration_s for span in spans), 0.0
    before, after, peak_db = 0.0, 0.0, -math.inf
    gate = _gate(written)
    for span in spans:
        energy, found_db = _decoded(path, span, written.codec, cancelled)
        if len(spans) == 1 and span.start_s == 0.0:
            progress(total_s, total_s)
            return Loudness(integrated_lufs(energy), found_db)
        first = round(span.start_s / STEP_S)
        given = written.energy[first : first + len(energy)]
        counts = given > gate
        before += float(given[counts].sum(dtype=np.float64))
        after += float(energy[: len(given)][counts].sum(dtype=np.float64))
        peak_db = max(peak_db, found_db)
        done_s += span.duration_s
        progress(done_s, total_s)
    moved_db = 10 * math.log10(after / before) if before > 0 and after > 0 else 0.0
    highest = max(written.peaks, default=0.0)
    peak_db = max(peak_db, 20 * math.log10(highest) if highest > 0 else -math.inf)
    return Loudness(max(integrated_lufs(written.energy) + moved_db, SILENCE_LUFS), peak_db)


def true_peak_dbtp(
    path: Path, span: Span, codec: TrackCodec, cancelled: Callable[[], bool] = lambda: False
) -> float:
    """Return the true peak of a stretch of an encoded track, -inf for silence.

    Args:
        path: The track.
        span: Which stretch.
        codec: How it is encoded.
        cancelled: Whether to stop.

    Raises:
        MediaError: It cannot be decoded.
        JobCancelled: As `cancelled` says.
    """
    span = Span(max(span.start_s, 0.0), span.end_s)
    return _decoded(path, span, codec, cancelled)[1]


def _spans(written: Written, duration_s: float) -> list[Span]:
    """Return what is decoded, in order and apart."""
    whole = [Span(0.0, duration_s + 1.0)]
    if duration_s <= WHOLE_UP_TO_S or not written.exact:
        return whole
    risky = factor(MAX_TRUE_PEAK_DBTP - _LIFT_DB)
    wanted = {second for second, peak in enumerate(written.peaks) if peak > risky}
    # What is counted from its block on may be heard a moment earlier or later.
    wanted = {near for second in wanted for near in (second - 1, second, second + 1)}
    # Silence tells nothing: moments are spread over what counts in the loudness.
    sounding = np.flatnonzero(written.energy > _gate(written))
    for step in sounding[:: max(1, len(sounding) // _MOMENTS)]:
        start = int(step * STEP_S)
        wanted.update(range(start, start + int(_MOMENT_S)))
    if len(wanted) > 0.7 * duration_s:
        return whole
    spans: list[Span] = []
    for second in sorted(wanted):
        if second < 1 or second >= duration_s - 1:
            continue
        if spans and second - spans[-1].end_s <= 3:
            spans[-1] = Span(spans[-1].start_s, second + 1.0)
        else:
            spans.append(Span(float(second), second + 1.0))
    return spans


def _gate(written: Written) -> float:
    """Return the energy below which a moment counts little or nothing in the loudness."""
    return energy_of(integrated_lufs(written.energy) - 10)


def _decoded(
    path: Path, span: Span, codec: TrackCodec, cancelled: Callable[[], bool]
) -> tuple[NDArray[np.float64], float]:
    """Return weighted energies and the true peak of a stretch of a file."""
    channels = len(codec.layout.channels)
    energy = EnergyMeter(channels, SAMPLE_RATE)
    limit = factor(MAX_TRUE_PEAK_DBTP - METERS_DIFFER_DB)
    peak = PeakMeter(channels, limit)
    early_s = min(span.start_s, _SETTLING_S)  # filters and the codec need what came before
    for piece in decode_samples(
        path,
        channels=channels,
        rate=SAMPLE_RATE,
        block=BLOCK,
        start_s=span.start_s - early_s,
        duration_s=span.duration_s + early_s,
    ):
        if cancelled():
            raise JobCancelled("Cancelled.")
        samples = np.frombuffer(piece, dtype=np.float32).reshape(-1, channels)
        energy.add(samples)
        peak.add(samples)
    found = energy.energies()[round(early_s / STEP_S) :] @ codec.layout.weights
    return found, peak.peak_dbtp()
