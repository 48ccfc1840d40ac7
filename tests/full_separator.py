"""Demucs for tests: the real engine on random weights, its voices swapped for the mix."""

from __future__ import annotations

from pathlib import Path

import soundfile

from dubarr_watch.engines.base import Progress, Stems, no_progress
from dubarr_watch.engines.demucs_separator import DemucsSeparator


class KindSeparator(DemucsSeparator):
    """Separates for real, then calls the whole mix the voice: noise would say nothing."""

    def separate(self, audio: Path, folder: Path, *, progress: Progress = no_progress) -> Stems:
        stems = super().separate(audio, folder, progress=progress)
        samples, rate = soundfile.read(audio, dtype="int16", always_2d=True)
        soundfile.write(stems.voice, samples, rate, subtype="PCM_16")
        return stems
