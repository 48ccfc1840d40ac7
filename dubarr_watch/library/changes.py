"""What somebody who knows says has happened to videos: renamed, deleted, replaced by better ones.

The watcher sees the same by and by; what is told makes it certain which file became which, and a
job for a file that is gone ends now instead of at its publishing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import structlog

from dubarr_watch.errors import IllegalTransition
from dubarr_watch.library.asking import GONE, REPLACED, Asking
from dubarr_watch.library.naming import fingerprint
from dubarr_watch.storage import rename_to_new
from dubarr_watch.store.records import OutputRecord, VideoRecord
from dubarr_watch.store.store import Store

_LOG = structlog.get_logger(__name__)


class Changes:
    """Takes such news; every method may be called from any thread, and more than once.

    Args:
        store: Videos, jobs, outputs.
        asking: Requests.
        look_at: Makes the library look at a path soon.
    """

    def __init__(self, store: Store, asking: Asking, look_at: Callable[[Path], None]) -> None:
        self._store = store
        self._asking = asking
        self._look_at = look_at

    def renamed(self, old: Path, new: Path) -> list[Path]:
        """Let all that belongs to a video follow it to its new path.

        Requests, a `.nodub` for it, our tracks and subtitles beside it; also where the one who
        renamed the video took our files along under other names, as Sonarr and Radarr do.

        Returns:
            Our files that have new names now.
        """
        self._asking.follow(old, new)
        forbidding = old.with_name(f"{old.name}.nodub")
        if forbidding.is_file():
            _rename(forbidding, new.with_name(f"{new.name}.nodub"))
        carried = list(self._carry_outputs(old, new))
        for path in (new, old):
            self._look_at(path)
        return carried

    def deleted(self, path: Path, *, on_purpose: bool = False) -> list[int]:
        """Cancel the jobs of a video, or of all in a folder, that is gone.

        Args:
            path: The video, or the folder.
            on_purpose: Whether what was asked for it is over, too; else it is done after all when
                the video comes back.

        Returns:
            The jobs.
        """
        cancelled = self._cancel(path, GONE)
        if on_purpose and not os.path.lexists(path):
            for request in self._store.requests.all_open():
                mine = request.target == path or path in request.target.parents
                if mine and request.marker is None:  # a marker that is there still asks
                    self._store.requests.close(request.id)
        self._look_at(path)
        return cancelled

    def replaced(self, old: Path, new: Path) -> list[int]:
        """Cancel the jobs of a video that another version took the place of.

        What was asked for the old one is asked for the new one.

        Returns:
            The jobs.
        """
        cancelled = self._cancel(old, REPLACED)
        if old != new and not os.path.lexists(old):
            self._asking.follow(old, new)
            self._look_at(old)
        return cancelled

    def _cancel(self, path: Path, reason: str) -> list[int]:
        videos = [*self._store.videos.ever_at(path), *self._store.videos.under(path)]
        cancelled: list[int] = []
        for video in videos:
            if _is_there(video):
                continue  # this is the one that came
            for job in self._store.jobs.for_video(video.id):
                if job.state.ended or job.cancel_requested:
                    continue
                with suppress(IllegalTransition):  # ended in this very moment
                    self._store.jobs.cancel(job.id, reason)
                    cancelled.append(job.id)
                    _LOG.info("job_called_off", job=job.id, video=video.path, reason=reason)
        return cancelled

    def _carry_outputs(self, old: Path, new: Path) -> Iterator[Path]:
        videos = [*self._store.videos.ever_at(old), *self._store.videos.ever_at(new)]
        for output in {
            o.path: o for v in videos for o in self._store.outputs.for_video(v.id)
        }.values():
            if output.path == old:
                self._store.outputs.move(old, new)  # a track inside the video itself
                continue
            target = _new_name(output.path, old, new)
            if target is None:
                continue
            source = output.path if output.path.is_file() else _taken_along(output, new)
            if source is None or not (source == target or _rename(source, target)):
                continue
            self._store.outputs.move(output.path, target)
            yield target


def _new_name(output: Path, old: Path, new: Path) -> Path | None:
    """Return what a file of ours beside a video is called beside its new name."""
    if output.parent != old.parent:
        return None
    for base, becomes in ((old.name, new.name), (old.stem, new.stem)):
        if output.name.startswith(f"{base}.Dubarr."):
            return new.with_name(f"{becomes}{output.name[len(base) :]}")
    return None


def _taken_along(output: OutputRecord, new: Path) -> Path | None:
    """Return where a file of ours went when the video's new folder holds it under another name."""
    with suppress(OSError):
        for file in sorted(new.parent.iterdir()):
            if not file.name.startswith(new.stem) or file.suffix != output.path.suffix:
                continue
            with suppress(OSError):
                same_size = file.stat().st_size == output.size_bytes
                if same_size and fingerprint(file) == output.fingerprint:
                    return file
    return None


def _rename(source: Path, target: Path) -> bool:
    try:
        rename_to_new(source, target)
    except FileExistsError:
        _LOG.warning("not_renamed", path=source, to=target, reason="something is there already")
        return False
    except OSError as error:
        _LOG.warning("not_renamed", path=source, to=target, reason=error.strerror or str(error))
        return False
    _LOG.info("renamed", path=source, to=target)
    return True


def _is_there(video: VideoRecord) -> bool:
    try:
        found = video.path.stat()
    except OSError:
        return False
    return (found.st_size, found.st_mtime_ns) == (video.size_bytes, video.mtime_ns)
