"""A finished track as a file of its own beside the video."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from dubarr_watch.dubbing.passes import (
    DURATION_TOLERANCE_S,
    Watch,
    dub_tags,
    probe_written,
    run_pass,
)
from dubarr_watch.dubbing.publishing import Naming, Place, publish
from dubarr_watch.errors import PublishError
from dubarr_watch.languages import Language
from dubarr_watch.media import Opener, Probe, held, input_arguments, output_name


def publish_sidecar(
    audio: Path,
    *,
    target: Path,
    language: Language,
    duration_s: float,
    still_there: Callable[[], None],
    job: int,
    token: int = 0,
    naming: Naming = nullcontext,
    may_replace: bool = False,
    like: Path | None = None,
    watch: Watch | None = None,
    opened: Opener = held,
) -> Path:
    """Publish a track as a Matroska audio file beside its video.

    Args:
        audio: The encoded track, starting at the video's time 0.
        target: Its final name, `Film.Dubarr.<code>.mka`.
        language: What is spoken in it.
        duration_s: How long it must be.
        still_there: Raises `VideoChanged` when the video is gone or another.
        job: The job, part of the temporary name.
        token: See `Place`.
        naming: See `Place`.
        may_replace: Whether an existing target is ours to replace.
        like: The video, whose permissions and owner the track takes.
        watch: Progress, cancel and stall.
        opened: Opens the target's folder.

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
            *dub_tags(0, language), "-default_mode", "passthrough",
            "-f", "matroska", output_name(temporary),
        ]  # fmt: skip
        run_pass(arguments, target, duration_s, watch)

    def verify(temporary: Path) -> None:
        found = probe_written(temporary, target)
        wrong = _wrong_sidecar(found, language, duration_s)
        if wrong:
            raise PublishError(f"The track did not pass its check: {wrong}.", path=target)

    place = Place(
        target=target,
        job=job,
        still_there=still_there,
        token=token,
        naming=naming,
        may_replace=may_replace,
        like=like,
        on_step=watch.on_step,
        opened=opened,
    )
    return publish(place, write, verify, needs_bytes=audio.stat().st_size)


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
