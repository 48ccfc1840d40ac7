"""A library in a temporary folder, with real events and a real store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dubarr_watch.errors import NotAVideo
from dubarr_watch.library.intake import Library
from dubarr_watch.media import Probe, Stream
from dubarr_watch.settings import Settings, load_settings
from dubarr_watch.store.records import JobRecord, JobState
from dubarr_watch.store.store import Store
from tests.waiting import eventually

SETTLE_S = 0.3


def stream(kind: str, language: str = "", *dispositions: str) -> Stream:
    return Stream(0, kind, "x", language, "", 2, 48000, 0.0, 60.0, frozenset(dispositions))


def film(name: str = "film", languages: str = "en", seconds: float = 60) -> bytes:
    """Return a stand-in for a video, which `read_film` understands."""
    return f"FILM {name} {languages} {seconds}".encode()


def read_film(path: Path) -> Probe:
    """Probe a stand-in: `FILM name en,pl 60`."""
    words = path.read_bytes().split(b"\0")[0].decode("ascii", "replace").split()
    if len(words) != 4 or words[0] != "FILM":
        raise NotAVideo("This is no media file that ffprobe understands.", path=path)
    languages = [] if words[2] == "none" else words[2].split(",")
    streams = (stream("video"), *(stream("audio", language) for language in languages))
    return Probe(path, "matroska", float(words[3]), 0.0, path.stat().st_size, streams)


@dataclass
class House:
    """A library, its store, and ways to play with both."""

    root: Path
    store: Store
    settings: Settings
    libraries: list[Library] = field(default_factory=list)
    probed: list[Path] = field(default_factory=list)
    changes: int = 0

    def start(self, *, probe: Callable[[Path], Probe] = read_film, **options: Any) -> Library:
        """Start a library and wait for its first scan."""

        def counted(path: Path) -> Probe:
            self.probed.append(path)
            return probe(path)

        options = {"restart_pause_s": 0.1, "check_seconds": 0.1, **options}
        library = Library(self.settings, self.store, self._changed, probe=counted, **options)
        self.libraries.append(library)
        library.start()
        eventually(lambda: library.health().last_scan_at, "first scan")
        return library

    def stop(self) -> None:
        """Stop all libraries."""
        for library in self.libraries:
            library.stop()
        self.libraries.clear()

    def set(self, **values: Any) -> None:
        """Change settings for the next start."""
        self.settings = self.settings.model_copy(update=values)

    def jobs(self) -> list[JobRecord]:
        """Return every job, oldest first."""
        everything = {j.id: j for j in self.store.jobs.recent(10_000)}
        everything |= {j.id: j for j in (*self.store.jobs.queue(), *self.store.jobs.running())}
        return [everything[number] for number in sorted(everything)]

    def job(self, path: Path, state: JobState = JobState.QUEUED) -> JobRecord:
        """Wait for a job of a video in a state."""

        def found() -> JobRecord | None:
            return next((j for j in self.jobs() if j.video.path == path and j.state is state), None)

        job: JobRecord = eventually(found, f"{path} {state}: {self.jobs()}")
        return job

    def finish(self, job: JobRecord, state: JobState = JobState.DONE, reason: str = "") -> None:
        """Run a job to its end, as the daemon would."""
        self.store.jobs.claim_job(job.id, "test")
        self.store.jobs.finish(job.id, state, reason)
        for library in self.libraries:
            library.settle_requests()

    def pass_scans(self, count: int = 2) -> None:
        """Wait until whole scans have begun and ended, and nothing is settling."""
        for library in self.libraries:
            for _ in range(count):
                before = library.health().last_scan_at
                library.scan()
                eventually(partial(_scanned_since, library, before), "scan")
            eventually(partial(_is_settled, library), "settled")

    def _changed(self) -> None:
        self.changes += 1


def _scanned_since(library: Library, before: datetime | None) -> bool:
    return library.health().last_scan_at != before


def _is_settled(library: Library) -> bool:
    return not library.health().settling


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    root = tmp_path / "videos"
    root.mkdir()
    settings = load_settings(
        videos_dir=root,
        target_langs="pl",
        config_dir=tmp_path / "config",
        settle_seconds=SETTLE_S,
        scan_interval=3600,
    )
    with Store.open(tmp_path / "config" / "dubarr.db") as store:
        built = House(root, store, settings)
        yield built
        built.stop()
