"""Speakers to voices: by the pitch of each speaker, distinct while there are enough voices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.engines.base import Gender, Voice

FEMALE_ABOVE_HZ = 165.0
"""Between the mean speaking pitch of men (about 120 Hz) and women (about 210 Hz).

Traunmüller and Eriksson, "The frequency range of the voice fundamental in the speech of male and
female adults", 1995, give means of 119 and 207 Hz; their geometric mean is 157 Hz. Expressive
speech of men reaches higher than quiet speech of women reaches low, hence a little above.
"""

MAX_PITCH_SECONDS = 60.0
"""Voice listened to for each speaker; the median settles long before."""

_FRAME_S = 0.04
_HOP_S = 0.02
_LOWEST_HZ = 65.0
_HIGHEST_HZ = 400.0
_VOICED_ABOVE = 0.5


@dataclass(frozen=True, slots=True)
class Speaker:
    """One person of the original.

    Attributes:
        number: As in `Line.speaker`.
        pitch_hz: Median fundamental frequency, or nothing when it could not be heard.
        seconds: Length of all their lines.
        register: Register that somebody asked for.
    """

    number: int
    pitch_hz: float | None
    seconds: float
    register: Gender | None = None

    @property
    def gender(self) -> Gender:
        """Register to cast for; female when the pitch is unknown is as good a guess as any."""
        if self.register is not None:
            return self.register
        if self.pitch_hz is None or self.pitch_hz >= FEMALE_ABOVE_HZ:
            return Gender.FEMALE
        return Gender.MALE


def find_speakers(audio: Path, lines: Sequence[Line]) -> list[Speaker]:
    """Return the speakers of some lines, those who speak most first.

    Args:
        audio: Mono WAV file on the lines' time line.
        lines: All lines.

    Raises:
        OSError: The file cannot be read.
    """
    speakers: list[Speaker] = []
    with soundfile.SoundFile(audio) as file:
        for number in sorted({line.speaker for line in lines}):
            own = [line for line in lines if line.speaker == number]
            pitches = _pitches(file, own)
            median = float(np.median(pitches)) if pitches.size >= 10 else None
            seconds = sum(line.duration_s for line in own)
            speakers.append(Speaker(number, median, round(seconds, 3)))
    return sorted(speakers, key=lambda speaker: (-speaker.seconds, speaker.number))


def cast_voices(
    speakers: Sequence[Speaker],
    voices: Sequence[Voice],
    cloneable: Collection[int] = (),
    *,
    kept: Mapping[int, Voice] | None = None,
    elsewhere: Mapping[str, int] | None = None,
) -> dict[int, Voice]:
    """Return a voice for each speaker number.

    Whoever can be cloned is, where there is a voice that clones. Of the others, who speaks most
    chooses first. A voice of the right register that nobody has yet is best, then a better-sounding
    one; when all of a register are taken they are shared, least used first, rather than giving a
    man a woman's voice.

    Args:
        speakers: As from `find_speakers`.
        voices: What the synthesizer offers, not empty.
        cloneable: Numbers of those of whom there are clean recordings.
        kept: Voices that some speakers have already.
        elsewhere: How many people who are not heard here have each voice, by its id.

    Raises:
        ValueError: There is no voice at all.
    """
    if not voices:
        raise ValueError("no voice to cast")
    cloned = [voice for voice in voices if voice.cloned]
    built_in = [voice for voice in voices if not voice.cloned]
    cast: dict[int, Voice] = dict(kept or {})
    used = Counter(voice.id for voice in cast.values())
    others = elsewhere or {}
    for speaker in speakers:
        if speaker.number in cast:
            continue
        if cloned and (speaker.number in cloneable or not built_in):
            cast[speaker.number] = max(cloned, key=lambda voice: voice.quality)
            continue
        fitting = [voice for voice in built_in if voice.gender is speaker.gender] or built_in
        chosen = min(fitting, key=lambda v: (used[v.id], others.get(v.id, 0), -v.quality, v.id))
        used[chosen.id] += 1
        cast[speaker.number] = chosen
    return cast


def stand_ins(
    speakers: Sequence[Speaker], voices: Sequence[Voice], cast: Mapping[int, Voice]
) -> dict[int, Voice]:
    """Return who speaks where a cast voice fails: a built-in one of the speaker's register.

    A speaker for whom there is none is left out.
    """
    found: dict[int, Voice] = {}
    for speaker in speakers:
        others = [v for v in voices if not v.cloned and v.id != cast[speaker.number].id]
        if others:
            found[speaker.number] = max(
                others, key=lambda voice: (voice.gender is speaker.gender, voice.quality)
            )
    return found


def fallback_voice(voice: Voice, voices: Sequence[Voice]) -> Voice | None:
    """Return the voice to use when this one fails, of the same register if there is one."""
    others = [other for other in voices if other.id != voice.id]
    return max(
        others, key=lambda other: (other.gender is voice.gender, other.quality), default=None
    )


def _pitches(file: soundfile.SoundFile, lines: Sequence[Line]) -> NDArray[np.float64]:
    """Return the pitch of every voiced frame in some lines, in Hz."""
    found: list[NDArray[np.float64]] = []
    heard_s = 0.0
    for line in sorted(lines, key=lambda line: -line.duration_s):
        if heard_s >= MAX_PITCH_SECONDS:
            break
        file.seek(min(int(line.start_s * file.samplerate), file.frames))
        samples = file.read(int(line.duration_s * file.samplerate), dtype="float32")
        heard_s += line.duration_s
        found.append(frame_pitches(samples, file.samplerate))
    return np.concatenate(found) if found else np.empty(0)


def frame_pitches(samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float64]:
    """Return the fundamental frequency of every voiced 40 ms frame.

    By the peak of the normalised autocorrelation, corrected for the window as in P. Boersma,
    "Accurate short-term analysis of the fundamental frequency", 1993.

    Args:
        samples: Mono, float32, shape (n,).
        sample_rate: In Hz.

    Returns:
        Hz, float64, one value for each frame found voiced.
    """
    size, hop = int(_FRAME_S * sample_rate), int(_HOP_S * sample_rate)
    if samples.size < size:
        return np.empty(0)
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop].astype(np.float64)
    frames = frames - frames.mean(axis=1, keepdims=True)
    loud = np.sqrt((frames**2).mean(axis=1))
    frames = frames[loud > max(1e-3, 0.25 * float(np.percentile(loud, 90)))]
    if not len(frames):
        return np.empty(0)
    window = np.hanning(size)
    length = 2 ** int(np.ceil(np.log2(2 * size)))

    def autocorrelation(values: NDArray[np.float64]) -> NDArray[np.float64]:
        spectrum = np.abs(np.fft.rfft(values, length)) ** 2
        return np.asarray(np.fft.irfft(spectrum, length)[..., :size])

    corrected = autocorrelation(frames * window) / np.maximum(autocorrelation(window), 1e-9)
    corrected /= np.maximum(corrected[:, :1], 1e-12)
    shortest, longest = int(sample_rate / _HIGHEST_HZ), int(sample_rate / _LOWEST_HZ)
    region = corrected[:, shortest : longest + 1]
    strongest = region.max(axis=1)
    # The first peak nearly as strong as the strongest: a later one is a multiple of the period.
    lags = np.argmax(region >= 0.9 * strongest[:, None], axis=1)
    rows = np.arange(len(region))
    for _ in range(shortest):  # climb from the rising edge to the peak itself
        higher = np.minimum(lags + 1, region.shape[1] - 1)
        lags = np.where(region[rows, higher] > region[rows, lags], higher, lags)
    voiced = strongest > _VOICED_ABOVE
    return np.asarray(sample_rate / (lags[voiced] + shortest), dtype=np.float64)
