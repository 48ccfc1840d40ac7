"""The sound of one take: where it pauses, where its words end, and how it is made to fit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from dubarr_watch.engines.base import Span
from dubarr_watch.media import input_arguments, output_name, run_ffmpeg

_FRAME_S = 0.01
_PAUSE_DB = -32.0
"""A frame this far below the louder frames of its take is silence."""

_PAUSE_S = 0.15
_GAP_S = 0.08
"""A shorter silence may be the closure of a plosive inside a word."""

_DIP_DB = -12.0
_SEARCH_S = 0.12
"""How far from its place in the text the end of a word is looked for."""

_INTO_GAP_S = 0.05
"""A word's end is heard out for so long, where silence follows it."""

_CROSSFADE_S = 0.01
_LOUD_SHARE = 90

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TakeShape:
    """Where a take may be shortened or cut, in its own seconds.

    Attributes:
        pauses: Silences inside it, in order.
        word_ends_s: Where words end, in order.
    """

    pauses: tuple[Span, ...] = ()
    word_ends_s: tuple[float, ...] = ()


def take_shape(path: Path, text: str) -> TakeShape:
    """Find pauses and word ends by energy.

    Args:
        path: Mono WAV file.
        text: What it says; where its words run into each other, a dip in energy near the place
            that a word has in the text counts as its end.
    """
    levels_db = _levels_db(path)
    silences = list(_silences(levels_db))
    pauses = tuple(one for one in silences if one.duration_s >= _PAUSE_S)
    gaps = [one for one in silences if one.duration_s >= _GAP_S]
    ends = [gap.start_s + min(_INTO_GAP_S, gap.duration_s / 2) for gap in gaps]
    near = (
        dip_s
        for dip_s in _dips(levels_db, text)
        if all(abs(dip_s - end_s) > _SEARCH_S for end_s in ends)
    )
    return TakeShape(pauses, tuple(sorted({*ends, *near})))


def write_changed(source: Path, target: Path, cuts: Sequence[Span], speed: float) -> None:
    """Write a take without parts of its pauses and at another speed, its pitch unchanged.

    Args:
        source: Mono WAV file.
        target: The WAV file to write.
        cuts: What is left out, in order.
        speed: Factor of its own rate.

    Raises:
        MediaError: ffmpeg failed.
    """
    shorter = target.with_name(f"{target.stem}-cut.wav") if cuts else source
    if cuts:
        samples, rate = soundfile.read(source, dtype="float32", always_2d=True)
        shortened = _without(samples.mean(axis=1), cuts, rate)
        written = target if speed == 1.0 else shorter
        soundfile.write(written, shortened, rate, subtype="PCM_16", format="WAV")
    if speed != 1.0:
        run_ffmpeg(
            [
                *input_arguments(shorter), "-af", f"atempo={speed:.4f}",
                "-f", "wav", output_name(target),
            ],
            path=source,
        )  # fmt: skip
        if cuts:
            shorter.unlink()


def _without(samples: Floats, cuts: Sequence[Span], rate: int) -> Floats:
    """Leave stretches out; what meets is crossfaded, so that background hiss does not jump."""
    kept: list[Floats] = []
    count = round(_CROSSFADE_S * rate)
    rise = np.linspace(0, 1, count, dtype=samples.dtype)
    position = 0
    for cut in cuts:
        start, end = round(cut.start_s * rate), round(cut.end_s * rate)
        if end - start < count or end + count > len(samples) or start < position:
            continue
        met = samples[start : start + count] * rise[::-1] + samples[end : end + count] * rise
        kept += [samples[position:start], met]
        position = end + count
    return np.concatenate([*kept, samples[position:]])


def _levels_db(path: Path) -> Floats:
    """Return the level of each frame, against the louder ones of the take."""
    samples, rate = soundfile.read(path, dtype="float64", always_2d=True)
    mono = samples.mean(axis=1)
    size = max(1, round(_FRAME_S * rate))
    frames = mono[: len(mono) // size * size].reshape(-1, size)
    if not len(frames):
        return np.zeros(0)
    power = np.maximum((frames**2).mean(axis=1), 1e-12)
    return np.asarray(10 * np.log10(power / np.percentile(power, _LOUD_SHARE)))


def _silences(levels_db: Floats) -> Iterator[Span]:
    """Yield silences between sounds; those at the edges are no pauses."""
    quiet = levels_db < _PAUSE_DB
    edges = np.flatnonzero(np.diff(quiet.astype(np.int8)))
    for start, end in pairwise(edges):
        if quiet[start + 1]:
            yield Span(float(start + 1) * _FRAME_S, float(end + 1) * _FRAME_S)


def _dips(levels_db: Floats, text: str) -> Iterator[float]:
    """Yield the quietest moment near the place of each word's end but the last."""
    reach = round(_SEARCH_S / _FRAME_S)
    for match in list(re.finditer(r"\S+", text))[:-1]:
        middle = round(match.end() / len(text) * len(levels_db))
        start = max(0, middle - reach)
        around = levels_db[start : middle + reach]
        if len(around) and around.min() < _DIP_DB + around.max():
            yield (start + int(around.argmin()) + 0.5) * _FRAME_S
