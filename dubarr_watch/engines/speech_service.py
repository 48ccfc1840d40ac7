"""What all speech services have in common: patience, a number of lanes, pieces of text, a bill."""

from __future__ import annotations

import concurrent.futures
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import structlog

from dubarr_watch.engines.base import Speech, Voice
from dubarr_watch.engines.context import POLL_S, EngineContext
from dubarr_watch.engines.dispatch import Dispatcher, Priority
from dubarr_watch.engines.llm.chat import USUAL_PATIENCE, Patience
from dubarr_watch.engines.llm.refusals import NotNow
from dubarr_watch.engines.speech_audio import (
    BadAudio,
    Samples,
    decode,
    joined,
    trim_silence,
    write_take,
)
from dubarr_watch.engines.speech_lanes import Lanes, TooManyAtOnce
from dubarr_watch.engines.speech_text import halves, is_implausible, split_text
from dubarr_watch.errors import JobCancelled, ServiceBusy, SynthesisFailed

log = structlog.get_logger(__name__)

T = TypeVar("T")

CONNECT_S = 15.0
LONGEST_ANSWER_S = 180.0
"""A line of speech takes seconds; a service that needs this long has lost it."""

_AUDIO_TRIES = 3


class TextTooLong(Exception):
    """The service takes a shorter text only."""


@dataclass(frozen=True, slots=True)
class SpeechUsage:
    """What a service was asked for.

    Attributes:
        requests: Answers with audio.
        retries: Requests that had to be sent again.
        characters: Characters of text that were spoken: what services charge for.
        seconds: Length of the audio.
    """

    requests: int = 0
    retries: int = 0
    characters: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Wording:
    """A piece of text as it is sent: never longer than the service takes."""

    text: str
    language: str
    voice: str
    speed: float


