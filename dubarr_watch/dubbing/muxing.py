"""Finished tracks as media files: beside the video, or inside a copy that takes its place.

Nothing of the original is encoded again, reordered or left out. A copy is compared with the
original stream by stream, packet data included, before it takes the original's name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dubarr_watch.dubbing import containers
from dubarr_watch.dubbing.containers import Plan
from dubarr_watch.dubbing.publishing import Place, publish
from dubarr_watch.errors import MediaError, NotAVideo, PublishError, VideoChanged
from dubarr_watch.languages import Language, same_language
from dubarr_watch.media import Probe, input_arguments, output_name, probe, run_ffmpeg

DURATION_TOLERANCE_S = 0.5
"""A container rounds a duration by less than a frame; an encoder pads by less than 0.1 s."""

_USE_SIDECAR = "Set OUTPUT_MODE=sidecar to get the dub as a file beside the video."


@dataclass(frozen=True, slots=True)
class Watch:
    """How a publication is watched and stopped.

    Attributes:
        progress: Called with (done seconds, total seconds) of media.
        cancelled: True ends it; nothing is published.
        stall_s: Seconds without progress after which ffmpeg is ended.
        on_step: Told each step, see `publishing.Place`.
    """

    progress: Callable[[float, float], None] | None = None
    cancelled: Callable[[], bool] | None = None
    stall_s: float = 600
    on_step: Callable[[str], None] = lambda step: None


def publish_sidecar(
    audio: Path,
    *,
    target: Path,
    language: Language,
    duration_s: float,
    still_there: Callable[[], None],
    job: int,
    may_replace: bool = False,
    like: Path | None = None,
    watch: Watch | None = None,
) -> Path:
    """Publish a track as a Matroska audio file beside its video.

    Args:
        audio: The encoded track, starting at the video's time 0.
        target: Its final name, `Film.Dubarr.<code>.mka`.
        language: What is spoken in it.
        duration_s: How long it must be.
        still_there: Raises `VideoChanged` when the video is gone or another.
        job: The job, part of the temporary name.
        may_replace: Whether an existing target is ours to replace.
        like: The video, whose permissions and owner the track takes.
        watch: Progress, cancel and stall.

    Returns:
        `target`.

    Raises:
        PublishError: The target is taken by a file that is not ours, or the result is not right.
        DiskFull, NotWritable, VideoChanged, MediaError, JobCancelled: As they say.
    """
    watch = watch or Watch()

    def write(temporary: Path) -> None:
        arguments = [
            *input_arguments(audio), "-map", "0:a:0", "-c", "copy",
            "-map_metadata", "-1", "-map_chapters", "-1",
            *_dub_tags(0, language), "-default_mode", "passthrough",
            "-f", "matroska", output_name(temporary),
        ]  # fmt: skip
        _run(arguments, target, duration_s, watch)

    def verify(temporary: Path) -> None:
        found = _probe(temporary, target)
        wrong = _wrong_sidecar(found, language, duration_s)
        if wrong:
            raise PublishError(f"The track did not pass its check: {wrong}.", path=target)

    place = Place(
        target=target,
        job=job,
        still_there=still_there,
        may_replace=may_replace,
        like=like,
        on_step=watch.on_step,
    )
    return publish(place, write, verify, needs_bytes=audio.stat().st_size)


def publish_muxed(
    video: Path,
    audios: Sequence[tuple[Language, Path]],
    *,
    work: Path,
    still_there: Callable[[], None],
    job: int,
    earlier: Collection[Language] = (),
    watch: Watch | None = None,
) -> Path:
    """Put tracks into a video: a whole copy takes its place, tracks appended last.

    Everything else is copied: streams in their order, chapters, attachments, cover pictures, tags,
    permissions and attributes. Our earlier dub of the same language is replaced. The time of
    change is new, so that media servers look again; a hard link to the original keeps its bytes.

    Args:
        video: The video; when it is a symbolic link, the file it points to is replaced.
        audios: Language and encoded track of each dub, time 0 being the video's first moment.
        work: The job's work folder, for small helper files.
        still_there: Raises `VideoChanged` when the video is gone or another.
        job: The job, part of the temporary name.
        earlier: Languages that we are on record to have put into this file; only needed for
            containers that keep no titles.
        watch: Progress, cancel and stall.

    Returns:
        `video`.

    Raises:
        CannotDub: The container cannot take another audio track.
        PublishError: The copy is not equal to the original.
        DiskFull, NotWritable, VideoChanged, MediaError, JobCancelled: As they say.
    """
    watch = watch or Watch()
    target = video.resolve()
    still_there()
    before = _identity(target)
    original = probe(target)
    container = containers.container_of(original)
    languages = [language for language, _ in audios]
    plan = containers.plan(original, container, _earlier_dubs(original, languages, earlier))
    hashes = work / f"original.{job}.streamhash"

    def write(temporary: Path) -> None:
        pictures = _save_pictures(plan, work, job, watch)
        arguments = [
            *_inputs(plan, audios), *containers.copy_arguments(plan, pictures),
            *_dub_arguments(plan, audios), "-f", container.muxer, output_name(temporary),
            *_hash_arguments([stream.index for stream in plan.tracks], hashes),
        ]  # fmt: skip
        _run(arguments, target, original.duration_s, _half(watch, second=False))

    def verify(temporary: Path) -> None:
        found = _probe(temporary, target)
        wrong = containers.difference(plan, found, languages, DURATION_TOLERANCE_S)
        if not wrong and container.exact:
            copies = work / f"copy.{job}.streamhash"
            indexes = [stream.index for stream in containers.copied_tracks(plan, found)]
            _run([*input_arguments(temporary), *_hash_arguments(indexes, copies)],
                 target, original.duration_s, _half(watch, second=True))  # fmt: skip
            if _hash_values(hashes) != _hash_values(copies):
                wrong = "its streams do not hold the same data"
        if wrong:
            raise PublishError(
                f"The copy is not equal to the original: {wrong}.", hint=_USE_SIDECAR, path=target
            )

    def unchanged() -> None:
        still_there()
        if _identity(target) != before:
            raise VideoChanged("The video was changed while the dub was put into it.", path=video)

    place = Place(
        target=target,
        job=job,
        still_there=unchanged,
        may_replace=True,
        like=target,
        whole=True,
        on_step=watch.on_step,
    )
    needs = original.size_bytes + sum(path.stat().st_size for _, path in audios)
    publish(place, write, verify, needs_bytes=needs)
    return video


def _run(arguments: Sequence[str], path: Path, duration_s: float, watch: Watch) -> None:
    try:
        run_ffmpeg(
            arguments,
            path=path,
            duration_s=duration_s,
            progress=watch.progress,
            cancelled=watch.cancelled,
            stall_s=watch.stall_s,
        )
    except MediaError as error:
        error.hint = error.hint or _USE_SIDECAR
        raise
    if watch.progress:
        # A short file is done before ffmpeg says how far it is.
        watch.progress(duration_s, duration_s)


def _half(watch: Watch, *, second: bool) -> Watch:
    """Let one of two passes over a video tell its progress as half of the whole."""
    tell = watch.progress
    if tell is None:
        return watch

    def scaled(done_s: float, total_s: float) -> None:
        tell((done_s + (total_s if second else 0)) / 2, total_s)

    return replace(watch, progress=scaled)


def _probe(temporary: Path, target: Path) -> Probe:
    try:
        return probe(temporary)
    except NotAVideo as error:
        raise PublishError(f"What was written is broken: {error.message}", path=target) from error


def _wrong_sidecar(found: Probe, language: Language, duration_s: float) -> str:
    if [stream.kind for stream in found.streams] != ["audio"]:
        return "it is not one audio stream"
    stream = found.streams[0]
    if stream.language != language.iso639_2 or stream.title != language.track_title:
        return f"it is tagged {stream.language or 'with no language'}, {stream.title!r}"
    if "default" in stream.dispositions:
        return "it is marked as default"
    if abs(found.duration_s - duration_s) > DURATION_TOLERANCE_S:
        return f"it is {found.duration_s:.2f} s long instead of {duration_s:.2f} s"
    return ""


def _dub_tags(index: int, language: Language) -> list[str]:
    """Return the options that name output audio stream `index` as our dub."""
    return [
        f"-metadata:s:a:{index}", f"language={language.iso639_2}",
        f"-metadata:s:a:{index}", f"title={language.track_title}",
        f"-disposition:a:{index}", "dub",
    ]  # fmt: skip


def _identity(path: Path) -> tuple[int, int, int, int]:
    try:
        seen = os.stat(path)  # noqa: PTH116 - the path may hold any bytes
    except FileNotFoundError:
        raise VideoChanged("The video is not there any more.", path=path) from None
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns


def _earlier_dubs(
    original: Probe, languages: Sequence[Language], on_record: Collection[Language]
) -> frozenset[int]:
    """Return the indexes of our own dubs that the new ones replace."""
    found: set[int] = set()
    audio = original.of_kind("audio")
    for language in languages:
        titled = [stream.index for stream in audio if stream.title == language.track_title]
        tagged = [stream.index for stream in audio if same_language(stream.language, language)]
        if titled:
            found.update(titled)
        elif language in on_record and tagged:
            found.add(tagged[-1])  # dubs are appended last
    return frozenset(found)


def _inputs(plan: Plan, audios: Sequence[tuple[Language, Path]]) -> list[str]:
    """Return the inputs, every clock left as it is where the container keeps clocks."""
    if not plan.container.keeps_clock:
        return [
            *input_arguments(plan.original.path),
            *(word for _, path in audios for word in input_arguments(path)),
        ]
    offset = f"{plan.original.start_s:.6f}"
    return [
        "-copyts", *input_arguments(plan.original.path),
        *(word for _, path in audios for word in input_arguments(path, "-itsoffset", offset)),
    ]  # fmt: skip


def _dub_arguments(plan: Plan, audios: Sequence[tuple[Language, Path]]) -> list[str]:
    arguments: list[str] = []
    first = sum(stream.kind == "audio" for stream in plan.tracks)
    for position, (language, _) in enumerate(audios):
        index = first + position
        arguments += ["-map", f"{position + 1}:a:0", *_dub_tags(index, language)]
        if plan.container.names_handlers:
            name = f"handler_name={language.track_title}"
            arguments += [f"-metadata:s:a:{index}", name]
        arguments += [f"-c:a:{index}", plan.container.dub_codec]
        if plan.container.dub_codec != "copy":
            arguments += [f"-b:a:{index}", "192k"]
    return arguments


def _save_pictures(plan: Plan, work: Path, job: int, watch: Watch) -> list[Path]:
    """Write cover pictures to files where the container attaches pictures from files."""
    saved: list[Path] = []
    for stream in plan.pictures_to_attach:
        file = work / f"picture.{job}.{stream.index}"
        arguments = [
            *input_arguments(plan.original.path), "-map", f"0:{stream.index}", "-c", "copy",
            "-frames:v", "1", "-f", "rawvideo", output_name(file),
        ]  # fmt: skip
        _run(arguments, plan.original.path, 0, watch)
        saved.append(file)
    return saved


def _hash_arguments(indexes: Sequence[int], file: Path) -> list[str]:
    maps = [word for index in indexes for word in ("-map", f"0:{index}")]
    return [*maps, "-c", "copy", "-copy_unknown", "-f", "streamhash", "-hash", "murmur3",
            output_name(file)]  # fmt: skip


def _hash_values(file: Path) -> list[str]:
    """Return the hash of each stream in order, without the index before it."""
    lines = file.read_text(encoding="ascii", errors="replace").splitlines()
    return [line.split(",", 1)[1] for line in lines if "," in line]
