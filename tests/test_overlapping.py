"""Two people who talk at the same time still do in the dub: from turns to the published track."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dubarr_watch.engines.base import (
    EngineSpec,
    Progress,
    Span,
    Transcript,
    Turn,
    Word,
    no_progress,
)
from dubarr_watch.engines.fakes import FakeDiarizer, FakeTranscriber
from tests.composing import Shop, make_talk, open_shop, share_of, sound_of

RATE = 16_000
WORDS = {
    0.5: "Nobody should really believe whatever others repeat.",
    3.5: "Please never forget what happened.",
}
"""What each of the two says, a word in 0.43 s; Whisper writes the second after the first."""

WORD_S = 0.43
TURNS = [Turn(0.5, 3.5, 0), Turn(2.7, 3.5, 1, beside=True), Turn(3.5, 5.6, 1)]


class ScriptedTranscriber(FakeTranscriber):
    """Hears `WORDS`."""

    def transcribe(
        self, audio: Path, *, language: str | None = None, progress: Progress = no_progress
    ) -> Transcript:
        words = [
            Word(round(start_s + n * WORD_S, 3), round(start_s + (n + 1) * WORD_S, 3), word, 0.9)
            for start_s, text in WORDS.items()
            for n, word in enumerate(text.split())
        ]
        return Transcript("en", 1.0, 8.0, tuple(words), (Span(0.5, 5.65),))


class ScriptedDiarizer(FakeDiarizer):
    """Hears `TURNS`, or none of them beside another.

    Args:
        beside: Whether it hears that two talk at the same time.
    """

    def __init__(self, *, beside: bool) -> None:
        super().__init__()
        self._turns = [turn for turn in TURNS if beside or not turn.beside]

    def diarize(
        self, audio: Path, voice: Sequence[Span], *, progress: Progress = no_progress
    ) -> list[Turn]:
        return self._turns


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as shop:
        here = "tests.test_overlapping"
        shop.specs = replace(
            shop.specs,
            transcriber=EngineSpec(f"{here}:ScriptedTranscriber"),
            diarizer=EngineSpec(f"{here}:ScriptedDiarizer", {"beside": True}),
        )
        yield shop


def heard_at(shop: Shop, from_s: float, until_s: float) -> list[bool]:
    """Tell who of the two is heard in the track within a stretch of it."""
    sound = sound_of(next(shop.videos.glob("*.mka")))
    part = sound[round(from_s * RATE) : round(until_s * RATE)]
    voices = {
        call.arguments["voice"]: None for call in shop.spy.calls if call.method == "synthesize"
    }
    pitches = [_pitch_hz(voice) for voice in voices]
    return [share_of(part, pitch_hz) > 0.1 for pitch_hz in pitches]


def _pitch_hz(voice: str) -> float:
    return 110 + hashlib.sha256(voice.encode()).digest()[0]


def test_they_are_heard_together_for_as_long_as_they_were(shop: Shop) -> None:
    """The second begins at 2.7 s, as she did, while the first goes on to 3.5 s."""
    ended = shop.dub(make_talk(shop.videos / "Film.mkv"), "es")
    report = json.loads((shop.settings.reports_dir / f"{ended.job.id}.es.json").read_text("utf-8"))
    first, second = report["lines"]
    assert (first["end_s"], second["start_s"]) == (3.5, 2.7)
    assert (second["placed_s"], first["speed"], second["speed"]) == (2.7, 1.0, 1.0)
    assert first["placed_s"] + first["take_s"] == pytest.approx(3.4, abs=0.1)
    assert (report["summary"]["overlaps"], report["summary"]["overlaps_kept"]) == (0, 1)
    assert heard_at(shop, 1.0, 2.5) == [True, False]
    assert heard_at(shop, 2.8, 3.3) == [True, True]
    assert heard_at(shop, 3.7, 4.5) == [False, True]
    shown = next(shop.videos.glob("*.srt")).read_text("utf-8").split("\n\n")[1]
    assert shown.splitlines()[1].startswith("00:00:02,")
    assert [row[:2] for row in shown.splitlines()[2:]] == ["- ", "- "]


def test_where_nobody_hears_that_one_follows_the_other(shop: Shop) -> None:
    """The same words and turns, without the overlap: nobody is heard over anybody."""
    shop.use(diarizer={"beside": False})
    ended = shop.dub(make_talk(shop.videos / "Film.mkv"), "es")
    report = json.loads((shop.settings.reports_dir / f"{ended.job.id}.es.json").read_text("utf-8"))
    assert [line["start_s"] for line in report["lines"]] == [0.5, 3.5]
    assert (report["summary"]["overlaps"], report["summary"]["overlaps_kept"]) == (0, 0)
    assert heard_at(shop, 2.8, 3.3) == [True, False]
