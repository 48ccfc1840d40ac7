"""Recordings of each speaker for voices that are cloned: from their own clean speech.

A line that is long enough is spoken after itself, so that its mood is kept; a shorter one after the
speaker's best pieces, joined. A piece counts only when it is loud enough, not clipped, nobody else
talks in it, and its pauses are quiet: what lies under a voice is cloned with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from dubarr_watch.dubbing.casting import Speaker
from dubarr_watch.dubbing.levels import factor
from dubarr_watch.dubbing.separation import CLEAN_RATE
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.engines.base import Turn
from dubarr_watch.engines.pieces import Timeline

OWN_LINE_S = 3.0
"""Least length of a line that is spoken after itself; XTTS v2 wants 3 to 10 s."""

SHORTEST_S, ENOUGH_S, LONGEST_S = 3.0, 6.0, 10.0
"""Least, wanted and greatest length of what a speaker's pieces are joined to."""

MIN_PIECE_S = 1.0
MIN_DBFS = -45.0
MAX_CLIPPED = 0.001
MAX_OTHERS_S = 0.1
MIN_RANGE_DB = 10.0
"""Loud moments over quiet ones of 50 ms: about 20 dB and more in clean speech, 5 in music."""

_LOUDNESS_DBFS = -23.0
_HIGHEST = factor(-1.0)
_CLIPPED_AT = 0.985
_FRAME_S = 0.05
_JOINT_S = 0.1
_FADE_S = 0.01
_SILENT_DBFS = -60.0

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Reference:
    """One recording of a speaker.

    Attributes:
        speaker: Whose voice.
        line: The line that it is the whole of; nothing for a speaker's best pieces.
        path: 24 kHz mono 16-bit WAV; its name is a hash of its content.
        seconds: Its length.
        usable: It passed every check; else there was nothing better.
    """

    speaker: int
    line: int | None
    path: Path
    seconds: float
    usable: bool


@dataclass(frozen=True, slots=True)
class _Piece:
    line: Line
    quality: float
    usable: bool


def make_references(
    sound: Path, lines: Sequence[Line], turns: Sequence[Turn], folder: Path
) -> list[Reference]:
    """Cut the references of every speaker.

    Args:
        sound: Voices alone, or the original where they were not separated; any rate.
        lines: All lines.
        turns: Who speaks when; empty means one speaker.
        folder: Where the files go.

    Returns:
        For each line that is long and clean enough its own, and for each speaker one of the best
        pieces; none for a speaker who cannot be heard.

    Raises:
        OSError: The sound cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found: list[Reference] = []
    talking = Timeline(turns)
    voices = _own_voices(lines, talking)
    with soundfile.SoundFile(sound) as file:
        for speaker in sorted({line.speaker for line in lines}):
            own = [line for line in lines if line.speaker == speaker]
            pieces = [_judged(file, line, talking, voices.get(speaker)) for line in own]
            for piece in pieces:
                if piece.usable and piece.line.duration_s >= OWN_LINE_S:
                    samples = _cut(file, piece.line, LONGEST_S)
                    found.append(
                        _written([samples], speaker, piece.line.index, folder, usable=True)
                    )
            if best := _best(file, pieces, folder):
                found.append(best)
    return found


def references_of(
    line: Line, references: Sequence[Reference], borrowed: Mapping[int, int] | None = None
) -> tuple[Path, ...]:
    """Return what a line's voice is cloned from, best first: the line itself, then the speaker.

    Args:
        line: The line.
        references: As from `make_references`.
        borrowed: For speakers who have none, whose are taken.
    """
    speaker = (borrowed or {}).get(line.speaker, line.speaker)
    own = [one.path for one in references if one.line == line.index and one.usable]
    best = [one.path for one in references if one.line is None and one.speaker == speaker]
    return tuple(own + best)


def can_be_cloned(references: Sequence[Reference]) -> set[int]:
    """Return the speakers whose best pieces passed every check."""
    return {one.speaker for one in references if one.line is None and one.usable}


def borrowed_from(speakers: Sequence[Speaker], references: Sequence[Reference]) -> dict[int, int]:
    """Return, for each speaker without any reference, who is nearest in pitch and has one."""
    having = {one.speaker for one in references if one.line is None}
    lenders = [speaker for speaker in speakers if speaker.number in having]

    def distance(one: Speaker, other: Speaker) -> tuple[bool, float]:
        known = one.pitch_hz is not None and other.pitch_hz is not None
        apart = abs(np.log2((one.pitch_hz or 1.0) / (other.pitch_hz or 1.0))) if known else 0.0
        return one.gender is not other.gender, float(apart)

    return {
        one.number: min(lenders, key=lambda other: distance(one, other)).number
        for one in speakers
        if one.number not in having and lenders
    }


def _own_voices(lines: Sequence[Line], turns: Timeline[Turn]) -> dict[int, int]:
    """Return the diarizer's number of each speaker: lines count them by first appearance."""
    shared: dict[int, dict[int, float]] = {}
    for line in lines:
        of_line = shared.setdefault(line.speaker, {})
        for turn in turns.touching(line.start_s, line.end_s):
            if turn.beside:
                continue
            of_line[turn.speaker] = of_line.get(turn.speaker, 0.0) + _overlap_s(line, turn)
    return {speaker: max(of, key=of.__getitem__) for speaker, of in shared.items() if of}


