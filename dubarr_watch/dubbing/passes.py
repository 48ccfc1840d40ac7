"""One pass of ffmpeg that writes a file to publish: how it is watched, tagged and looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dubarr_watch.dubbing.containers import USE_SIDECAR
from dubarr_watch.errors import MediaError, NotAVideo, PublishError
from dubarr_watch.languages import Language
from dubarr_watch.media import Probe, probe, run_ffmpeg

DURATION_TOLERANCE_S = 0.5
"""A container rounds a duration by less than a frame; an encoder pads by less than 0.1 s."""


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


def run_pass(arguments: Sequence[str], path: Path, duration_s: float, watch: Watch) -> None:
    """Run ffmpeg over the media once.

    Args:
        arguments: What to do, as `run_ffmpeg` takes it.
        path: The file to name in errors.
        duration_s: Length of the media.
        watch: Progress, cancel and stall.
    """
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
        error.hint = error.hint or USE_SIDECAR
        raise
    if watch.progress:
        # A short file is done before ffmpeg says how far it is.
        watch.progress(duration_s, duration_s)


def half_of(watch: Watch, *, second: bool) -> Watch:
    """Let one of two passes over a video tell its progress as half of the whole."""
    tell = watch.progress
    if tell is None:
        return watch

    def scaled(done_s: float, total_s: float) -> None:
        tell((done_s + (total_s if second else 0)) / 2, total_s)

    return replace(watch, progress=scaled)


def probe_written(temporary: Path, target: Path) -> Probe:
    """Return what is in a file that was just written.

    Args:
        temporary: The file.
        target: Its final name, for errors.

    Raises:
        PublishError: It is broken.
    """
    try:
        return probe(temporary)
    except NotAVideo as error:
        raise PublishError(f"What was written is broken: {error.message}", path=target) from error


def dub_tags(index: int, language: Language) -> list[str]:
    """Return the options that name output audio stream `index` as our dub."""
    return [
        f"-metadata:s:a:{index}", f"language={language.iso639_2}",
        f"-metadata:s:a:{index}", f"title={language.track_title}",
        f"-disposition:a:{index}", "dub",
    ]  # fmt: skip
