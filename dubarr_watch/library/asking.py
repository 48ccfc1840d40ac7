"""What is asked for: from marker files to requests, and from finished jobs back to the marker."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from dubarr_watch.errors import LeadsOut, WrongUsage, printable
from dubarr_watch.languages import Language, parse_language
from dubarr_watch.library.confines import Confines
from dubarr_watch.library.marker_files import mark_done, mark_failed, read_marker
from dubarr_watch.library.markers import MarkerKind, names_video, parse_marker, parse_marker_name
from dubarr_watch.library.naming import is_extra
from dubarr_watch.library.scanner import SeenFile, SeenMarker
from dubarr_watch.settings import Settings
from dubarr_watch.store.records import JobOptions, JobRecord, JobState, RequestRecord, VideoRecord
from dubarr_watch.store.store import Store

_LOG = structlog.get_logger(__name__)

GONE = "The video was deleted before its dub began."
AWAY = "Waits for its disk:"
REPLACED = "The video was replaced by another version."
FORBIDDEN = "Forbidden by"
GOOD = (JobState.DONE, JobState.DONE_WITH_WARNINGS, JobState.SKIPPED)


@dataclass(frozen=True, slots=True)
class Ask:
    """Languages wanted of one video; `request` is nothing for a video that merely arrived."""

    languages: tuple[Language, ...]
    options: JobOptions
    request: RequestRecord | None = None


class Asking:
    """Requests of one library.

    Args:
        settings: TARGET_LANGS, VIDEOS_DIR.
        store: Where requests live.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._opened = Confines.of(settings).opened
        self._asked: set[Path] = set()
        self._asked_folders: set[Path] = set()

    def take(self, marker: SeenMarker) -> RequestRecord | None:
        """Turn a settled marker into a request; one that makes no sense is answered at once.

        Returns:
            The request, when it is new or changed.
        """
        path = marker.file.path
        if marker.name.kind is not MarkerKind.DUB or self._is_answered(marker.file):
            return None
        known = self._store.requests.by_marker(path)
        try:
            wish = parse_marker(marker.name, read_marker(path, self._opened))
            if is_extra(marker.name.base):
                raise WrongUsage("Samples, trailers and extras are not dubbed.")
        except (WrongUsage, LeadsOut) as error:
            self._refuse(marker.file, known, f"{error.message} {error.hint}".strip())
            return None
        except FileNotFoundError:
            return None
        except OSError as error:
            _LOG.warning("marker_unreadable", marker=path, reason=error.strerror or str(error))
            return None
        codes = tuple(language.code for language in wish.languages)
        if known is not None:
            same = (known.languages, known.options) == (codes, wish.options)
            if same and not self._is_settled(known):
                return None  # its target may have moved on since; the marker has not
            self._store.requests.close(known.id)
        target = path.parent / marker.name.base if marker.name.base else path.parent
        added = self._store.requests.add(target, marker.name.for_folder, codes, wish.options, path)
        _LOG.info("request", marker=path, languages=codes or "TARGET_LANGS", request=added.id)
        return added

    def restore(self, marker: SeenMarker) -> None:
        """Take a folder's `.dub.done` for the standing order that it answers, if it is unknown.

        The folder was renamed, or the database is a new one.
        """
        name = marker.file.path.name
        if marker.name.kind is not MarkerKind.SETTLED or not name.lower().endswith(".dub.done"):
            return
        original = parse_marker_name(name[: -len(".done")])
        folder = marker.file.path.parent
        if original is None or not original.for_folder or self._has_order(folder):
            return
        restored = self.take(SeenMarker(marker.file, original))
        if restored is not None:
            self._store.meta.set(_settled_key(restored), "yes")

    def asks_for(self, video: VideoRecord, *, by_default: bool) -> list[Ask]:
        """Return what is asked of a video and has no job yet.

        Args:
            video: The video.
            by_default: Whether TARGET_LANGS are wanted when nothing else is asked for.
        """
        requests = self.requests_for(video.path)
        if requests:
            asks = [Ask(self._languages(r.languages), r.options, r) for r in requests]
            return [ask for ask in asks if not self._has_jobs(ask, video)]
        if by_default and not self.is_handled(video.id):
            return [Ask(self._settings.target_langs, JobOptions())]
        return []

    def refresh(self) -> list[RequestRecord]:
        """Read the open requests anew, for `is_asked`, and return them."""
        requests = self._store.requests.all_open()
        self._asked = {r.target for r in requests if not r.for_folder}
        self._asked_folders = {r.target for r in requests if r.for_folder}
        return requests

    def is_asked(self, path: Path) -> bool:
        """Tell, without asking the store, whether there is an open request for a video."""
        return (
            path in self._asked
            or path.with_name(path.stem) in self._asked
            or not self._asked_folders.isdisjoint(path.parents)
        )

    def requests_for(self, path: Path) -> list[RequestRecord]:
        """Return the open requests for a video, by age."""
        exact = self._store.requests.open_for(path)
        by_stem = self._store.requests.open_for(path.with_name(path.stem))
        return exact + [request for request in by_stem if not request.for_folder]

    def is_handled(self, video_id: int) -> bool:
        """Tell whether a video has, or had, a job that was not merely called off."""
        return any(_counts(job) for job in self._store.jobs.for_video(video_id))

    def forbidden_by(self, path: Path) -> Path | None:
        """Return the `.nodub` file that forbids a video, if there is one."""
        root = self._settings.videos_dir
        folders = [folder for folder in path.parents if folder == root or root in folder.parents]
        candidates = [path.with_name(f"{path.name}.nodub"), path.with_name(f"{path.stem}.nodub")]
        candidates += [folder / ".nodub" for folder in folders]
        return next((file for file in candidates if os.path.lexists(file)), None)

    def settle(self) -> list[RequestRecord]:
        """Answer every request whose jobs have all ended; return those answered."""
        answered = []
        for request in self._store.requests.all_open():
            if self._is_settled(request):
                continue
            verdict = self._verdict(request)
            if verdict is not None:
                self._answer(request, verdict)
                answered.append(request)
        return answered

    def revoke_deleted(self, is_away: Callable[[Path], bool] = lambda path: False) -> None:
        """Close requests for folders whose marker the user took away.

        Args:
            is_away: Tells whether the disk that a file is on is not there just now.
        """
        for request in self._store.requests.all_open():
            if not request.for_folder or request.marker is None or not request.target.is_dir():
                continue
            if is_away(request.marker):
                continue
            try:
                names = os.listdir(request.target)
            except OSError:
                continue
            marker = request.marker.name
            if not any(name == marker or name.startswith(f"{marker}.") for name in names):
                _LOG.info("request_withdrawn", folder=request.target, request=request.id)
                self._store.requests.close(request.id)

    def follow(self, old: Path, new: Path) -> None:
        """Let requests for a video, and what is told of it, follow it to its new name."""
        self._store.spoken.move(old, new)
        self._store.requests.move(old, new)
        if old.with_name(old.stem) != old:
            self._store.requests.move(old.with_name(old.stem), new.with_name(new.stem))

    def _has_order(self, folder: Path) -> bool:
        requests = self._store.requests.all_open()
        return any(r.for_folder and r.target == folder for r in requests)

    def _languages(self, codes: Sequence[str]) -> tuple[Language, ...]:
        return tuple(parse_language(code) for code in codes) or self._settings.target_langs

    def _has_jobs(self, ask: Ask, video: VideoRecord) -> bool:
        return not self._unserved(ask, self._store.jobs.for_video(video.id))

    def _unserved(self, ask: Ask, jobs: Sequence[JobRecord]) -> set[str]:
        serving = [job for job in jobs if ask.request and _serves(job, ask.request)]
        # A job that was made for the request stands for all of its languages: those it lacks
        # were there already.
        if any(job.request_id == (ask.request and ask.request.id) for job in serving):
            return set()
        return {x.code for x in ask.languages} - {code for job in serving for code in job.languages}

    def _verdict(self, request: RequestRecord) -> str | None:
        """Return why a request failed, empty when it is done, nothing while it is not over."""
        videos = self._targets(request)
        reasons: list[str] = []
        served = False
        for video in videos:
            forbidden = self.forbidden_by(video.path)
            if forbidden is not None:
                if not request.for_folder:
                    reasons.append(f"{FORBIDDEN} {printable(forbidden)}.")
                continue
            ask = Ask(self._languages(request.languages), request.options, request)
            jobs = self._store.jobs.for_video(video.id)
            ours = [job for job in jobs if _serves(job, request)]
            if self._unserved(ask, jobs) or any(not job.state.ended for job in ours):
                return None
            served = True
            name = f"{printable(video.path.name)}: " if len(videos) > 1 else ""
            reasons += [
                f"{name}{job.reason or job.state.capitalize()}"
                for job in ours
                if job.state not in GOOD and not _redone(job, ours)
            ]
        if not served and not reasons:
            return None
        return " ".join(dict.fromkeys(reasons))

    def _targets(self, request: RequestRecord) -> list[VideoRecord]:
        if request.for_folder:
            return self._store.videos.under(request.target)
        around = self._store.videos.under(request.target.parent)
        return [
            video
            for video in around
            if video.path.parent == request.target.parent
            and names_video(request.target.name, video.path.name)
        ]

    def _answer(self, request: RequestRecord, verdict: str) -> None:
        self._answer_marker(request.marker, verdict)
        # Afterwards: a marker that a crash left as it was would be a new request.
        if request.for_folder:
            self._store.meta.set(_settled_key(request), "yes")  # it stands for what comes later
        else:
            self._store.requests.close(request.id)

    def _answer_marker(self, marker: Path | None, verdict: str) -> None:
        if marker is None or not os.path.lexists(marker):
            return
        seen = marker.stat(follow_symlinks=False)
        answer = mark_failed(marker, verdict, self._opened) if verdict else mark_done(marker)
        _LOG.info("request_answered", marker=marker, failed=verdict, answer=answer)
        if os.path.lexists(marker):
            self._keep_answered(marker, seen.st_size, seen.st_mtime_ns)

    def _refuse(self, marker: SeenFile, known: RequestRecord | None, reason: str) -> None:
        if known is not None:
            self._store.requests.close(known.id)
        _LOG.warning("marker_refused", marker=marker.path, reason=reason)
        mark_failed(marker.path, reason, self._opened)
        if os.path.lexists(marker.path):
            self._keep_answered(marker.path, marker.size_bytes, marker.mtime_ns)

    # A marker in a read-only folder keeps its name when it is answered; that it was is kept here.

    def _is_answered(self, marker: SeenFile) -> bool:
        kept = self._store.meta.get(_answered_key(marker.path))
        return kept == f"{marker.size_bytes}:{marker.mtime_ns}"

    def _keep_answered(self, marker: Path, size_bytes: int, mtime_ns: int) -> None:
        self._store.meta.set(_answered_key(marker), f"{size_bytes}:{mtime_ns}")

    def _is_settled(self, request: RequestRecord) -> bool:
        return self._store.meta.get(_settled_key(request)) is not None


def _serves(job: JobRecord, request: RequestRecord) -> bool:
    if not _counts(job):
        return False
    if job.request_id == request.id:
        return True
    mode, style = request.options.mode, request.options.style
    if mode not in ("", job.options.mode) or style not in ("", job.options.style):
        return False
    return job.finished_at is None or job.finished_at >= request.created_at


def _redone(job: JobRecord, jobs: Sequence[JobRecord]) -> bool:
    """Tell whether a later job did well what this one did not."""
    return any(
        later.id > job.id and later.state in GOOD and set(job.languages) <= set(later.languages)
        for later in jobs
    )


def _counts(job: JobRecord) -> bool:
    """Tell whether a job answers what was asked: it is not waiting for its video to be ready, and
    was not called off only because that was away, or forbidden, for a while."""
    if job.state is JobState.WAITING:
        return job.attempts > 0
    called_off = job.reason == GONE or job.reason.startswith(FORBIDDEN)
    return not (called_off and job.state in (JobState.CANCELLED, JobState.SKIPPED))


def _settled_key(request: RequestRecord) -> str:
    return f"request_settled:{request.id}"


def _answered_key(marker: Path) -> str:
    return f"marker_answered:{os.fsencode(marker).hex()}"
