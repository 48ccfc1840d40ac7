"""What is how loud in a mix, decided before it is made: from levels, without touching a sample.

The original's voice has a level in each channel at each line: what its sound has there more than
what lies around it, or, where voices were separated, more than the rest has. A dubbed line gets
that level and those sides; the bed gives way until the voice stands clear of it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dubarr_watch.dubbing.ducking import ATTACK_S, RELEASE_S, Duck
from dubarr_watch.dubbing.levels import SoundLevels, steps_of
from dubarr_watch.dubbing.loudness import SILENCE_LUFS, STEP_S, energy_of, integrated_lufs
from dubarr_watch.dubbing.timeline import PlacedTake
from dubarr_watch.engines.base import Span

CLEAR_LU = 10.5
"""By how much the voice is to stand above what lies under it: 10 LU (Torcoli et al., JAES 67(12),
2019), and what codecs and ramps take of that."""

LEVEL_LIMIT_DB = 12.0
"""How far a speaker's takes are turned up or down."""

LINE_LIMIT_DB = 6.0
"""How far a line may be from its speaker's gain: a whisper stays quieter than a shout."""

PAN_FROM_DB = 3.0
"""Difference of left and right from which a voice counts as off the centre."""

PAN_LIMIT_DB = 15.0

_BACKGROUND_S = 2.0
_ACTIVE = 0.01  # 20 dB below the loudest moment a take is silent
_Energy = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class MixLine:
    """A line that is heard.

    Attributes:
        take: The take at its place.
        span: Where the original says the line.
        speaker: Who says it.
    """

    take: PlacedTake
    span: Span
    speaker: int

    @property
    def ducked(self) -> Span:
        """Where the original's voice or the dub's is."""
        end_s = self.take.start_s + self.take.duration_s
        return Span(min(self.span.start_s, self.take.start_s), max(self.span.end_s, end_s))


@dataclass(frozen=True, slots=True)
class Balance:
    """How a mix is made.

    Attributes:
        takes: Takes with the gain of each channel.
        ducks: Where and how far the bed goes down.
        energy: Of the mix, all channels weighted, for each tenth of a second: float64, (steps,).
        depth_lu: By how much the voice will stand above the bed while it speaks, all lines
            together; nothing without lines or with a silent bed.
    """

    takes: tuple[PlacedTake, ...]
    ducks: tuple[Duck, ...]
    energy: NDArray[np.float64]
    depth_lu: float | None

    @property
    def integrated_lufs(self) -> float:
        """How loud the mix will be."""
        return integrated_lufs(self.energy)


@dataclass(frozen=True, slots=True)
class Settled:
    """What was decided about a line.

    Attributes:
        take: Its take, with the gain of each channel.
        duck: How the bed gives way to it.
    """

    take: PlacedTake
    duck: Duck


def balance(
    lines: Sequence[MixLine],
    takes_energy: Sequence[_Energy],
    original: SoundLevels,
    bed: SoundLevels,
    depths_db: Sequence[float],
    deepest_db: float,
    settled: Mapping[PlacedTake, Settled] | None = None,
) -> Balance:
    """Decide how loud each line is, where it is heard, and how far the bed gives way.

    Args:
        lines: In order of start.
        takes_energy: Energy of each line's take, as from `levels.take_levels`.
        original: The film's sound.
        bed: What lies under the dub: the same, or what is left of it without voices.
        depths_db: How far each channel of the bed goes down at least.
        deepest_db: How far it may where a line needs that.
        settled: What was decided before about takes, which are without gains here.
    """
    settled = settled or {}
    layout = bed.layout
    voices = [_voice_energy(original, bed, line.span) for line in lines]
    sides = _sides(lines, voices, layout.centre, len(layout.channels))
    gains = _gains(lines, takes_energy, [
        float(voice @ layout.weights) / float((side**2) @ layout.weights)
        for voice, side in zip(voices, sides, strict=True)
    ])  # fmt: skip
    takes = tuple(
        settled[line.take].take
        if line.take in settled
        else replace(line.take, gains=tuple(round(float(g), 5) for g in side * gain))
        for line, side, gain in zip(lines, sides, gains, strict=True)
    )
    under, over = bed.energy.astype(np.float64), np.zeros(len(bed.energy))
    for take, energy in zip(takes, takes_energy, strict=True):
        _lay(over, take, energy * float((np.array(take.gains) ** 2) @ layout.weights))
    ducks = tuple(
        settled[line.take].duck
        if line.take in settled
        else Duck(line.ducked, _deep_enough(bed, over, depths_db, deepest_db, take))
        for line, take in zip(lines, takes, strict=True)
    )
    gain = _duck_gain(len(under), ducks, len(layout.channels))
    lying = (under * gain**2) @ layout.weights
    heard = over > over.max(initial=0.0) * 1e-6
    return Balance(takes, ducks, lying + over, _depth_lu(over[heard], lying[heard]))


