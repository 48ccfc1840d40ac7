"""Recordings that a voice is taken from: which may be read, and which are good enough."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tts_sidecar.audio import Samples
from tts_sidecar.errors import BadRequest, ForbiddenReference, UnusableReference

LEAST_S = 3.0
MOST_S = 30.0
# Below it the model's conditioning, made for 22050 Hz, has nothing to hear consonants by.
LEAST_RATE = 16_000
# A voice is the steadier the more of it there is, up to about ten seconds.
ENOUGH_S = 6.0

_FRAME_S = 0.02
# The whole is silence below the first; what lies below the second is no voice of the recording.
_SILENT_DB = -55.0
_ACTIVE_DB = -35.0
# Of the least length, so much must be voice.
_ACTIVE_PART = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A voice to clone.

    Attributes:
        samples: float32, mono, full scale at 1.0, without silence at either end.
        sample_rate: In Hz.
        digest: Of the samples: the same recording has the same, wherever it lies.
    """

    samples: Samples
    sample_rate: int
    digest: str

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate


def choose(paths: Sequence[Path], folders: Sequence[Path]) -> list[list[Recording]]:
    """Return recordings to take a voice from: for the first try, and for a later one.

    The first usable one leads; the next ones are added until there is enough of the voice. What
    is left over is another picture of the same voice.

    Args:
        paths: Best first.
        folders: A file outside them is not read.

    Returns:
        One or two lists of recordings, none empty.

    Raises:
        ForbiddenReference: A path lies outside the folders.
        UnusableReference: None of the recordings is good enough; says why for each.
        BadRequest: There is no path.
    """
    if not paths:
        raise BadRequest(
            "A cloned voice needs a recording of the speaker.",
            hint=f"Send references: WAV files with at least {LEAST_S:g} s of the voice alone.",
        )
    for path in paths:
        _refuse_outside(path, folders)
    usable: list[Recording] = []
    problems: list[str] = []
    for path in paths:
        try:
            usable.append(read(path))
        except UnusableReference as error:
            problems.append(error.message)
    if not usable:
        raise UnusableReference(
            " ".join(problems),
            hint=f"Send at least {LEAST_S:g} s of the voice alone, or take a built-in voice.",
        )
    lead = _first(usable)
    heard = {recording.digest for recording in lead}
    rest = [recording for recording in usable if recording.digest not in heard]
    return [lead, _first(rest)] if rest else [lead]


def read(path: Path) -> Recording:
    """Return a recording, at most 30 s of it.

    Raises:
        UnusableReference: It cannot be read, is silent, too short or of too low a sample rate.
    """
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            rate = int(file.samplerate)
            # A little more than is used, for silence that goes at the start.
            channels = file.read(round((MOST_S + 10) * rate), dtype="float32", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise UnusableReference(f"The reference {path.name} cannot be read: {error}.") from error
    if rate < LEAST_RATE:
        raise UnusableReference(
            f"The reference {path.name} has {rate} samples a second; {LEAST_RATE} are needed."
        )
    return _trimmed(path, channels.mean(axis=1), rate)


def _first(recordings: Sequence[Recording]) -> list[Recording]:
    """Return the first one, and further ones until there is enough."""
    taken: list[Recording] = []
    for recording in recordings:
        if sum(one.duration_s for one in taken) >= ENOUGH_S:
            break
        taken.append(recording)
    return taken


def _refuse_outside(path: Path, folders: Sequence[Path]) -> None:
    # Resolved first: neither ".." nor a link leads out of the folders.
    real = path.resolve()
    if not any(real.is_relative_to(folder.resolve()) for folder in folders):
        raise ForbiddenReference(
            f"The reference {path.name} lies outside the folders that may be read.",
            hint="Start the process with --references-dir and the folder that holds it.",
        )


def _trimmed(path: Path, samples: Samples, rate: int) -> Recording:
    frame = max(1, round(_FRAME_S * rate))
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame)
    if not np.isfinite(samples).all() or not len(frames):
        raise UnusableReference(f"The reference {path.name} holds no sound.")
    level = 10 * np.log10(np.mean(np.square(frames, dtype=np.float64), axis=1) + 1e-12)
    if float(level.max()) < _SILENT_DB:
        raise UnusableReference(f"The reference {path.name} is silent.")
    active = np.flatnonzero(level > level.max() + _ACTIVE_DB)
    voice = samples[int(active[0]) * frame : (int(active[-1]) + 1) * frame]
    duration_s = len(voice) / rate
    if duration_s < LEAST_S:
        raise UnusableReference(
            f"The reference {path.name} has {duration_s:.1f} s of voice; {LEAST_S:g} s are needed."
        )
    if len(active) * _FRAME_S < _ACTIVE_PART * LEAST_S:
        raise UnusableReference(f"The reference {path.name} is silent most of the time.")
    voice = np.ascontiguousarray(voice[: round(MOST_S * rate)], dtype=np.float32)
    digest = hashlib.sha256(voice.tobytes() + str(rate).encode()).hexdigest()
    return Recording(voice, rate, digest)
