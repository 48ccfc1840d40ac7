"""pyannote for tests: the real engine on random weights, without the talk that it makes up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dubarr_watch.engines.base import Progress, Span, Turn, no_progress
from dubarr_watch.engines.pyannote_diarizer import PyannoteDiarizer


class KindDiarizer(PyannoteDiarizer):
    """Diarizes for real, then forgets who talks beside whom: without training it is everybody."""

    def diarize(
        self, audio: Path, voice: Sequence[Span], *, progress: Progress = no_progress
    ) -> list[Turn]:
        return [
            turn for turn in super().diarize(audio, voice, progress=progress) if not turn.beside
        ]
