"""Hears where there is voice, and nothing else: what a finished dub is measured with.

No speech model is loaded for that, so it takes no GPU's memory beside the voice that still speaks
for another job.
"""

from __future__ import annotations

from pathlib import Path

from dubarr_watch.engines.base import Progress, Span, Transcript, no_progress
from dubarr_watch.engines.samples import SpeechSamples
from dubarr_watch.engines.vad import voice_probabilities, voice_spans


class VoiceListener:
    """A Transcriber that finds no words."""

    def transcribe(
        self, audio: Path, *, language: str | None = None, progress: Progress = no_progress
    ) -> Transcript:
        """See `Transcriber`; the transcript has voice activity and no words."""
        voice = self.voice_activity(audio)
        with SpeechSamples(audio) as samples:
            duration_s = samples.duration_s
        progress(duration_s, duration_s)
        return Transcript(language or "en", 0.0, duration_s, (), tuple(voice))

    def voice_activity(self, audio: Path) -> list[Span]:
        """See `Transcriber`."""
        with SpeechSamples(audio) as samples:
            return voice_spans(voice_probabilities(samples), samples.duration_s)