def _depth_lu(over: _Energy, under: _Energy) -> float | None:
    if not len(over) or float(under.mean()) <= energy_of(SILENCE_LUFS):
        return None
    return round(10 * math.log10(float(over.sum()) / float(under.sum())), 1)


def _voice_energy(original: SoundLevels, bed: SoundLevels, span: Span) -> NDArray[np.float64]:
    """Return the energy of the original's voice in each channel."""
    line = original.within(span)
    if original.energy.shape == bed.energy.shape and bed is not original:
        background, least = bed.within(span), 0.05
    else:
        around = np.concatenate([
            original.energy[steps_of(Span(span.start_s - _BACKGROUND_S, span.start_s))],
            original.energy[steps_of(Span(span.end_s, span.end_s + _BACKGROUND_S))],
        ])  # fmt: skip
        background = np.percentile(around, 20, axis=0) if len(around) else np.zeros_like(line)
        least = 0.5  # what could be transcribed is not drowned
    return np.asarray(np.maximum(line - background, line * least), dtype=np.float64)


def _sides(
    lines: Sequence[MixLine],
    voices: list[NDArray[np.float64]],
    centre: int | None,
    channels: int,
) -> list[NDArray[np.float64]]:
    """Return how a line is spread over the channels; narrows `voices` to where it goes.

    Where there is a centre it is there. Else it lies between left and right where the original's
    voice lies: half the line's own place, half its speaker's, so that nobody jumps about.
    """
    if centre is not None:
        only = np.eye(channels)[centre]
        for voice in voices:
            voice *= np.maximum(only, 0.0) if voice[centre] > 0.01 * voice.sum() else 1.0
        return [only for _ in lines]
    own = [_pan_db(voice) for voice in voices]
    of_speaker: defaultdict[int, list[float]] = defaultdict(list)
    for line, pan_db in zip(lines, own, strict=True):
        of_speaker[line.speaker].append(pan_db)
    middle = {speaker: float(np.median(pans)) for speaker, pans in of_speaker.items()}
    sides = []
    for line, pan_db in zip(lines, own, strict=True):
        smooth_db = (pan_db + middle[line.speaker]) / 2
        smooth_db = smooth_db if abs(smooth_db) >= PAN_FROM_DB else 0.0
        left = 2 / (1 + 10 ** (-smooth_db / 10))
        side = np.zeros(channels)
        side[:2] = math.sqrt(left), math.sqrt(2 - left)
        sides.append(side)
    return sides


def _pan_db(voice: NDArray[np.float64]) -> float:
    """Return by how much the voice is louder on the left than on the right."""
    left, right = float(voice[0]), float(voice[1])
    if left + right <= 0:
        return 0.0
    small = 1e-4 * (left + right)
    db = 10 * math.log10((left + small) / (right + small))
    return max(-PAN_LIMIT_DB, min(PAN_LIMIT_DB, db))