def _judged(
    file: soundfile.SoundFile, line: Line, turns: Timeline[Turn], voice: int | None
) -> _Piece:
    samples = _read(file, line)
    others_s = sum(
        _overlap_s(line, turn)
        for turn in turns.touching(line.start_s, line.end_s)
        if turn.speaker != voice
    )
    clipped = float((np.abs(samples) >= _CLIPPED_AT).mean()) if samples.size else 1.0
    level, spread = _level_and_range(samples, file.samplerate)
    usable = (
        line.duration_s >= MIN_PIECE_S
        and level >= MIN_DBFS
        and clipped <= MAX_CLIPPED
        and others_s <= MAX_OTHERS_S
        and spread >= MIN_RANGE_DB
    )
    quality = min(spread, 40.0) + 2 * min(line.duration_s, ENOUGH_S) - 100 * clipped - 10 * others_s
    return _Piece(line, quality if level > _SILENT_DBFS else -np.inf, usable)


def _level_and_range(samples: Samples, rate: int) -> tuple[float, float]:
    """Return the level in dBFS, and by how much loud moments are louder than quiet ones."""
    size = max(1, round(_FRAME_S * rate))
    frames = samples[: samples.size // size * size].reshape(-1, size)
    if not len(frames):
        return -np.inf, 0.0
    power = np.maximum((frames.astype(np.float64) ** 2).mean(axis=1), 1e-10)
    loud = 10 * np.log10(np.percentile(power, 90))
    return float(10 * np.log10(power.mean())), float(loud - 10 * np.log10(np.percentile(power, 10)))


def _best(file: soundfile.SoundFile, pieces: Sequence[_Piece], folder: Path) -> Reference | None:
    """Join a speaker's best pieces; those that failed a check only where there are no others."""
    ordered = sorted(pieces, key=lambda piece: -piece.quality)
    for usable in (True, False):
        chosen, seconds = [], 0.0
        for piece in ordered:
            if (piece.usable or not usable) and piece.quality > -np.inf and seconds < ENOUGH_S:
                chosen.append(_cut(file, piece.line, LONGEST_S - seconds))
                seconds += len(chosen[-1]) / CLEAN_RATE + _JOINT_S
        if chosen and (seconds >= SHORTEST_S or not usable):
            return _written(chosen, ordered[0].line.speaker, None, folder, usable=usable)
    return None


def _written(
    pieces: Sequence[Samples], speaker: int, line: int | None, folder: Path, *, usable: bool
) -> Reference:
    joint = np.zeros(round(_JOINT_S * CLEAN_RATE), dtype=np.float32)
    joined = np.concatenate([part for piece in pieces for part in (_levelled(piece), joint)])
    values = np.round(joined[: -joint.size] * 32767).astype("<i2")
    path = folder / f"{hashlib.sha256(values.tobytes()).hexdigest()[:24]}.wav"
    if not path.exists():
        half = path.with_suffix(".part")
        soundfile.write(half, values, CLEAN_RATE, subtype="PCM_16", format="WAV")
        half.replace(path)
    return Reference(speaker, line, path, round(len(values) / CLEAN_RATE, 3), usable)


def _levelled(samples: Samples) -> Samples:
    """Bring a piece to the level of the others, its edges faded, without clipping it."""
    level = float(np.sqrt((samples.astype(np.float64) ** 2).mean())) or 1.0
    peak = float(np.abs(samples).max()) or 1.0
    out = samples * np.float32(min(factor(_LOUDNESS_DBFS) / level, _HIGHEST / peak))
    fade = min(round(_FADE_S * CLEAN_RATE), out.size // 2)
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    out[:fade] *= ramp
    out[out.size - fade :] *= ramp[::-1]
    return np.asarray(out, dtype=np.float32)


def _cut(file: soundfile.SoundFile, line: Line, longest_s: float) -> Samples:
    samples = _read(file, line, longest_s)
    if file.samplerate != CLEAN_RATE:
        samples = soxr.resample(samples, file.samplerate, CLEAN_RATE)
    return np.asarray(samples, dtype=np.float32)


def _read(file: soundfile.SoundFile, line: Line, longest_s: float = LONGEST_S) -> Samples:
    file.seek(min(int(line.start_s * file.samplerate), file.frames))
    count = int(min(line.duration_s, longest_s) * file.samplerate)
    return np.asarray(file.read(count, dtype="float32", always_2d=True).mean(axis=1))


def _overlap_s(line: Line, turn: Turn) -> float:
    return min(line.end_s, turn.end_s) - max(line.start_s, turn.start_s)