class SpeechService(ABC):
    """A Synthesizer at the other end of a network; it lives in the daemon and computes nothing.

    Args:
        name: Of the service, for messages.
        context: From the host.
        slots: Requests at a time; fewer for a while when the service allows no more.
        patience: With refusals and faults.
    """

    def __init__(
        self, *, name: str, context: EngineContext, slots: int, patience: Patience = USUAL_PATIENCE
    ) -> None:
        self._name = name
        self._cancelled = context.cancelled
        self._slots = slots
        self._patience = patience
        self._lanes = Lanes(slots)
        self._calls = Dispatcher(slots, slots, "speech service")
        self._lock = threading.Lock()
        self._usage = SpeechUsage()
        self._not_before = 0.0
        self.longest_answer_s = min(LONGEST_ANSWER_S, context.stall_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self._end()
            return
        # Requests that are under way cannot be taken back; nobody waits for their answers.
        threading.Thread(target=self._end, name="speech service end", daemon=True).start()

    @property
    def slots(self) -> int:
        """See `Synthesizer`."""
        return self._slots

    def usage(self) -> SpeechUsage:
        """Return what was asked for so far; never waits."""
        return self._usage

    @abstractmethod
    def voices(self, language: str) -> list[Voice]:
        """See `Synthesizer`."""

    def synthesize(
        self,
        text: str,
        *,
        language: str,
        voice: str,
        speed: float,
        target: Path,
        references: Sequence[Path] = (),
    ) -> Speech:
        """See `Synthesizer`.

        Raises:
            SynthesisFailed: The service refused the text or sent nothing usable.
            ServiceBusy: It refused or failed every time.
            UserMustProvide: Only the user can help: key, quota, model.
            JobCancelled: The job was cancelled.
        """
        if not any(map(str.isalnum, text)):
            raise SynthesisFailed("There is nothing to say in a text without words.")
        if voice not in {known.id for known in self.voices(language)}:
            raise SynthesisFailed(f"{self._name} has no voice {voice} for {language}.")
        longest = self._longest_text()
        pieces = [
            spoken
            for piece in split_text(text, longest)
            for spoken in self._spoken(Wording(piece, language, voice, speed))
        ]
        samples, rate = joined(pieces)
        suspect = is_implausible(text, len(samples) / rate * speed)
        return write_take(target, samples, rate, suspect=suspect)

    @abstractmethod
    def _send(self, wording: Wording) -> bytes:
        """Send one request and return the WAV file that comes back.

        Raises:
            NotNow: Ask again later.
            TextTooLong: Ask for less.
            DubarrError: Do not ask again.
        """

    @abstractmethod
    def _longest_text(self) -> int:
        """Return how many characters one request may have."""

    @abstractmethod
    def _close(self) -> None:
        """End all connections."""

    def _end(self) -> None:
        self._calls.close(cancel=True)
        self._close()

    def _spoken(self, wording: Wording) -> Iterator[tuple[Samples, int]]:
        try:
            yield self._audio(wording)
        except TextTooLong as error:
            parts = halves(wording.text)
            if len(parts) < 2:
                raise SynthesisFailed(f"{self._name} refuses even the shortest text.") from error
            for part in parts:
                yield from self._spoken(
                    Wording(part, wording.language, wording.voice, wording.speed)
                )

    def _audio(self, wording: Wording) -> tuple[Samples, int]:
        """Return what a piece of text sounds like; asked for again when nothing usable comes."""
        for attempt in range(1, _AUDIO_TRIES + 1):
            body = self._patiently(lambda: self._send(wording))
            try:
                samples, rate = decode(body)
                spoken = trim_silence(samples, rate)
            except BadAudio as error:
                log.info("speech unusable", service=self._name, reason=str(error), attempt=attempt)
                self._count(retries=1)
                last = error
                continue
            self._count(requests=1, characters=len(wording.text), seconds=len(samples) / rate)
            return spoken, rate
        raise SynthesisFailed(f"{self._name} sent {last} {_AUDIO_TRIES} times.") from last

    def _patiently(self, send: Callable[[], T]) -> T:
        """Send a request again while there is hope, within the bounds of patience."""
        patience = self._patience
        backoff_s = patience.first_wait_s
        for attempt in range(1, patience.attempts + 1):
            try:
                with self._lanes.one(self._stop_if_cancelled):
                    self._pause_until(self._not_before)
                    return self._wait_for(self._calls.submit(send, priority=Priority()))
            except NotNow as error:
                last = error
                wait_s = max(error.after_s or 0.0, backoff_s)
                if error.after_s is not None and not isinstance(error, TooManyAtOnce):
                    # Whoever asks meanwhile would only be refused as well.
                    self._not_before = max(self._not_before, time.monotonic() + error.after_s)
                self._count(retries=1)
                log.info(
                    "speech service waits",
                    service=self._name,
                    reason=error.reason,
                    wait_s=round(wait_s, 2),
                )
                if attempt < patience.attempts:
                    self._pause_until(time.monotonic() + wait_s)
                backoff_s = min(backoff_s * 2, patience.longest_wait_s)
        raise ServiceBusy(
            f"{self._name} did not answer after {patience.attempts} attempts: {last.reason}.",
            hint="Look at the service's status and the limits of its account; the job is tried "
            "again.",
        ) from last

    def _wait_for(self, future: concurrent.futures.Future[T]) -> T:
        while True:
            done, _ = concurrent.futures.wait([future], POLL_S)
            if done:
                return future.result()
            self._stop_if_cancelled()

    def _pause_until(self, moment: float) -> None:
        while True:
            self._stop_if_cancelled()
            left_s = moment - time.monotonic()
            if left_s <= 0:
                return
            time.sleep(min(left_s, POLL_S))

    def _stop_if_cancelled(self) -> None:
        if self._cancelled():
            raise JobCancelled("The job was cancelled.")

    def _count(
        self, requests: int = 0, retries: int = 0, characters: int = 0, seconds: float = 0.0
    ) -> None:
        with self._lock:
            now = self._usage
            self._usage = SpeechUsage(
                now.requests + requests,
                now.retries + retries,
                now.characters + characters,
                now.seconds + seconds,
            )
