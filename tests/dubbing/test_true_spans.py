"""Where lines start and end in real speech, heard by the real transcriber."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from dubarr_watch.dubbing.fitting import make_slots
from dubarr_watch.dubbing.transcript import Line, make_lines
from dubarr_watch.engines.base import Span, Transcriber, Transcript, Word
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.registry import EngineSpecs, specs_for
from dubarr_watch.engines.turns import Heard, cover
from dubarr_watch.settings import Profile, load_settings

pytestmark = [pytest.mark.models, pytest.mark.timeout(300)]
MODELS = Path(os.environ.get("MODELS_DIR") or Path.home() / ".cache" / "dubarr-watch" / "models")
RATE = 16_000
TEXTS = (
    ("af_heart", "Did you sleep well after the long journey yesterday?"),
    ("am_michael", "Not really, the train was late again."),
    ("af_heart", "Come in and have a cup of coffee with us."),
)
START_S, END_S = 0.12, 0.2
"""How far a line's start and end may lie from where its voice really begins and ends."""

Samples = NDArray[np.float32]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> tuple[EngineHost, EngineSpecs]:
    config = tmp_path_factory.mktemp("config")
    settings = load_settings(models_dir=MODELS, config_dir=config, tts_port=0, mock_mode=False)
    return EngineHost(settings), specs_for(Profile.EMBEDDED, settings)


@pytest.fixture(scope="module")
def voices(
    host: tuple[EngineHost, EngineSpecs], tmp_path_factory: pytest.TempPathFactory
) -> list[Samples]:
    """`TEXTS` as they are spoken, without silent edges."""
    folder = tmp_path_factory.mktemp("voices")
    spoken: list[Samples] = []
    with host[0].engine("synthesizer", host[1].synthesizer) as synthesizer:
        for n, (voice, text) in enumerate(TEXTS):
            path = folder / f"{n}.wav"
            synthesizer.synthesize(text, language="en", voice=voice, speed=1.0, target=path)
            samples, rate = soundfile.read(path, dtype="float32")
            spoken.append(soxr.resample(samples, rate, RATE))
    return spoken


@pytest.fixture(scope="module")
def transcriber(host: tuple[EngineHost, EngineSpecs]) -> Iterator[Transcriber]:
    with host[0].engine("transcriber", host[1].transcriber) as transcriber:
        yield transcriber


def film(voices: Sequence[Samples], starts_s: Sequence[float], path: Path) -> list[Span]:
    """Write voices at their starts over quiet music, and return where each really is."""
    spans = [
        Span(start_s, start_s + len(voice) / RATE)
        for start_s, voice in zip(starts_s, voices, strict=True)
    ]
    times = np.arange(round((spans[-1].end_s + 4) * RATE)) / RATE
    chord = [np.sin(2 * np.pi * hertz * times) for hertz in (220, 277, 330)]
    sound = (0.01 * np.sum(chord, axis=0)).astype(np.float32)
    for span, voice in zip(spans, voices, strict=True):
        first = round(span.start_s * RATE)
        sound[first : first + len(voice)] += voice
    soundfile.write(path, sound, RATE, subtype="PCM_16")
    return spans


def assert_at(lines: Sequence[Line], spans: Sequence[Span]) -> None:
    assert len(lines) == len(spans)
    for line, span in zip(lines, spans, strict=True):
        assert line.start_s == pytest.approx(span.start_s, abs=START_S), line.text
        assert line.end_s == pytest.approx(span.end_s, abs=END_S), line.text


@pytest.fixture(scope="module")
def heard(
    voices: list[Samples],
    transcriber: Transcriber,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Transcript, list[Span]]:
    """Three lines with more than a second of music between them, and four after them."""
    path = tmp_path_factory.mktemp("film") / "film.wav"
    lengths_s = [len(voice) / RATE for voice in voices]
    starts_s = [1.3, 1.3 + lengths_s[0] + 1.4, 1.3 + sum(lengths_s[:2]) + 3.1]
    spans = film(voices, starts_s, path)
    return transcriber.transcribe(path, language="en"), spans


class TestOneAfterTheOther:
    def test_a_line_lies_where_its_voice_is(self, heard: tuple[Transcript, list[Span]]) -> None:
        transcript, spans = heard
        assert_at(make_lines(transcript, []), spans)

    @pytest.mark.parametrize("moved_s", [-0.25, 0.15])
    def test_loose_cues_change_nothing(
        self, heard: tuple[Transcript, list[Span]], moved_s: float
    ) -> None:
        """A quarter of a second too wide, or 0.15 s too narrow at both ends."""
        transcript, spans = heard
        loose = tuple(
            replace(
                word,
                start_s=word.start_s + (moved_s if starts(word, spans) else 0),
                end_s=max(word.end_s - (moved_s if ends(word, spans) else 0), word.start_s + 0.3),
            )
            for word in transcript.words
        )
        assert loose != transcript.words
        assert_at(make_lines(replace(transcript, words=loose), []), spans)

    def test_words_where_there_is_only_music_are_dropped(
        self, heard: tuple[Transcript, list[Span]]
    ) -> None:
        """What Whisper is known to make up between lines and after the last one."""
        transcript, spans = heard
        plain = make_lines(transcript, [])
        invented = [
            Word(at_s + 0.2 * n, at_s + 0.2 * n + 0.2, word, 0.4)
            for at_s in (spans[0].end_s + 0.5, spans[2].end_s + 1.5)
            for n, word in enumerate(["Thank", "you."])
        ]
        words = sorted([*transcript.words, *invented], key=lambda word: word.start_s)
        assert make_lines(replace(transcript, words=tuple(words)), []) == plain


def starts(word: Word, spans: Sequence[Span]) -> bool:
    return any(abs(word.start_s - span.start_s) < 0.2 for span in spans)


def ends(word: Word, spans: Sequence[Span]) -> bool:
    return any(abs(word.end_s - span.end_s) < 0.2 for span in spans)


def test_who_talks_over_the_end_of_another_starts_where_they_do(
    voices: list[Samples], transcriber: Transcriber, tmp_path: Path
) -> None:
    """Real voices, 0.8 s of them at the same time; who talks when is what a diarizer says."""
    first_s = len(voices[0]) / RATE
    path = tmp_path / "film.wav"
    spans = film(voices[:2], [1.3, 1.3 + first_s - 0.8], path)
    transcript = transcriber.transcribe(path, language="en")
    turns = cover(transcript.voice, [Heard(s.start_s, s.end_s, n) for n, s in enumerate(spans)])
    (beside,) = [turn for turn in turns if turn.beside]
    assert beside.end_s - beside.start_s == pytest.approx(0.8, abs=0.02)
    first, second = make_lines(transcript, turns)
    assert (first.speaker, second.speaker) == (0, 1)
    assert "journey" in first.text
    assert "train" in second.text
    assert second.start_s == pytest.approx(spans[1].start_s, abs=START_S)
    assert second.end_s == pytest.approx(spans[1].end_s, abs=END_S)
    early, late = make_slots([first, second], transcript.duration_s)
    assert early.end_s > late.start_s + 0.4, "they are heard together in the dub too"
