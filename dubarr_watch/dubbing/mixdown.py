"""The mix of one language as a stage of its job: what settings and the video ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import soundfile

from dubarr_watch.dubbing.acoustics import find_rooms, in_rooms, rooms_note
from dubarr_watch.dubbing.balance import MixLine
from dubarr_watch.dubbing.codecs import TrackCodec, track_codec
from dubarr_watch.dubbing.containers import container_of
from dubarr_watch.dubbing.dub import Understood
from dubarr_watch.dubbing.layouts import Layout, layout_of
from dubarr_watch.dubbing.levels import Loudness
from dubarr_watch.dubbing.mixing import MixedTrack, mix
from dubarr_watch.dubbing.patching import Made, patch
from dubarr_watch.dubbing.programme import MixControl, Programme
from dubarr_watch.dubbing.songs import sung_spans, united
from dubarr_watch.dubbing.speaking import FittedTake, Part
from dubarr_watch.dubbing.timeline import PlacedTake
from dubarr_watch.dubbing.video import Video
from dubarr_watch.dubbing.wordless import heard_spans, wordless_note
from dubarr_watch.dubbing.workspace import JobControl, Workspace, content_key
from dubarr_watch.engines.base import Progress, Span
from dubarr_watch.languages import Language
from dubarr_watch.settings import LoudnessGoal, OutputMode, Settings
from dubarr_watch.store.records import JobRecord


@dataclass(frozen=True, slots=True)
class Mixed:
    """What mixing makes: the file is there, or it has to be done again."""

    audio: Path
    loudness: Loudness
    depth_lu: float | None = None
    notes: list[str] = field(default_factory=list)


def mix_dub(
    language: Language,
    parts: Sequence[Part],
    fitted: Sequence[FittedTake],
    *,
    known: Understood,
    video: Video,
    job: JobRecord,
    settings: Settings,
    work: Workspace,
    control: JobControl,
    progress: Progress,
) -> Mixed:
    """Return the mix of fitted takes, from its checkpoint where that is good.

    Args:
        language: What they are spoken in.
        parts: What each line needed.
        fitted: What each line got.
        known: The original.
        video: The video, whose container decides on the codec when the track goes into it.
        job: Its mode and style.
        settings: MIX_STYLE, LOUDNESS, OUTPUT_MODE.
        work: The job's work folder.
        control: Cancel and stall.
        progress: In seconds of media.

    Raises:
        CannotDub: The container cannot take another audio track.
        MediaError: ffmpeg failed.
        JobCancelled: Somebody asked for it.
    """
    style, bed = job.options.style or settings.mix_style.value, known.audio.bed
    if known.separated and style == "dub":
        # In a voiceover the original's own voice is to be heard.
        style, bed = "without voices", known.separated.bed
    spoken = [part for part, done in zip(parts, fitted, strict=True) if done.path is not None]
    lines = [
        MixLine(take, Span(part.line.start_s, part.line.end_s), part.line.speaker)
        for part, take in zip(spoken, placed(fitted), strict=True)
    ]
    match = settings.loudness is LoudnessGoal.MATCH
    wordless = heard_spans(known.wordless, placed(fitted))
    kept = united(wordless, heard_spans(sung_spans(parts, fitted), placed(fitted)))
    programme = Programme(
        known.audio.bed, bed, lines, known.audio.duration_s, style=style, match=match,
        wordless=kept,
    )  # fmt: skip
    mode = OutputMode(job.options.mode or settings.output_mode)
    muxer = "matroska" if mode is OutputMode.SIDECAR else container_of(video.found).muxer
    layout = layout_of(soundfile.info(bed).channels)
    codec = track_codec(layout, muxer=muxer, source=known.audio.codec)
    audio = work.folder / f"dub.{language.code}.mka"

    def make() -> Mixed:
        watch = MixControl(progress, control.cancelled, control.stall_s)
        heard = _as_in_the_original(lines, known, style, control)
        made = _made(replace(programme, lines=heard), audio, codec, language, bed_key, work, watch)
        notes = [
            *wordless_note(wordless), *rooms_note(heard), *_narrowed_note(layout, codec, muxer),
            *made.notes,
        ]  # fmt: skip
        return Mixed(audio, made.loudness, made.depth_lu, notes)

    bed_key = content_key(known.key, style, match, codec)
    key = content_key(known.key, fitted, style, match, codec, kept)
    return work.stage("mix", language.code, key, Mixed, make)


def _made(
    programme: Programme,
    audio: Path,
    codec: TrackCodec,
    language: Language,
    key: str,
    work: Workspace,
    watch: MixControl,
) -> MixedTrack:
    """Mix all of it; or, where it was mixed before, what is another now."""
    name = f"mix.{language.code}"
    before, track = work.kept(name, Made), None
    if before is not None and before.still_is(key, audio):
        track = patch(programme, audio, codec, before.record, watch)
    track = track or mix(programme, audio, codec=codec, control=watch)
    work.keep(name, Made, Made.of(track.record, key, audio))
    return track


def _as_in_the_original(
    lines: list[MixLine], known: Understood, style: str, control: JobControl
) -> list[MixLine]:
    """Return lines in the original's rooms, where its voice is heard alone and not in the mix."""
    if known.separated is None or style != "without voices":
        return lines
    spoken = [line for line in known.lines if line.index not in known.songs]
    return in_rooms(lines, find_rooms(known.separated.models, spoken, control.cancelled))


def _narrowed_note(layout: Layout, codec: TrackCodec, muxer: str) -> list[str]:
    if codec.layout == layout:
        return []
    return [
        f"The track is {codec.layout.name} instead of {layout.name}: no codec with that many "
        f"channels fits into this kind of file ({muxer}). OUTPUT_MODE=sidecar keeps them all."
    ]


def placed(fitted: Sequence[FittedTake]) -> list[PlacedTake]:
    """Return what is heard and when."""
    return [
        PlacedTake(done.path, done.placed_s, done.fit.duration_s, done.fit.trimmed)
        for done in fitted
        if done.path is not None
    ]
