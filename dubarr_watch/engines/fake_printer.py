"""A fake for the seam of voices: it tells them apart by their pitch alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dubarr_watch.engines.base import Progress, Span, no_progress
from dubarr_watch.engines.samples import RATE, Samples, SpeechSamples
from dubarr_watch.engines.voice_prints import Print, Singing

_SHORTEST_S = 0.3
_LOWEST_HZ = 20.0


class FakePrinter:
    """Hears the loudest pitch: voices an octave apart have nothing in common."""

    def prints(self, recordings: Sequence[Path]) -> list[Print]:
        """See `VoicePrinter`."""
        found = []
        for path in recordings:
            with SpeechSamples(path) as samples:
                found.append(_print(samples.between(0.0, samples.duration_s)))
        return found

    def voices(
        self, audio: Path, spans: Sequence[Span], *, progress: Progress = no_progress
    ) -> list[Print]:
        """See `VoicePrinter`."""
        with SpeechSamples(audio) as samples:
            found = [_print(samples.between(span.start_s, span.end_s)) for span in spans]
            progress(samples.duration_s, samples.duration_s)
        return found

    def singing(
        self, audio: Path, spans: Sequence[Span], *, progress: Progress = no_progress
    ) -> list[Singing]:
        """See `VoicePrinter`. Nobody sings."""
        with SpeechSamples(audio) as samples:
            progress(samples.duration_s, samples.duration_s)
        return [(0.0,) for _ in spans]


def _print(samples: Samples) -> Print:
    if len(samples) < _SHORTEST_S * RATE:
        return ()
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    spectrum[: math.ceil(_LOWEST_HZ * len(samples) / RATE)] = 0.0
    pitch_hz = max(float(np.argmax(spectrum)) * RATE / len(samples), _LOWEST_HZ)
    # Each octave has an axis of its own, so that many voices have room.
    octave, within = divmod(math.log2(pitch_hz / _LOWEST_HZ), 1.0)
    voice = np.zeros(12)
    voice[min(int(octave), 10)] = math.cos(within * math.pi / 2)
    voice[min(int(octave), 10) + 1] = math.sin(within * math.pi / 2)
    return tuple(voice.tolist())
