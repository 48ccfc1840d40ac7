"""Models for the GPU benchmark: real weights where they are at hand, random ones of full size else.

Random weights cost what trained ones cost: how long a layer takes and how much memory it holds
does not depend on what it has learned. Nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from benchmarks.talk import TALK
from dubarr_watch.demo.clip import SAMPLE_RATE, join_recordings
from dubarr_watch.engines.base import EngineSpec, Need, Span
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.needs import DEMUCS_NEED, PYANNOTE_NEED
from dubarr_watch.engines.registry import specs_for
from dubarr_watch.engines.whisper_sizes import whisper_need
from dubarr_watch.errors import DubarrError, ModelMissing
from dubarr_watch.settings import Profile, Settings, WhisperModel
from tests.tiny import speech

_ENGINES = "dubarr_watch.engines"
_STEREO_RATE = 48_000
_SAID_LINES = 12


@dataclass(frozen=True, slots=True)
class Load:
    """An engine and the work that it is measured by.

    Attributes:
        name: For the table.
        kind: Its seam.
        spec: Builds its model first, when it must.
        audio_s: Length of the audio that it works through.
        work: Called with the engine.
    """

    name: str
    kind: str
    spec: Callable[[], EngineSpec]
    audio_s: float
    work: Callable[[Any], object]


def speech_file(settings: Settings, folder: Path, seconds: float) -> tuple[Path, str]:
    """Write so many seconds of English at 16 kHz; return the file and who speaks.

    Whisper with its real weights stumbles over anything but speech, and then takes many times as
    long: so the embedded profile's voice speaks, where its model is at hand.
    """
    audio = folder / "speech.wav"
    try:
        samples, speaker = _spoken(settings, folder, seconds), "the embedded profile's voice"
    except DubarrError as error:
        samples, speaker = speech.speak(seconds), f"sung vowels, since: {error}"
    soundfile.write(audio, samples, speech.RATE, subtype="PCM_16")
    return audio, speaker


def loads(settings: Settings, folder: Path, audio: Path) -> list[Load]:
    """Return every engine but the voice, which is measured by lines."""
    seconds = float(soundfile.info(audio).duration)
    music_s = min(seconds, 120.0)
    music = folder / "music.wav"
    _write_music(music, music_s)
    voice = [Span(start, start + 9.0) for start in np.arange(0.0, seconds - 9.0, 10.0)]
    return [
        Load("whisper base, real", "transcriber", lambda: whisper_base(settings), seconds,
             lambda engine: engine.transcribe(audio)),
        Load("whisper large-v3, random", "transcriber", lambda: whisper_large(folder), seconds,
             lambda engine: engine.transcribe(audio)),
        Load("pyannote community-1, random", "diarizer", lambda: pyannote(folder), seconds,
             lambda engine: engine.diarize(audio, voice)),
        Load("htdemucs, random", "separator", lambda: demucs(folder), music_s,
             lambda engine: engine.separate(music, folder)),
    ]  # fmt: skip


def whisper_base(settings: Settings) -> EngineSpec:
    """Return Whisper base with its real weights, as the embedded profile pulls them."""
    model = settings.models_dir / "faster-whisper-base"
    if not (model / "model.bin").is_file():
        raise ModelMissing(
            "Whisper base is not there.", hint="Run `make models`, or set MODELS_DIR.", path=model
        )
    return _whisper(model, WhisperModel.BASE)


def whisper_large(folder: Path) -> EngineSpec:
    """Return a Whisper of large-v3's shape, in float16 as it is published."""
    from tests.tiny import whisper

    model = whisper.build(folder / "whisper-large", whisper.LARGE_V3, dtype="float16")
    return _whisper(model, WhisperModel.LARGE_V3)


def pyannote(folder: Path) -> EngineSpec:
    """Return a diarization pipeline of full size."""
    from tests.tiny import pyannote

    model = pyannote.build(folder / "pyannote", pyannote.COMMUNITY_1)
    return EngineSpec(
        f"{_ENGINES}.pyannote_diarizer:PyannoteDiarizer",
        {"model": model, "threads": 8},
        need=PYANNOTE_NEED,
    )


def demucs(folder: Path) -> EngineSpec:
    """Return an HTDemucs of full size."""
    from tests.tiny import demucs

    return EngineSpec(
        f"{_ENGINES}.demucs_separator:DemucsSeparator",
        {"model": demucs.build(folder / "demucs", demucs.HTDEMUCS), "threads": 8},
        need=DEMUCS_NEED,
    )


def xtts(folder: Path, *, codes: int, tiny: bool = False) -> EngineSpec:
    """Return an XTTS v2 of full size whose takes end by themselves after about so many codes."""
    from tests.tiny.xtts import FULL, XttsSizes, build_xtts

    build_xtts(folder / "xtts-v2", replace(XttsSizes() if tiny else FULL, stop_after=codes))
    return EngineSpec(
        f"{_ENGINES}.sidecar:SidecarSynthesizer",
        {
            "engine": "xtts",
            "models_dir": folder,
            "port": 0,
            "threads": 8,
            # These weights are nobody's: they were made on the spot.
            "licence_agreed": True,
        },
        owns_process=True,
        need=Need("xtts v2", 6144),
    )


def _whisper(model: Path, size: WhisperModel) -> EngineSpec:
    return EngineSpec(
        f"{_ENGINES}.whisper:WhisperTranscriber",
        {"model": model, "threads": 8},
        need=whisper_need(size),
    )


def _spoken(settings: Settings, folder: Path, seconds: float) -> npt.NDArray[np.float32]:
    spec = specs_for(Profile.EMBEDDED, settings).synthesizer
    spec = replace(spec, options={**spec.options, "port": 0})
    lines = [folder / f"said-{n}.wav" for n in range(_SAID_LINES)]
    with EngineHost(settings).engine("synthesizer", spec) as voice:
        offered = [known.id for known in voice.voices("en")]
        for n, line in enumerate(lines):
            speaker = TALK[n].voice if TALK[n].voice in offered else offered[0]
            voice.synthesize(TALK[n].text, language="en", voice=speaker, speed=1.0, target=line)
    joined = join_recordings(lines, seconds)[: round(seconds * SAMPLE_RATE)]
    return np.asarray(soxr.resample(joined, SAMPLE_RATE, speech.RATE), dtype=np.float32)


def _write_music(path: Path, seconds: float) -> None:
    rng = np.random.default_rng(7)
    with soundfile.SoundFile(path, "w", _STEREO_RATE, 2, "PCM_16") as sound:
        for _ in range(int(seconds)):
            sound.write(0.1 * rng.standard_normal((_STEREO_RATE, 2)))
