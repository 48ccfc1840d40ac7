"""What models of others, and our own, have done for a job: tokens, characters, money."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from dubarr_watch.engines.base import Speech, Synthesizer, Translator, Usage, Voice
from dubarr_watch.storage import write_atomically


@dataclass(frozen=True, slots=True)
class Spent:
    """What was spent on one language, or on what all languages share.

    Attributes:
        words: By the translator.
        speech_chars: Characters that were spoken, all attempts together.
    """

    words: Usage = field(default_factory=Usage)
    speech_chars: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.words + other.words, self.speech_chars + other.speech_chars)


class UsageBook:
    """Adds up what a job spends, over all its runs; safe from any thread.

    Args:
        path: Where it is kept, in the job's work folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._spent: dict[str, Spent] = {}
        try:
            kept = json.loads(path.read_bytes())
            self._spent = TypeAdapter(dict[str, Spent]).validate_python(kept)
        except (OSError, ValueError):
            pass  # nothing was spent yet, or a crash took the note of it: it is only a figure

    def add(self, language: str, spent: Spent) -> None:
        """Note what was spent on a language; an empty code stands for all of them."""
        with self._lock:
            self._spent[language] = self._spent.get(language, Spent()) + spent
            text = json.dumps({code: asdict(one) for code, one in self._spent.items()})
            write_atomically(self._path, text.encode("ascii"))

    def of(self, language: str) -> Spent:
        """Return what a language has cost, with all of what its job spent for every language."""
        with self._lock:
            return self._spent.get(language, Spent()) + self._spent.get("", Spent())

    @contextmanager
    def translating(self, language: str, translator: Translator) -> Iterator[Translator]:
        """Note what a translator is used for in a `with` block, however that ends."""
        before = translator.usage()
        try:
            yield translator
        finally:
            self.add(language, Spent(_less(translator.usage(), before)))

    @contextmanager
    def speaking(self, language: str, synthesizer: Synthesizer) -> Iterator[Synthesizer]:
        """Count what a synthesizer is given to say in a `with` block."""
        counted = _Counted(synthesizer)
        try:
            yield counted
        finally:
            if counted.chars:
                self.add(language, Spent(speech_chars=counted.chars))


class _Counted:
    """A synthesizer that counts characters."""

    def __init__(self, synthesizer: Synthesizer) -> None:
        self._synthesizer = synthesizer
        self._lock = threading.Lock()
        self.chars = 0

    @property
    def slots(self) -> int:
        return self._synthesizer.slots

    def voices(self, language: str) -> list[Voice]:
        return self._synthesizer.voices(language)

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
        with self._lock:
            self.chars += len(text)
        return self._synthesizer.synthesize(
            text,
            language=language,
            voice=voice,
            speed=speed,
            target=target,
            references=references,
        )


def _less(after: Usage, before: Usage) -> Usage:
    """Return what was added to a total; a process that was started anew counts from nothing."""
    if after.requests < before.requests:
        return after
    return Usage(
        requests=after.requests - before.requests,
        retries=max(0, after.retries - before.retries),
        tokens_in=max(0, after.tokens_in - before.tokens_in),
        tokens_out=max(0, after.tokens_out - before.tokens_out),
        busy_s=max(0.0, after.busy_s - before.busy_s),
        usd=max(0.0, after.usd - before.usd),
    )
