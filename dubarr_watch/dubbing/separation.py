"""Voices apart from everything else: what listens hears the voices, the dub lies over the rest.

The stem of voices goes to whatever listens. Words, voice activity and speakers must come from one
sound: words that lie in no voice are dropped as hallucinated, and music is what Whisper
hallucinates on and what voice activity is taken in by.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from dubarr_watch.dubbing.extraction import MIX_RATE, MODEL_RATE, SourceAudio
from dubarr_watch.dubbing.workspace import JobControl
from dubarr_watch.engines.base import Progress, Separator, no_progress
from dubarr_watch.media import input_arguments, output_name, run_ffmpeg

CLEAN_RATE = 24_000
"""What voices are cloned from, in Hz; XTTS v2 listens at 22.05 kHz and speaks at 24."""

_SEPARATING_SHARE = 0.95


@dataclass(frozen=True, slots=True)
class Separated:
    """A sound taken apart, on its own time line.

    Attributes:
        models: Voices alone: 16 kHz mono 16-bit WAV.
        clean: Voices alone, for cloning: 24 kHz mono 16-bit FLAC.
        bed: Everything else: 48 kHz 16-bit FLAC with the channels of the original.
    """

    models: Path
    clean: Path
    bed: Path


def separate_voices(
    audio: SourceAudio,
    separator: Separator,
    folder: Path,
    *,
    control: JobControl,
    progress: Progress = no_progress,
) -> Separated:
    """Take the voices out of a video's sound.

    Args:
        audio: The sound.
        separator: The engine.
        folder: Where the files go; the engine's own stems are gone afterwards.
        control: Cancel and stall of the conversion.
        progress: In seconds of media.

    Raises:
        EngineError: The engine failed.
        MediaError: Its stems cannot be read.
    """
    stems_folder = folder / "stems"
    found = Separated(folder / "voices.wav", folder / "voices.flac", folder / "rest.flac")

    def separating(done: float, total: float) -> None:
        progress(_SEPARATING_SHARE * done, total)

    stems = separator.separate(audio.bed, stems_folder, progress=separating)
    _convert(
        stems.voice,
        [
            *_as_wav(found.models),
            "-ac", "1", "-ar", str(CLEAN_RATE), *_as_flac(found.clean),
        ],
        audio, control,
    )  # fmt: skip
    _convert(stems.rest, ["-ar", str(MIX_RATE), *_as_flac(found.bed)], audio, control)
    shutil.rmtree(stems_folder, ignore_errors=True)
    progress(audio.duration_s, audio.duration_s)
    return found


def _as_wav(target: Path) -> list[str]:
    return ["-ac", "1", "-ar", str(MODEL_RATE), "-c:a", "pcm_s16le", "-f", "wav", "-rf64", "auto",
            output_name(target)]  # fmt: skip


def _as_flac(target: Path) -> list[str]:
    return ["-c:a", "flac", "-sample_fmt", "s16", "-compression_level", "0", "-f", "flac",
            output_name(target)]  # fmt: skip


def _convert(stem: Path, outputs: list[str], audio: SourceAudio, control: JobControl) -> None:
    run_ffmpeg(
        [*input_arguments(stem), *outputs],
        path=stem,
        duration_s=audio.duration_s,
        cancelled=control.cancelled,
        stall_s=control.stall_s,
    )
