"""A talking video made on the spot: two voices in conversation, music under them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from dubarr_watch.engines.base import Gender, Synthesizer, Voice
from dubarr_watch.media import input_arguments, output_name, run_ffmpeg

SAMPLE_RATE = 48_000
MUSIC_RMS = 0.012
"""About 20 dB under the voices, as in a quiet scene."""

_SPEECH_RMS = 0.1
_CHORD_S = 4.0
# A minor, F, C, G in Hz: four plain triads that nobody owns.
_CHORDS = (
    (220.0, 261.63, 329.63),
    (174.61, 220.0, 261.63),
    (261.63, 329.63, 392.0),
    (196.0, 246.94, 293.66),
)

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Utterance:
    """One thing that is said.

    Attributes:
        voice: Id of a voice, one of `GENDERS`.
        text: In English.
        pause_s: Silence after it.
    """

    voice: str
    text: str
    pause_s: float = 0.7


WOMAN, MAN = "af_heart", "am_michael"
GENDERS = {WOMAN: Gender.FEMALE, MAN: Gender.MALE}

CONVERSATION = (
    Utterance(WOMAN, "Good morning. I have found an old map in the kitchen."),
    Utterance(MAN, "That is wonderful. Where does it lead?"),
    Utterance(WOMAN, "It shows a small house near the river, behind the forest."),
    Utterance(MAN, "I know that place. My grandfather lived there for twenty years."),
    Utterance(WOMAN, "Then we should go there today, before it starts to rain."),
    Utterance(MAN, "Wait for me. I only need my coat and a cup of coffee.", 1.0),
)


def speak_clip(
    synthesizer: Synthesizer,
    folder: Path,
    name: str,
    utterances: Sequence[Utterance] = CONVERSATION,
) -> Path:
    """Make a Matroska video in which some English utterances are spoken over music.

    Args:
        synthesizer: Speaks English; where it lacks a voice, its best one of the register does.
        folder: Where the video is made.
        name: Its file name.
        utterances: What is said, in order.

    Returns:
        The video: H.264 test picture, AAC stereo, language tag `eng`.
    """
    offered = synthesizer.voices("en")
    pieces: list[Samples] = [_silence(0.8)]
    for i, said in enumerate(utterances):
        target = folder / f".utterance-{i}.wav"
        voice_id = _voice_id(said.voice, offered)
        synthesizer.synthesize(said.text, language="en", voice=voice_id, speed=1.0, target=target)
        pieces += [_at_rms(_read(target), _SPEECH_RMS), _silence(said.pause_s)]
        target.unlink()
    return film_speech(np.concatenate(pieces), folder, name)


def join_recordings(recordings: Sequence[Path], seconds: float, pause_s: float = 0.7) -> Samples:
    """Return recordings of people one after another, repeated until they last long enough.

    Args:
        recordings: Mono files of any rate.
        seconds: How long it must last at least.
        pause_s: Silence after each.

    Returns:
        48 kHz mono, float32, shape (n,).
    """
    turns = [_at_rms(_read(path), _SPEECH_RMS) for path in recordings]
    pieces: list[Samples] = [_silence(0.8)]
    while sum(len(piece) for piece in pieces) < seconds * SAMPLE_RATE:
        for turn in turns:
            pieces += [turn, _silence(pause_s)]
    return np.concatenate(pieces)


def film_speech(voice: Samples, folder: Path, name: str) -> Path:
    """Make a Matroska video of speech over music.

    Args:
        voice: 48 kHz mono, float32, shape (n,).
        folder: Where the video is made.
        name: Its file name.

    Returns:
        The video: H.264 test picture, AAC stereo, language tag `eng`.
    """
    sound = folder / ".clip.wav"
    mixed = voice + _music(len(voice))
    soundfile.write(sound, np.stack([mixed, mixed], axis=1), SAMPLE_RATE)
    video = folder / name
    _film(sound, len(voice) / SAMPLE_RATE, video)
    sound.unlink()
    return video


def _voice_id(wanted: str, offered: Sequence[Voice]) -> str:
    fitting = [voice.id for voice in offered if voice.gender is GENDERS[wanted]]
    return wanted if wanted in fitting or not fitting else fitting[0]


def _film(sound: Path, duration_s: float, video: Path) -> None:
    picture = f"testsrc2=size=640x360:rate=25:duration={duration_s:.3f}"
    run_ffmpeg(
        [
            "-f", "lavfi", "-i", picture, *input_arguments(sound),
            "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p",
            "-c:a", "aac", "-b:a", "160k", "-metadata:s:a:0", "language=eng",
            "-disposition:a:0", "default", "-f", "matroska", output_name(video),
        ],
        path=video,
    )  # fmt: skip


def _music(count: int) -> Samples:
    times = np.arange(count) / SAMPLE_RATE
    music = np.zeros(count)
    for i, chord in enumerate(_CHORDS):
        turn = (times / _CHORD_S).astype(int) % len(_CHORDS) == i
        for pitch_hz in chord:
            music += turn * np.sin(2 * np.pi * pitch_hz * times)
    swell = 0.7 + 0.3 * np.cos(2 * np.pi * times / _CHORD_S)
    return _at_rms((music * swell).astype(np.float32), MUSIC_RMS)


def _read(path: Path) -> Samples:
    samples, rate = soundfile.read(path, dtype="float32")
    return np.asarray(soxr.resample(samples, rate, SAMPLE_RATE), dtype=np.float32)


def _silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * SAMPLE_RATE), dtype=np.float32)


def _at_rms(samples: Samples, rms: float) -> Samples:
    own = float(np.sqrt(np.mean(samples**2)))
    return np.asarray(samples * (rms / own if own else 0.0), dtype=np.float32)
