"""How long a text takes to say: learned for each voice and language from the takes made so far."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from dubarr_watch.dubbing.aloud import spoken_form
from dubarr_watch.dubbing.fitting import Take
from dubarr_watch.engines.base import Voice
from dubarr_watch.storage import write_atomically

DEFAULT_CHARS_PER_S = 15.0
"""Characters a second of ordinary speech, for a language not listed below."""

CHARS_PER_S = {"de": 17.0, "en": 17.0, "es": 16.5, "fr": 19.0, "it": 15.5, "pl": 15.0, "pt": 16.5}
"""Measured on sentences of 20 to 90 characters, Kokoro's voices (de, pl: espeak-ng's)."""

_BELIEF_TAKES = 12.0
"""What is believed beforehand weighs as much as so many takes."""

_BELIEF_CHARS = (20.0, 80.0)
_MEMORY_TAKES = 2000.0
"""Older takes count for less, so that a voice's new version is learned too."""


@dataclass(frozen=True, slots=True)
class Law:
    """Seconds of a text: so many before its first letter, and so many for each."""

    start_s: float
    per_char_s: float

    def seconds(self, text: str) -> float:
        """Return how long a text takes."""
        return self.start_s + self.per_char_s * len(text)

    def scaled(self, times: float) -> Law:
        """Return the law of a voice that takes so many times as long for everything."""
        return Law(self.start_s * times, self.per_char_s * times)

    def chars(self, seconds: float, takes: int = 1) -> float:
        """Return how many characters can be said in some time, by so many takes."""
        return max(0.0, seconds - takes * self.start_s) / self.per_char_s


@dataclass(frozen=True, slots=True)
class Seen:
    """Sums over takes, from which a line of best fit follows."""

    takes: float = 0.0
    chars: float = 0.0
    seconds: float = 0.0
    chars_squared: float = 0.0
    chars_seconds: float = 0.0

    def with_take(self, chars: float, seconds: float, weight: float = 1.0) -> Seen:
        """Return the sums with one more take."""
        return Seen(
            self.takes + weight,
            self.chars + weight * chars,
            self.seconds + weight * seconds,
            self.chars_squared + weight * chars * chars,
            self.chars_seconds + weight * chars * seconds,
        )

    def shrunk(self) -> Seen:
        """Return the sums as of no more takes than are remembered."""
        share = min(1.0, _MEMORY_TAKES / self.takes) if self.takes else 1.0
        return Seen(**{name: value * share for name, value in asdict(self).items()})

    def law(self, belief: Law) -> Law:
        """Return the line of best fit through the takes and through what was believed before.

        Lines of a film are of much the same length and tell little of the slope: so what is
        believed is first scaled to the pace of the takes, as far as there are any.
        """
        seen, belief = self, belief.scaled(self._pace(belief))
        for chars in _BELIEF_CHARS:
            weight = _BELIEF_TAKES / len(_BELIEF_CHARS)
            seen = seen.with_take(chars, belief.start_s + belief.per_char_s * chars, weight)
        spread = seen.takes * seen.chars_squared - seen.chars**2
        slope = (seen.takes * seen.chars_seconds - seen.chars * seen.seconds) / spread
        slope = max(slope, belief.per_char_s / 3)
        return Law(max(0.0, (seen.seconds - slope * seen.chars) / seen.takes), slope)

    def _pace(self, belief: Law) -> float:
        """Return how many times what is believed the takes last; few of them move it little."""
        believed_s = belief.start_s * self.takes + belief.per_char_s * self.chars
        chars = sum(_BELIEF_CHARS) / len(_BELIEF_CHARS)
        before_s = _BELIEF_TAKES * (belief.start_s + belief.per_char_s * chars)
        return (self.seconds + before_s) / (believed_s + before_s)


@dataclass(frozen=True, slots=True)
class _Known:
    """What a book holds.

    Attributes:
        seen: By language, and by language and voice.
        voices: What was offered for each language, so that lines can be cast before they are
            translated: who says them decides on how much they may say.
    """

    seen: dict[str, Seen] = field(default_factory=dict)
    voices: dict[str, list[Voice]] = field(default_factory=dict)


class DurationBook:
    """What is known of all voices; safe from any thread, however many books have one path.

    Args:
        path: Where it is kept, across jobs. It is only a figure: what cannot be read is forgotten.
    """

    _lock = threading.Lock()

    def __init__(self, path: Path) -> None:
        self._path = path
        self._adapter = TypeAdapter(_Known)

    def law(self, language: str, voice: str = "") -> Law:
        """Return how long texts take in a language, by one voice or by any.

        A voice is believed to be like its language, and a language like `CHARS_PER_S`, until
        takes tell otherwise.
        """
        seen = self._read().seen
        plain = Law(0.0, 1 / CHARS_PER_S.get(language, DEFAULT_CHARS_PER_S))
        any_voice = seen.get(language, Seen()).law(plain)
        return seen.get(f"{language} {voice}", Seen()).law(any_voice) if voice else any_voice

    def voices(self, language: str) -> list[Voice]:
        """Return the voices that a language was spoken with last; none when it never was."""
        return self._read().voices.get(language, [])

    def learn(self, language: str, takes: Iterable[Take], voices: Sequence[Voice] = ()) -> None:
        """Learn from takes at their voices' own rate; doubtful ones teach nothing.

        Args:
            language: ISO 639-1 code.
            takes: What was made.
            voices: What there was to choose from.

        Raises:
            DiskFull: There is no space.
        """
        with self._lock:
            known = self._read()
            seen = known.seen
            for take in takes:
                if take.suspect or not take.text or take.duration_s <= 0:
                    continue
                chars = len(spoken_form(take.text, language))
                for name in (language, f"{language} {take.voice}"):
                    sums = seen.get(name, Seen())
                    seen[name] = sums.with_take(chars, take.duration_s).shrunk()
            if voices:
                known.voices[language] = list(voices)
            text = json.dumps(asdict(known), sort_keys=True)
            write_atomically(self._path, text.encode("ascii", "backslashreplace"))

    def _read(self) -> _Known:
        try:
            return self._adapter.validate_python(json.loads(self._path.read_bytes()))
        except (OSError, ValueError):
            return _Known()
