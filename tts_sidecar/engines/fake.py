"""Speech that is none: tones with the rhythm of syllables, instantly, without any model.

MOCK_MODE uses it. The same request always gives the same samples; the length follows the text, and
the pitch tells the voices and genders apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tts_sidecar.engines.base import Gender, Speech, Voice
from tts_sidecar.languages import ESPEAK_VOICES

CHARACTERS_PER_S = 15.0

_SAMPLE_RATE = 24000
_SYLLABLES_PER_S = 4.5
_PITCH_HZ: dict[str, float] = {
    "f1": 205.0,
    "f2": 225.0,
    "f3": 185.0,
    "f4": 245.0,
    "m1": 115.0,
    "m2": 98.0,
    "m3": 130.0,
    "m4": 86.0,
}


class FakeEngine:
    """Speaks every language, four female and four male voices in each, such as `es-f1`."""

    name = "fake"
    device = "cpu"

    def __init__(self) -> None:
        self._loaded = False

    @property
    def loaded(self) -> bool:
        """True between `load` (or the first take) and `unload`."""
        return self._loaded

    @property
    def problem(self) -> str | None:
        """None: nothing can be missing."""
        return None

    @property
    def languages(self) -> Mapping[str, str]:
        """Every known language to `fake`."""
        return dict.fromkeys([*ESPEAK_VOICES, "ja"], self.name)

    def voices(self, language: str) -> Sequence[Voice]:
        """Return four female and four male voices."""
        if language not in self.languages:
            return []
        genders: dict[str, Gender] = {"f": "female", "m": "male"}
        return [Voice(f"{language}-{x}", language, genders[x[0]], self.name) for x in _PITCH_HZ]

    def load(self) -> None:
        """Remember that it was called."""
        self._loaded = True

    def unload(self) -> None:
        """Remember that it was called."""
        self._loaded = False

    def synthesize(self, text: str, voice: Voice, speed: float) -> Speech:
        """Return `len(text) / 15 / speed` seconds of a tone that swells with each syllable."""
        self.load()
        count = max(1, round(len(text) / CHARACTERS_PER_S / speed * _SAMPLE_RATE))
        time_s = np.arange(count) / _SAMPLE_RATE
        # A pitch that falls by a tenth, as in a statement, and five harmonics: enough for a pitch
        # tracker and a voice activity detector to take it for a voice.
        hz = _PITCH_HZ[voice.id.rpartition("-")[2]] * (1.05 - 0.1 * time_s * _SAMPLE_RATE / count)
        phase = 2 * np.pi * np.cumsum(hz) / _SAMPLE_RATE
        tone = sum(np.sin(k * phase) / k for k in range(1, 6))
        swell = 0.55 + 0.45 * np.cos(2 * np.pi * _SYLLABLES_PER_S * speed * time_s)
        return Speech((0.15 * tone * swell).astype(np.float32), _SAMPLE_RATE)
