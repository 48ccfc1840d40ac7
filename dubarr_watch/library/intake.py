"""The library: one thread that turns what happens on disk into requests and jobs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from dubarr_watch import media
from dubarr_watch.languages import Language
from dubarr_watch.library.arrival import PATIENCE_S, Arrival
from dubarr_watch.library.asking import Asking
from dubarr_watch.library.census import Census, ScanReport
from dubarr_watch.library.changes import Changes
from dubarr_watch.library.hints import Hints
from dubarr_watch.library.mounts import filesystem_kind, tells_changes
from dubarr_watch.library.watcher import RESTART_PAUSE_S, Watcher
from dubarr_watch.media import Probe
from dubarr_watch.settings import Settings, WatchMode
from dubarr_watch.store.records import JobOptions, RequestRecord
from dubarr_watch.store.store import Store

_LOG = structlog.get_logger(__name__)

POLL_SECONDS = 30.0
"""Between two looks at a library that sends no events; a scan of a network mount is work for both
ends."""

SCAN_SHARE = 100
"""A library so large that a scan takes long is not scanned more than 1/100 of the time."""

POLL_SHARE = 20
"""Where no events come, 1/20 of it."""

_CHECK_SECONDS = 5.0
_ERROR_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class LibraryHealth:
    """How the library is looked after.

    Attributes:
        running: Whether its thread lives.
        mode: `events` or `poll`.
        filesystem: Kind of the file system that VIDEOS_DIR is on, such as `ext4`.
        watches: Folders that raise events; 0 when polling.
        problem: What keeps watching from being complete, with the way out, or empty.
        root_present: Whether VIDEOS_DIR is there and not suddenly empty.
        last_scan_at: UTC, or nothing before the first.
        last_scan_s: How long it took.
        folders: Folders then.
        videos: Videos then.
        settling: Files and markers that are watched until they stop changing.
        last_error: The last unexpected error, or empty.
        still_s: Seconds since its thread last moved; waiting for its turn is no standing still.
    """

    running: bool
    mode: str
    filesystem: str
    watches: int
    problem: str
    root_present: bool
    last_scan_at: datetime | None
    last_scan_s: float
    folders: int
    videos: int
    settling: int
    last_error: str
    still_s: float = 0.0


class Library:
    """Looks after VIDEOS_DIR: finds videos and markers, and queues what is asked for.

    Args:
        settings: VIDEOS_DIR, SETTLE_SECONDS, SCAN_INTERVAL, WATCH_MODE and what to dub.
        store: Where everything is recorded.
        on_change: Called from the library's thread when there may be a new job.
        probe: `media.probe`, or a stand-in.
        patience_s: See `arrival.PATIENCE_S`.
        restart_pause_s: Least time between two fresh observers.
        check_seconds: Time between two looks at whether the observer lives.
        refusal: Says why a language cannot be dubbed into; empty when it can.
        after_scan: Called when everything was looked at.

    Attributes:
        changes: Where those who know say what has happened to videos.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        on_change: Callable[[], None],
        *,
        probe: Callable[[Path], Probe] = media.probe,
        patience_s: float = PATIENCE_S,
        restart_pause_s: float = RESTART_PAUSE_S,
        check_seconds: float = _CHECK_SECONDS,
        refusal: Callable[[Language], str] = lambda language: "",
        after_scan: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._on_change = on_change
        self._after_scan = after_scan
        self._check_seconds = check_seconds
        self._hints = Hints()
        self._stopping = threading.Event()
        self._asked = threading.Event()
        self._answering = threading.Lock()
        self._thread: threading.Thread | None = None
        self._asking = Asking(settings, store)
        self.changes = Changes(store, self._asking, self.look_at)
        arrival = Arrival(
            settings, store, self._asking, probe, patience_s=patience_s, refusal=refusal
        )
        self._census = Census(settings, store, self._asking, arrival, self._moves)
        self._filesystem = filesystem_kind(settings.videos_dir)
        self._by_events = settings.watch_mode is WatchMode.EVENTS or (
            settings.watch_mode is WatchMode.AUTO and tells_changes(self._filesystem)
        )
        self._watcher = Watcher(
            settings.videos_dir,
            self._hints.add,
            self._hints.add_everything,
            pause_s=restart_pause_s,
        )
        self._next_scan_s = 0.0
        self._next_check_s = 0.0
        self._last_scan: ScanReport | None = None
        self._last_scan_at: datetime | None = None
        self._last_error = ""
        self._busy_since_s: float | None = None
        self._lost: set[Path] = set()

    def start(self) -> None:
        """Begin: watch first, then scan, so that nothing falls between the two."""
        _LOG.info("library", folder=self._settings.videos_dir, kind=self._filesystem,
                  mode=self._mode())  # fmt: skip
        self._census.start(time.time_ns())
        self._hints.add_everything()
        self._thread = threading.Thread(target=self._run, name="library", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and the observers."""
        self._stopping.set()
        self._hints.wake()
        if self._thread is not None:
            self._thread.join()
        self._watcher.stop()

    def scan(self) -> None:
        """Look at the whole library soon."""
        self._hints.add_everything()

    def look_at(self, path: Path) -> None:
        """Look at one file or folder soon."""
        self._hints.add(path)

    def ask(self, video: Path, languages: Sequence[str], options: JobOptions) -> RequestRecord:
        """Ask for one video as a marker beside it does; safe from any thread.

        The video may be there, still arriving, or yet to come; the same request that is still
        open is not kept twice.

        Args:
            video: Its path below VIDEOS_DIR.
            languages: ISO 639-1 codes; none means TARGET_LANGS.
            options: See `JobOptions`.
        """
        request = self._store.requests.add(video, False, languages, options, None)
        self._asked.set()
        self._hints.add(video)
        return request

    def allow(
        self,
        video: Path,
        languages: Sequence[str],
        options: JobOptions,
        lift: Callable[[], None],
    ) -> None:
        """Ask for a video that is forbidden until now; safe from any thread.

        In this order, or it would be taken as any new video is; and nobody answers the request in
        between, which would be that the video is not to be dubbed.

        Args:
            video: See `ask`.
            languages: See `ask`.
            options: See `ask`.
            lift: Takes away what forbids it.
        """
        with self._answering:
            self.ask(video, languages, options)
            lift()

    def settle_requests(self) -> None:
        """Answer the markers whose jobs have all ended; safe from any thread."""
        with self._answering:
            self._asking.settle()

    def is_away(self, path: Path) -> bool:
        """Tell whether the disk that a video is on is not there just now; safe from any thread."""
        return self._census.anchor.is_away(path)

    def health(self) -> LibraryHealth:
        """Return how the library is looked after."""
        watch = self._watcher.health()
        scan = self._last_scan
        return LibraryHealth(
            running=self._thread is not None and self._thread.is_alive(),
            mode=self._mode(),
            filesystem=self._filesystem,
            watches=watch.watches,
            problem=watch.problem if self._by_events else "",
            root_present=self._census.anchor.holds,
            last_scan_at=self._last_scan_at,
            last_scan_s=scan.seconds if scan else 0.0,
            folders=scan.folders if scan else 0,
            videos=scan.videos if scan else 0,
            settling=self._census.settling,
            last_error=self._census.last_error or self._last_error,
            still_s=self._still_s(),
        )

    def _moves(self) -> bool:
        """Note that long work goes on, and tell whether it is to stop."""
        self._busy_since_s = time.monotonic()
        return self._stopping.is_set()

    def _still_s(self) -> float:
        since_s = self._busy_since_s  # read once: another thread sets it
        return 0.0 if since_s is None else time.monotonic() - since_s

    def _mode(self) -> str:
        return "events" if self._by_events else "poll"

    def _run(self) -> None:
        if self._by_events:
            self._guarded(self._watcher.start)
        while not self._stopping.is_set():
            self._busy_since_s = None
            paths, everything = self._hints.take(self._timeout_s())
            if self._moves():
                return
            self._guarded(lambda: self._turn(paths, everything))  # noqa: B023 - run at once

    def _turn(self, paths: list[Path], everything: bool) -> None:
        now_s = time.monotonic()
        if self._asked.is_set():
            self._asked.clear()
            self._census.read_requests()
        if self._by_events and now_s >= self._next_check_s:
            self._next_check_s = now_s + self._check_seconds
            everything = self._watcher.check() or everything
        everything = self._disk_is_back() or everything
        if everything or now_s >= self._next_scan_s:
            self._scan()
        else:
            for path in paths:
                self._guarded(lambda: self._census.look_at(path))  # noqa: B023 - run at once
        if self._census.take_due():
            self._on_change()
        if self._census.answers_due():
            self.settle_requests()

    def _disk_is_back(self) -> bool:
        """Tell, once, whether a disk in the library was mounted again: that raises no event."""
        before, self._lost = self._lost, self._census.anchor.lost_mounts()
        return bool(before - self._lost)

    def _scan(self) -> None:
        started_s = time.monotonic()
        # Set first: a scan that fails is not tried again at once.
        self._next_scan_s = started_s + self._interval_s()
        report = self._census.scan()
        took_s = time.monotonic() - started_s
        if self._stopping.is_set():
            return
        self._after_scan()
        self._last_scan = report
        self._last_scan_at = datetime.now(UTC)
        share = SCAN_SHARE if self._sees_all() else POLL_SHARE
        self._next_scan_s = time.monotonic() + max(self._interval_s(), share * took_s)
        _LOG.debug("scanned", folders=report.folders, videos=report.videos, seconds=took_s)

    def _interval_s(self) -> float:
        interval = self._settings.scan_interval
        return interval if self._sees_all() else min(interval, POLL_SECONDS)

    def _sees_all(self) -> bool:
        """Tell whether every change raises an event."""
        return self._by_events and not self._watcher.health().problem

    def _timeout_s(self) -> float:
        moments = [self._next_scan_s]
        if self._by_events:
            moments.append(self._next_check_s)
        look = self._census.next_look_s()
        if look is not None:
            moments.append(look)
        return max(0.0, min(moments) - time.monotonic())

    def _guarded(self, step: Callable[[], None]) -> None:
        """Run a step; what goes wrong in it is told and does not end the thread."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - the library outlives any one file's trouble
            self._last_error = f"{type(error).__name__}: {error}"
            _LOG.exception("library_failed")
            # Whatever failed at once would fail at once again.
            self._stopping.wait(_ERROR_PAUSE_S)
