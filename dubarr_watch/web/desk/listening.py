"""What became of each line of a track, to be read and to be heard."""

from __future__ import annotations

import tempfile
import threading
from enum import StrEnum
from pathlib import Path

from dubarr_watch.dubbing.page import cut, stretch
from dubarr_watch.dubbing.page.sources import read_report, sources_of
from dubarr_watch.dubbing.report import Report
from dubarr_watch.errors import NotInStore
from dubarr_watch.languages import parse_language
from dubarr_watch.library.confines import Confines
from dubarr_watch.media import readable
from dubarr_watch.settings import Settings
from dubarr_watch.storage import write_atomically
from dubarr_watch.store.store import Store

_KEPT = 200


class Which(StrEnum):
    """One of two sounds."""

    ORIGINAL = "original"
    DUB = "dub"


class ListeningDesk:
    """Reports.

    Args:
        settings: Where work is kept.
        store: The database.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._cutting = threading.Lock()
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def report(self, job_id: int, language: str) -> Report:
        """Return the report of one language of a job.

        Raises:
            NotInStore: There is none.
        """
        code = parse_language(language).code
        for one in self._store.jobs.results(self._store.jobs.get(job_id).id):
            if one.language == code and one.report is not None:
                return read_report(one.report)
        raise NotInStore(
            f"Job {job_id} has no report in {parse_language(language).name}.",
            hint="A report is written when a track has been published.",
        )

    def sound(self, job_id: int, language: str, index: int, which: Which) -> Path:
        """Return a mono WAV file with a line and a little around it.

        Raises:
            NotInStore: There is no such line, or no track any more.
            MediaError: The sound cannot be decoded.
        """
        found = self.report(job_id, language)
        line = next((one for one in found.lines if one.index == index), None)
        if line is None:
            raise NotInStore(f"Job {job_id} has no line {index} in {found.language}.")
        start_s, end_s = stretch(line)
        job = self._store.jobs.get(job_id)
        sources = sources_of(self._settings, self._store, job, parse_language(found.language))
        of_dub = which is Which.DUB
        source = sources.dub if of_dub else sources.original
        stream = sources.dub_stream if of_dub else sources.original_stream
        confines = Confines.of(self._settings)
        # Two at once would decode twice what one finds done.
        with self._cutting, readable(source, confines.opened) as opened:
            made = opened.stat().st_mtime_ns  # another one after each redo
            name = f"{job_id}.{found.language}.{index}.{which}.{start_s:.3f}.{made}.wav"
            target = self._kept() / name
            if not target.exists():
                write_atomically(target, cut(opened, stream, start_s, end_s))
        return target

    def close(self) -> None:
        """Remove what was cut."""
        with self._cutting:
            if self._folder is not None:
                self._folder.cleanup()
            self._folder = None

    def _kept(self) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="dubarr-watch-")
        folder = Path(self._folder.name)
        kept = sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime_ns)
        for old in kept[: max(len(kept) - _KEPT, 0)]:
            old.unlink()
        return folder
