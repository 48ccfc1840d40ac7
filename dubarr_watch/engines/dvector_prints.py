"""Voice prints by the small model that tells speakers apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dubarr_watch.engines.base import Span
from dubarr_watch.engines.dvector import DVectorDiarizer
from dubarr_watch.engines.samples import SpeechSamples
from dubarr_watch.engines.voice_prints import Print

SHORTEST_S = 0.8
"""Recordings that are shorter tell nothing: it is what the embedder hears at a time."""


class DVectorPrinter(DVectorDiarizer):
    """A VoicePrinter: the mean d-vector of a recording.

    Args:
        model: The embedder, an ONNX file.
        threads: Threads of the CPU.
    """

    def prints(self, recordings: Sequence[Path]) -> list[Print]:
        """See `VoicePrinter`."""
        return [self._print(path) for path in recordings]

    def _print(self, path: Path) -> Print:
        with SpeechSamples(path) as samples:
            if samples.duration_s < SHORTEST_S:
                return ()
            cells = self._listen(samples, Span(0.0, samples.duration_s)).cells
        mean = cells.mean(axis=0)
        return tuple((mean / max(float(np.linalg.norm(mean)), 1e-9)).tolist())
