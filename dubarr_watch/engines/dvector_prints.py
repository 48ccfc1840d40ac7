"""Voice prints by the small model that tells speakers apart, and another that hears singing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dubarr_watch.engines.base import Progress, Span, no_progress
from dubarr_watch.engines.dvector import DVectorDiarizer, Vectors
from dubarr_watch.engines.samples import SpeechSamples
from dubarr_watch.engines.speech_music import SpeechMusic
from dubarr_watch.engines.voice_prints import Print, Singing

SHORTEST_S = 0.8
"""Recordings that are shorter tell nothing: it is what the embedder hears at a time."""


SHORTEST_SPAN_S = 0.3
"""Stretches of a sound that are shorter tell nothing; those below 0.8 s are heard repeatedly."""


class DVectorPrinter(DVectorDiarizer):
    """A VoicePrinter: the mean d-vector of a recording or a stretch of it.

    Args:
        model: The embedder, an ONNX file.
        songs: What tells singing from speech, see `SpeechMusic`.
        threads: Threads of the CPU.

    Raises:
        ModelMissing: One of the files is not there.
    """

    def __init__(self, *, model: Path, songs: Path, threads: int) -> None:
        super().__init__(model=model, threads=threads)
        self._music = SpeechMusic(songs)

    def prints(self, recordings: Sequence[Path]) -> list[Print]:
        """See `VoicePrinter`."""
        return [self._print(path) for path in recordings]

    def voices(
        self, audio: Path, spans: Sequence[Span], *, progress: Progress = no_progress
    ) -> list[Print]:
        """See `VoicePrinter`."""
        found: list[Print] = []
        with SpeechSamples(audio) as samples:
            for span in spans:
                long = min(span.end_s, samples.duration_s) - span.start_s >= SHORTEST_SPAN_S
                found.append(_mean(self._listen(samples, span).cells) if long else ())
                progress(span.end_s, samples.duration_s)
        return found

    def singing(
        self, audio: Path, spans: Sequence[Span], *, progress: Progress = no_progress
    ) -> list[Singing]:
        """See `VoicePrinter`."""
        found: list[Singing] = []
        with SpeechSamples(audio) as samples:
            for span in spans:
                heard = self._music.music(samples.between(span.start_s, span.end_s))
                found.append(tuple(heard.tolist()))
                progress(span.end_s, samples.duration_s)
        return found

    def _print(self, path: Path) -> Print:
        with SpeechSamples(path) as samples:
            if samples.duration_s < SHORTEST_S:
                return ()
            return _mean(self._listen(samples, Span(0.0, samples.duration_s)).cells)


def _mean(cells: Vectors) -> Print:
    mean = cells.mean(axis=0)
    return tuple((mean / max(float(np.linalg.norm(mean)), 1e-9)).tolist())