def _gains(
    lines: Sequence[MixLine], takes: Sequence[_Energy], wanted: Sequence[float]
) -> list[float]:
    """Return the gain of each line: its speaker's, and within limits its own."""
    levels = [_active(energy) for energy in takes]
    of_speaker: defaultdict[int, list[int]] = defaultdict(list)
    for index, (line, level) in enumerate(zip(lines, levels, strict=True)):
        if level > 0 and wanted[index] > 0:
            of_speaker[line.speaker].append(index)
    gains = [1.0] * len(lines)
    for those in of_speaker.values():
        weights = [lines[index].take.duration_s for index in those]
        target = float(np.average([wanted[index] for index in those], weights=weights))
        level = float(np.average([levels[index] for index in those], weights=weights))
        speaker_db = _bounded(10 * math.log10(target / level), LEVEL_LIMIT_DB)
        for index in those:
            line_db = 10 * math.log10(wanted[index] / levels[index])
            own_db = _bounded(line_db - speaker_db, LINE_LIMIT_DB)
            gains[index] = 10 ** ((speaker_db + own_db) / 20)
    return gains


def _bounded(db: float, limit_db: float) -> float:
    return max(-limit_db, min(limit_db, db))


def _active(energy: _Energy) -> float:
    """Return the mean energy of a take without what is silent before and after its words."""
    if not len(energy):
        return 0.0
    heard = energy[energy > _ACTIVE * float(energy.max())]
    return float(heard.mean()) if len(heard) else 0.0


def _lay(over: NDArray[np.float64], take: PlacedTake, energy: _Energy) -> None:
    start = round(take.start_s / STEP_S)
    count = min(len(energy), math.ceil(take.duration_s / STEP_S), max(len(over) - start, 0))
    over[start : start + count] += energy[:count]


def _deep_enough(
    bed: SoundLevels,
    over: NDArray[np.float64],
    depths_db: Sequence[float],
    deepest_db: float,
    take: PlacedTake,
) -> tuple[float, ...]:
    """Return how far each channel goes down, deeper than asked where a line needs that."""
    span = Span(take.start_s, take.start_s + take.duration_s)
    steps, weights = steps_of(span), bed.layout.weights
    voice = over[steps]
    under = bed.within(span) * weights
    if not len(voice) or float(voice.sum()) <= 0 or float(under.sum()) <= 0:
        return tuple(depths_db)
    allowed = float(voice.mean()) / 10 ** (CLEAR_LU / 10)
    depths = np.array(depths_db, dtype=np.float64)
    counts = weights > 0
    # A step of half a decibel is heard by nobody; channels that are down already wait for the rest.
    for least_db in np.arange(0, deepest_db + 0.5, 0.5):
        deeper = np.where(counts, np.maximum(depths, least_db), depths)
        if float((under * 10 ** (-deeper / 10)).sum()) <= allowed:
            break
    return tuple(round(float(depth), 1) for depth in deeper)


def _duck_gain(steps: int, ducks: Sequence[Duck], channels: int) -> NDArray[np.float64]:
    """Return the bed's gain at each step, shape (steps, channels)."""
    depth = np.zeros((steps, channels))
    for duck in ducks:
        first = max(0, math.floor((duck.span.start_s - ATTACK_S) / STEP_S))
        last = min(steps, math.ceil((duck.span.end_s + RELEASE_S) / STEP_S))
        times = (np.arange(first, last) + 0.5) * STEP_S
        rise = (times - (duck.span.start_s - ATTACK_S)) / ATTACK_S
        fall = (duck.span.end_s + RELEASE_S - times) / RELEASE_S
        shape = np.clip(np.minimum(rise, fall), 0, 1)
        np.maximum(
            depth[first:last], shape[:, None] * np.array(duck.depths_db), out=depth[first:last]
        )
    return np.asarray(10 ** (-depth / 20))
