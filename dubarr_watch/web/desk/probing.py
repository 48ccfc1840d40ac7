"""Looks into videos that somebody looks at: which languages are in them?"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterable

import structlog

from dubarr_watch.errors import DubarrError
from dubarr_watch.languages import parse_language
from dubarr_watch.media import probe
from dubarr_watch.store.records import VideoRecord, VideoState
from dubarr_watch.store.store import Store

log = structlog.get_logger(__name__)

MOST_WAITING = 400
UNKNOWN = "und"


class Prober:
    """Probes videos in a thread of its own, those first that were asked for last.

    Args:
        store: Where the languages are kept.
        tell: Called with (`video`, JSON of its id) when more is known of one.
    """

    def __init__(self, store: Store, tell: Callable[[str, str], None]) -> None:
        self._store = store
        self._tell = tell
        self._lock = threading.Lock()
        self._waiting: deque[VideoRecord] = deque(maxlen=MOST_WAITING)
        self._seen: set[int] = set()
        self._running = False

    def look_into(self, videos: Iterable[VideoRecord]) -> None:
        """Look soon into those of which nobody knows the languages yet."""
        with self._lock:
            for video in videos:
                there = video.audio is None and video.state is not VideoState.MISSING
                if there and video.id not in self._seen:
                    self._seen.add(video.id)
                    self._waiting.append(video)
            if self._waiting and not self._running:
                self._running = True
                threading.Thread(target=self._work, name="prober", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._running = False
                    self._seen.clear()
                    return
                video = self._waiting.pop()
            try:
                self._store.videos.set_audio(video.id, _languages(video))
            except DubarrError as error:
                log.info("languages not found out", video=video.path, reason=error)
                continue
            self._tell("video", json.dumps(video.id))


def _languages(video: VideoRecord) -> list[str]:
    """Return the languages of a video's audio tracks, each once; none for what is no video."""
    try:
        found = probe(video.path).of_kind("audio")
    except DubarrError:
        return []
    return list(dict.fromkeys(_code(stream.language) for stream in found))


def _code(language: str) -> str:
    try:
        return parse_language(language).code if language else UNKNOWN
    except DubarrError:
        return UNKNOWN
