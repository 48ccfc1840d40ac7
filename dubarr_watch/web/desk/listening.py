"""What became of each line of a track, to be read and to be heard."""

from __future__ import annotations

from enum import StrEnum

from dubarr_watch.dubbing.page import cut, stretch
from dubarr_watch.dubbing.page.sources import read_report, sources_of
from dubarr_watch.dubbing.report import Report
from dubarr_watch.errors import NotInStore
from dubarr_watch.languages import parse_language
from dubarr_watch.settings import Settings
from dubarr_watch.store.store import Store


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

    def sound(self, job_id: int, language: str, index: int, which: Which) -> bytes:
        """Return a line and a little around it as a mono WAV file.

        Raises:
            NotInStore: There is no such line, or no track any more.
            MediaError: The sound cannot be decoded.
        """
        found = self.report(job_id, language)
        line = next((one for one in found.lines if one.index == index), None)
        if line is None:
            raise NotInStore(f"Job {job_id} has no line {index} in {found.language}.")
        job = self._store.jobs.get(job_id)
        sources = sources_of(self._settings, self._store, job, parse_language(found.language))
        start_s, end_s = stretch(line)
        if which is Which.ORIGINAL:
            return cut(sources.original, sources.original_stream, start_s, end_s)
        return cut(sources.dub, sources.dub_stream, start_s, end_s)
