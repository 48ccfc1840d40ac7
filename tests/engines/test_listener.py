"""What measures a finished dub."""

from __future__ import annotations

from pathlib import Path

import soundfile

from dubarr_watch.engines.listener import VoiceListener
from tests.tiny.speech import speak


def test_it_finds_voice_and_no_words(tmp_path: Path) -> None:
    """As the transcriber's detector does, without its model."""
    path = tmp_path / "talk.wav"
    soundfile.write(path, speak(3.0), 16_000, subtype="PCM_16")
    listener = VoiceListener()
    voice = listener.voice_activity(path)
    assert sum(span.duration_s for span in voice) > 1.5
    found = listener.transcribe(path)
    assert (found.words, list(found.voice)) == ((), voice)
    assert found.duration_s == 3.0
