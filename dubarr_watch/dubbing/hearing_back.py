"""Takes transcribed back: many at a time, joined with pauses, each take once.

One call over a joined recording costs a small part of what a call for each take would: Whisper's
encoder works on 30 s whatever they hold. What was heard is then dealt out to the takes again by
aligning all words with all texts, for a word at the edge of a take may be timed into the pause.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from contextvars import copy_context
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile
import soxr
import structlog
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from dubarr_watch.dubbing.fitting import Take
from dubarr_watch.dubbing.spoken_words import bare_words
from dubarr_watch.engines.base import Transcriber, Word
from dubarr_watch.storage import write_atomically

log = structlog.get_logger(__name__)

RATE = 16_000
"""Samples in a second of what transcribers hear."""

_PAUSE_S = 0.8
_BATCH_S = 300.0
"""Takes that are heard in one call; more at a time is no faster, and aligning takes its square."""

Opened = Callable[[], AbstractContextManager[Transcriber]]
"""Opens the engine that listens, for the length of a `with` block."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Transcribes takes back, and remembers what it heard over a restart.

    Attributes:
        open: Opens the engine; only called when there is something to hear.
        language: ISO 639-1 code of the takes.
        made_by: What decides what the engine hears.
        kept: JSON file of what was heard, by content of the take.
    """

    open: Opened
    language: str
    made_by: str
    kept: Path
    _heard: dict[str, str] = field(default_factory=dict)

    def hear(self, takes: Sequence[Take], *, again: bool = False) -> dict[int, list[str]]:
        """Return the bare words that are heard in each take, by its index.

        Args:
            takes: At most one of each line.
            again: What was heard the first time does not count; a second time is remembered too.

        Raises:
            EngineError: The engine failed.
            JobCancelled: Somebody asked for it.
        """
        known = self._known()
        keys = {take.index: f"{self._key(take)}{'+' if again else ''}" for take in takes}
        new = [take for take in takes if keys[take.index] not in known]
        if new:
            with self.open() as transcriber:
                for heard in self._hear_batches(list(_batches(new)), transcriber):
                    for take, words in heard:
                        known[keys[take.index]] = " ".join(words)
                    self._keep(known)
        return {take.index: known[keys[take.index]].split() for take in takes}

    def _hear_batches(
        self, batches: Sequence[Sequence[Take]], transcriber: Transcriber
    ) -> Iterator[list[tuple[Take, list[str]]]]:
        """Yield what was heard of each batch, in order; several workers hear at a time."""
        lanes = getattr(transcriber, "lanes", 1)
        with ThreadPoolExecutor(lanes) as pool:
            runs = [
                pool.submit(copy_context().run, self._hear_batch, batch, transcriber, number)
                for number, batch in enumerate(batches)
            ]
            try:
                for run in runs:
                    yield run.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _hear_batch(
        self, batch: Sequence[Take], transcriber: Transcriber, number: int
    ) -> list[tuple[Take, list[str]]]:
        joined = self.kept.with_suffix(f".{number}.wav")
        spans = _join([take.path for take in batch], joined)
        found = transcriber.transcribe(joined, language=self.language)
        joined.unlink(missing_ok=True)
        texts = [bare_words(take.text, self.language) for take in batch]
        return list(zip(batch, deal_out(found.words, texts, spans, self.language), strict=True))

    def _key(self, take: Take) -> str:
        found = hashlib.sha256(f"{self.made_by}\0{self.language}\0{take.text}\0".encode())
        found.update(take.path.read_bytes())
        return found.hexdigest()[:32]

    def _known(self) -> dict[str, str]:
        if not self._heard:
            try:
                kept = json.loads(self.kept.read_bytes())
                self._heard.update({str(key): str(text) for key, text in kept.items()})
            except FileNotFoundError:
                pass
            except (OSError, ValueError, AttributeError):
                log.warning("what was heard is lost", path=self.kept)
        return self._heard

    def _keep(self, known: Mapping[str, str]) -> None:
        write_atomically(self.kept, json.dumps(dict(known)).encode("ascii"))


def deal_out(
    words: Sequence[Word],
    texts: Sequence[Sequence[str]],
    spans: Sequence[tuple[float, float]],
    language: str,
) -> list[list[str]]:
    """Return which of the heard words belong to each text.

    Words that say what a text says belong to it, wherever they were timed; any other belongs where
    it was heard.

    Args:
        words: What was heard in the joined recording, in order.
        texts: Bare words of each take, in order.
        spans: (start, end) of each take in the joined recording, in seconds.
        language: ISO 639-1 code.
    """
    heard = [
        (bare, (word.start_s + word.end_s) / 2)
        for word in words
        for bare in bare_words(word.text, language)
    ]
    wanted = [(bare, n) for n, text in enumerate(texts) for bare in text]
    middles = [(before[1] + after[0]) / 2 for before, after in pairwise(spans)]
    homes = [int(np.searchsorted(middles, at_s)) for _, at_s in heard]
    steps = Levenshtein.opcodes([bare for bare, _ in wanted], [bare for bare, _ in heard])
    for step in steps:
        if step.tag == "equal":
            for there, here in zip(
                range(step.src_start, step.src_end),
                range(step.dest_start, step.dest_end),
                strict=True,
            ):
                # A phrase that two takes share must not wander from one to the other.
                if abs(wanted[there][1] - homes[here]) == 1:
                    homes[here] = wanted[there][1]
    dealt: list[list[str]] = [[] for _ in texts]
    for (bare, _), home in zip(heard, homes, strict=True):
        dealt[home].append(bare)
    return dealt


def _batches(takes: Sequence[Take]) -> Iterator[list[Take]]:
    batch: list[Take] = []
    for take in takes:
        if batch and sum(one.duration_s for one in batch) + take.duration_s > _BATCH_S:
            yield batch
            batch = []
        batch.append(take)
    if batch:
        yield batch


def _join(paths: Sequence[Path], target: Path) -> list[tuple[float, float]]:
    """Write WAV files one after another with pauses, 16 kHz mono, and return where each is."""
    pause = np.zeros(round(_PAUSE_S * RATE), dtype=np.int16)
    spans: list[tuple[float, float]] = []
    with soundfile.SoundFile(
        target, "w", samplerate=RATE, channels=1, subtype="PCM_16", format="WAV"
    ) as file:
        position = len(pause)
        file.write(pause)
        for path in paths:
            samples = _samples(path)
            file.write(samples)
            file.write(pause)
            spans.append((position / RATE, (position + len(samples)) / RATE))
            position += len(samples) + len(pause)
    return spans


def _samples(path: Path) -> NDArray[np.int16]:
    samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
    mono = samples[:, 0]
    if rate != RATE:
        mono = soxr.resample(mono, rate, RATE)
    return np.asarray(mono, dtype=np.int16)
