"""Long recordings heard by several workers: in ranges of windows, joined in order.

Where there is voice, which windows are packed with it and in which language is found once, over the
whole recording, and the windows that an engine hears at a time stay together: so every range hears
what it would have heard on one machine, and the words are the same, byte for byte.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import pairwise
from pathlib import Path

from dubarr_watch.engines.base import Progress, Transcript, Word, no_progress
from dubarr_watch.engines.remote import Call, RemoteTranscriber
from dubarr_watch.engines.survey import Batch

LONG_S = 600.0
"""A shorter recording stays whole: dividing it takes a second look at it."""

_RANGES_A_WORKER = 2
"""More than one, so that a fast worker takes over from a slow one."""


class DividedTranscriber(RemoteTranscriber):
    """A Transcriber on several workers.

    Args:
        call: Has one call made by some worker.
        workers: How many can.
    """

    def __init__(self, call: Call, workers: Callable[[], int]) -> None:
        super().__init__(call)
        self._workers = workers

    @property
    def lanes(self) -> int:
        """How many recordings may be heard at a time."""
        return self._workers()

    def transcribe(
        self, audio: Path, *, language: str | None = None, progress: Progress = no_progress
    ) -> Transcript:
        """See `Transcriber`."""
        workers = self._workers()
        if workers == 1 or not is_long(audio):
            return super().transcribe(audio, language=language, progress=progress)
        survey = self.survey(audio, language=language)
        ranges = divided(survey.batches, workers * _RANGES_A_WORKER)
        if len(ranges) <= 1:
            return super().transcribe(audio, language=survey.language, progress=progress)
        done = _Done(survey.duration_s, len(ranges), progress)

        def hear(number: int) -> Sequence[Word]:
            return self.hear(audio, batches=ranges[number], language=survey.language,
                             progress=done.of(number))  # fmt: skip

        with ThreadPoolExecutor(len(ranges)) as pool:
            runs = [pool.submit(copy_context().run, hear, n) for n in range(len(ranges))]
            heard = [word for run in runs for word in run.result()]
        found = self.join(survey=survey, words=heard)
        progress(survey.duration_s, survey.duration_s)
        return found


def is_long(audio: Path) -> bool:
    """Tell whether a recording is worth dividing: 16 kHz, mono, 16 bits."""
    return audio.stat().st_size > LONG_S * 16_000 * 2


def divided(batches: Sequence[Batch], parts: int) -> list[tuple[Batch, ...]]:
    """Return batches in order, in at most so many ranges of nearly the same number."""
    count = min(parts, len(batches))
    edges = [round(n * len(batches) / count) for n in range(count + 1)] if count else []
    return [tuple(batches[a:b]) for a, b in pairwise(edges)]


class _Done:
    """How far all ranges are together."""

    def __init__(self, total_s: float, ranges: int, progress: Progress) -> None:
        self._total_s = total_s
        self._shares = [0.0] * ranges
        self._progress = progress
        self._lock = threading.Lock()

    def of(self, number: int) -> Progress:
        def told(done: float, total: float) -> None:
            with self._lock:
                self._shares[number] = done / total if total > 0 else 0.0
                share = sum(self._shares) / len(self._shares)
            self._progress(share * self._total_s, self._total_s)

        return told
