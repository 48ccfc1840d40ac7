"""Who is in the library: what was seen when, what is settling, what is gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import structlog

from dubarr_watch.library.absences import Absences
from dubarr_watch.library.anchor import Anchor
from dubarr_watch.library.arrival import Arrival, Outcome
from dubarr_watch.library.asking import FORBIDDEN, Asking
from dubarr_watch.library.marker_desk import MarkerDesk, name_of
from dubarr_watch.library.marker_files import remove_half_answers
from dubarr_watch.library.markers import speaks_of
from dubarr_watch.library.naming import is_ignored_folder, is_ignored_path, is_video_name
from dubarr_watch.library.roll import Known, Roll
from dubarr_watch.library.scanner import SeenFile, SeenFolder, SeenMarker, Walk, see_file
from dubarr_watch.library.stability import StabilityTracker
from dubarr_watch.library.turns import TURN_S, in_turns
from dubarr_watch.settings import Settings
from dubarr_watch.store.records import VideoState
from dubarr_watch.store.store import Store

_LOG = structlog.get_logger(__name__)

_RETRY_MIN_S = 30.0
_RETRY_MAX_S = 900.0
_FOLDERS_AT_FIRST = 500


@dataclass(frozen=True, slots=True)
class ScanReport:
    """What a scan of everything found."""

    folders: int
    videos: int
    seconds: float


class Census:
    """The state between what the disk shows and what the store keeps; used by one thread.

    Args:
        settings: VIDEOS_DIR, SETTLE_SECONDS.
        store: Where videos are kept.
        asking: Takes markers.
        arrival: Takes settled videos.
        stopping: Asked during long work.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        asking: Asking,
        arrival: Arrival,
        stopping: Callable[[], bool],
    ) -> None:
        self._root = settings.videos_dir
        self._settle_s = settings.settle_seconds
        self._follow_links = settings.follow_links
        self._process_existing = settings.process_existing
        self._store = store
        self._asking = asking
        self._arrival = arrival
        self._stopping = stopping
        self.anchor = Anchor(self._root, store)
        self.last_error = ""
        self._videos = StabilityTracker(self._settle_s)
        self._markers = MarkerDesk(asking, self._settle_s)
        self._requests: set[int] = set()
        self._roll = Roll(self._root, store)
        self._absences = Absences(self._roll, self.anchor, arrival, self._settle_s)
        self._retry_s: dict[Path, float] = {}
        self._answers_due = True
        self._started_ns = 0

    @property
    def settling(self) -> int:
        """Files that are followed until they stop changing."""
        return len(self._videos) + len(self._markers.settling)

    def start(self, now_ns: int) -> None:
        """Take the wall clock at the daemon's start: what is younger is new."""
        self._started_ns = now_ns

    def scan(self) -> ScanReport:
        """Look at everything; what is not there any more is noticed too."""
        started_s = time.monotonic()
        self._load()
        known = len(self._roll)
        walk = Walk(self._root, self._follow_links)
        first = self.anchor.is_first_scan()
        seen: set[Path] = set()
        folders, at_a_time = walk.folders(), _FOLDERS_AT_FIRST if first else 1
        while not self._stopping() and (some := list(islice(folders, at_a_time))):
            if first:
                self._record_baseline(some)
            for folder in some:
                self._take_folder(folder)
                seen.update(video.path for video in folder.videos)
        if not self._stopping():
            readable = self._root not in walk.unreadable
            if self.anchor.check(readable=readable, videos=len(seen), known=known):
                self._after_scan(walk, seen, first=first)
            remove_half_answers(walk.half_answers, self._started_ns)
        return ScanReport(walk.folders_read, len(seen), time.monotonic() - started_s)

    def look_at(self, path: Path) -> None:
        """Look at one path that something may have happened to."""
        if is_ignored_path(path, self._root):
            return
        followed = self._follow_links or path == self._root
        if path.is_dir() and (followed or not path.is_symlink()):
            if path == self._root or not is_ignored_folder(path.name):
                for folder in Walk(path, self._follow_links).folders():
                    self._take_folder(folder)
            return
        found = see_file(path)
        marker = name_of(path)
        if marker is not None and found is not None:
            self._take_marker(SeenMarker(found, marker))
        elif marker is not None:
            if self._markers.miss(path, marker):
                self._look_again_below(path.parent)
        elif found is None:
            self._miss(path)
        elif is_video_name(path.name):
            self._meet(found)

    def take_due(self) -> bool:
        """Take over what has settled, for half a second at most; tell whether a job may be new."""
        now_s = time.monotonic()
        # Markers first: a video that settles together with its marker is to find its request.
        for path in self._settled(self._markers.settling, now_s):
            self._guarded(path, lambda file=path: self._settled_marker(file))  # type: ignore[misc]
        changed = False
        for path in self._settled(self._videos, now_s):
            changed = self._guarded(path, lambda file=path: self._settled_video(file)) or changed  # type: ignore[misc]
            if self._stopping() or time.monotonic() - now_s > TURN_S:
                break
        return self._absences.take_due(now_s) or changed

    def read_requests(self) -> None:
        """Look again at the videos that a new request speaks of."""
        requests = self._asking.refresh()
        for request in requests:
            if request.id not in self._requests:
                for known in self._roll:
                    if speaks_of(request, known.path):
                        self._look_again(known)
        self._requests = {request.id for request in requests}

    def answers_due(self) -> bool:
        """Tell, once, whether requests should be looked at for markers to answer."""
        due, self._answers_due = self._answers_due, False
        return due

    def next_look_s(self) -> float | None:
        """Return when something is due, in monotonic seconds, or nothing."""
        looks = (
            self._absences.next_look_s(),
            self._videos.next_look_s(),
            self._markers.settling.next_look_s(),
        )
        return min((look for look in looks if look is not None), default=None)

    # What is seen.

    def _take_folder(self, folder: SeenFolder) -> None:
        for marker in folder.markers:
            self._take_marker(marker)
        for video in folder.videos:
            self._meet(video)

    def _take_marker(self, marker: SeenMarker) -> None:
        if self._markers.meet(marker):
            self._look_again_below(marker.file.path.parent)

    def _meet(self, video: SeenFile) -> None:
        self._absences.end(video.path)
        known = self._roll.get(video.path)
        seen = (video.size_bytes, video.mtime_ns)
        same = known is not None and (known.size_bytes, known.mtime_ns) == seen
        if known is not None and same and self._needs_nothing(known):
            return
        now_s = time.monotonic()
        if known is None and video.path not in self._videos and self._roll.was_elsewhere(video):
            # Known by size and time, and gone from where it was: a rename needs no settling.
            self._videos.seen_settled(video.path, video.size_bytes, video.mtime_ns, now_s)
        else:
            self._videos.seen(video.path, video.size_bytes, video.mtime_ns, now_s)

    def _needs_nothing(self, known: Known) -> bool:
        if self._roll.is_handled(known):
            return True
        if known.note.startswith(FORBIDDEN):
            return self._asking.forbidden_by(known.path) is not None
        wanted = known.state is VideoState.ARRIVED or self._process_existing
        return not wanted and not self._asking.is_asked(known.path)

    def _miss(self, path: Path) -> None:
        """Take note that nothing is at a path: neither a video nor a folder of them."""
        self._videos.forget(path)
        now_s = time.monotonic()
        if path in self._roll:
            self._absences.begin(path, now_s)
        elif not is_video_name(path.name):
            for known in self._roll.below(path):
                self._absences.begin(known.path, now_s)

    def _look_again_below(self, folder: Path) -> None:
        """Consider all videos of a folder anew: what is asked of them, or forbidden, changed."""
        for known in self._roll.below(folder):
            self._look_again(known)

    def _look_again(self, known: Known) -> None:
        self._roll.set_handled(known, handled=False)
        if known.path not in self._videos:
            self._videos.seen_settled(
                known.path, known.size_bytes, known.mtime_ns, time.monotonic()
            )

    # What has settled.

    def _settled(self, tracker: StabilityTracker, now_s: float) -> Iterator[Path]:
        """Yield the files of a tracker that have settled, after another look at each."""
        for path in tracker.due(now_s):
            found = see_file(path)
            if found is None:
                tracker.forget(path)
                self._miss(path)
                continue
            tracker.seen(path, found.size_bytes, found.mtime_ns, now_s)
            if tracker.is_stable(path, now_s):
                yield path

    def _settled_marker(self, path: Path) -> bool:
        asked = self._markers.take(path)
        if asked:
            self._answers_due = True
            self.read_requests()
        return asked

    def _settled_video(self, path: Path) -> bool:
        now_s = time.monotonic()
        marker_due_s = self._markers.due_for(path)
        if marker_due_s is not None:
            self._videos.postpone(path, marker_due_s)
            return False
        found = see_file(path)
        if found is None:
            return False
        # Whatever goes wrong, it is looked at again, though not at once.
        self._look_later(path, now_s)
        try:
            video, outcome = self._arrival.consider(
                found, unchanged_for_s=self._videos.unchanged_for_s(path, now_s)
            )
        except FileNotFoundError:
            self._videos.forget(path)
            return False
        if (left := self._roll.remember(video)) is not None:
            self._absences.end(left)
        self._answers_due = True
        if outcome is Outcome.NOT_READY:
            return False
        self._retry_s.pop(path, None)
        self._videos.forget(path)
        self._roll.set_handled(video, handled=outcome is not Outcome.FORBIDDEN)
        return True

    def _look_later(self, path: Path, now_s: float) -> None:
        pause_s = min(_RETRY_MAX_S, self._retry_s.get(path, _RETRY_MIN_S / 2) * 2)
        self._retry_s[path] = pause_s
        self._videos.postpone(path, now_s + pause_s)

    def _guarded(self, path: Path, step: Callable[[], bool]) -> bool:
        """Run a step for one file; what goes wrong is told, and stays that file's trouble."""
        try:
            return step()
        except Exception as error:  # noqa: BLE001 - one file must not end the whole library
            self.last_error = f"{type(error).__name__}: {error}"
            _LOG.exception("file_failed", path=path)
            known = self._roll.get(path)
            if known is not None:
                self._store.videos.set_note(known.id, f"An unexpected error: {error}")
            return False

    # What is kept.

    def _load(self) -> None:
        """Read what the store knows, and what of it is done with."""
        self._roll.load()
        self.read_requests()
        for video in self._roll:
            wanted = video.state is VideoState.ARRIVED or self._process_existing
            if not wanted or self._roll.is_handled(video) or self._asking.is_asked(video.path):
                continue
            if self._asking.is_handled(video.id):
                self._roll.set_handled(video, handled=True)

    def _record_baseline(self, folders: Sequence[SeenFolder]) -> None:
        found = [video for folder in folders for video in folder.videos]
        old = (v for v in found if v.ctime_ns < self._started_ns and v.path not in self._roll)
        for some in in_turns(old, self._stopping):
            with self._store.transaction():  # one wait for the disk, not one a video
                for video in some:
                    self._guarded(video.path, lambda file=video: self._as_baseline(file))  # type: ignore[misc]

    def _as_baseline(self, video: SeenFile) -> bool:
        self._roll.remember(self._arrival.identify(video, VideoState.BASELINE))
        return True

    def _after_scan(self, walk: Walk, seen: set[Path], *, first: bool) -> None:
        if first:
            self.anchor.keep_baseline(len(seen))
        self.anchor.keep_mounts(seen)
        absent = {path for path in self._roll.absent(seen) if walk.covered(path)}
        self._absences.begin_all(absent, time.monotonic())
        self._asking.revoke_deleted(self.anchor.is_away)
        self._arrival.resume()
        self._answers_due = True
