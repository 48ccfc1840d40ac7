"""The original's sound, decoded once: mono for the models, all channels for the mix.

Both start at the video's time 0 whatever the stream's own offset is, so that every time in a job
means the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import soundfile

from dubarr_watch.dubbing.layouts import STEREO, layout_of
from dubarr_watch.dubbing.levels import Measuring, sound_levels
from dubarr_watch.dubbing.workspace import JobControl
from dubarr_watch.engines.base import Progress, no_progress
from dubarr_watch.errors import NoAudio
from dubarr_watch.languages import Language, same_language
from dubarr_watch.media import (
    Opener,
    Probe,
    Stream,
    held,
    input_arguments,
    output_name,
    readable,
    run_ffmpeg,
)

MODEL_RATE = 16_000
"""What Whisper, Silero VAD and the d-vector model were trained on, in Hz."""

MIX_RATE = 48_000

_LONGER_AT_MOST, _SPARE_S = 1.5, 60.0
"""By how much sound may outlast the length that its file says; what lies beyond is left out."""

_TALKS_OVER = {"comment", "visual_impaired", "dub"}
# Commentary and audio description as discs name them, and dubs that this program put in before.
_ABOUT = re.compile(
    r"(?i)comm?ent|kommentar|descripti|descripci|descrizione|beschreibung|\(AI dub\)"
)


@dataclass(frozen=True, slots=True)
class SourceAudio:
    """The sound that a job works on.

    Attributes:
        models: 16 kHz mono 16-bit WAV.
        bed: 48 kHz 16-bit FLAC in the layout of the tracks, see `layouts`.
        duration_s: Length of the video.
        language: Language tag of the stream, or empty.
        offset_s: Where the stream starts on the video's time line; already compensated.
        codec: The stream's codec, as ffmpeg names it.
    """

    models: Path
    bed: Path
    duration_s: float
    language: str
    offset_s: float
    codec: str = ""


def extract_audio(
    found: Probe,
    folder: Path,
    *,
    source: Language | None,
    stereo: bool = False,
    control: JobControl,
    progress: Progress = no_progress,
    opened: Opener = held,
) -> SourceAudio:
    """Decode the spoken audio stream of a video.

    Args:
        found: The video.
        folder: Where the files go.
        source: SOURCE_LANG: the stream in this language is taken, if there is one.
        stereo: STEREO: the bed is mixed down to stereo.
        control: Cancel and stall.
        progress: In seconds of media.
        opened: Opens the video.

    Raises:
        NoAudio: The video has no audio stream, or none that holds a sound.
        MediaError: It cannot be decoded.
    """
    stream = choose_stream(found, source)
    models, bed = folder / "source.wav", folder / "bed.flac"
    layout = STEREO if stereo else layout_of(stream.channels, stream.layout)
    # first_pts=0 fills a late start with silence and cuts what lies before the video.
    align = "aresample=async=1:first_pts=0"
    # That filling also bridges every gap: one packet dated years ahead would fill the disk.
    longest = ["-t", f"{found.duration_s * _LONGER_AT_MOST + _SPARE_S:.3f}"]
    with readable(found.path, opened) as name:
        run_ffmpeg(
            [
                *input_arguments(name),
                "-map", f"0:{stream.index}", "-vn", "-sn", "-dn", *longest, "-af", align,
                "-ac", "1", "-ar", str(MODEL_RATE), "-c:a", "pcm_s16le", "-f", "wav",
                "-rf64", "auto", output_name(models),
                "-map", f"0:{stream.index}", "-vn", "-sn", "-dn", *longest,
                "-af", f"{align},aformat=channel_layouts={layout.name}", "-ar", str(MIX_RATE),
                "-c:a", "flac", "-sample_fmt", "s16",
                "-compression_level", "0", "-f", "flac", output_name(bed),
            ],
            path=found.path,
            duration_s=found.duration_s,
            progress=progress,
            cancelled=control.cancelled,
            stall_s=control.stall_s,
        )  # fmt: skip
    if not soundfile.info(models).frames:
        raise NoAudio(
            "None of this video's sound can be decoded.",
            hint="It is most likely cut off or damaged: replace it.",
            path=found.path,
        )
    offset_s = round(stream.start_s - found.start_s, 3)
    sound_levels(bed, Measuring(cancelled=control.cancelled))
    return SourceAudio(models, bed, found.duration_s, stream.language, offset_s, stream.codec)


def choose_stream(found: Probe, source: Language | None) -> Stream:
    """Return the audio stream to dub: in the source language, else the default; no commentary.

    Raises:
        NoAudio: There is no audio stream.
    """
    streams = found.of_kind("audio")
    if not streams:
        raise NoAudio("This video has no sound, so there is nothing to dub.", path=found.path)
    own = [s for s in streams if not s.dispositions & _TALKS_OVER and not _ABOUT.search(s.title)]
    candidates = own or streams
    if source is not None:
        candidates = [s for s in candidates if same_language(s.language, source)] or candidates
    return max(candidates, key=lambda s: ("default" in s.dispositions, -s.index))
