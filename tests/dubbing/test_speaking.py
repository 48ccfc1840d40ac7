"""Wordings into fitted takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from dubarr_watch.dubbing.fitting import Outcome, Take
from dubarr_watch.dubbing.speaking import FittedTake, Part, Studio, speak_lines
from dubarr_watch.dubbing.take_audio import TakeShape
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.engines.base import (
    EMPTY_FILM,
    FilmContext,
    Progress,
    ShortenRequest,
    Span,
    Speech,
    TranslationRequest,
    Translator,
    no_progress,
)
from dubarr_watch.engines.fakes import FakeSynthesizer, FakeTranslator
from dubarr_watch.errors import JobCancelled, SynthesisFailed

CHAR_S = 0.06  # what the fake synthesizer needs for a letter
SOURCE = "This is what the original says here."
LONG = "cuarenta letras de texto en una linea ya"
SHORT = "solo veinte letras ya"
WHY_PAUSES = ("gap borrowed", "pauses shortened")


class Shortener(FakeTranslator):
    """A translator that only shortens, with the wordings it is given."""

    def __init__(self, *wordings: str) -> None:
        super().__init__()
        self.wordings = list(wordings)
        self.asked: list[ShortenRequest] = []

    def translate(
        self, request: TranslationRequest, *, progress: Progress = no_progress
    ) -> Mapping[int, str]:
        raise AssertionError("nobody asked for a translation")

    def shorten(
        self,
        target: str,
        texts: Sequence[ShortenRequest],
        *,
        film: FilmContext = EMPTY_FILM,
        progress: Progress = no_progress,
    ) -> Mapping[int, tuple[str, ...]]:
        self.asked += texts
        return {text.id: tuple(self.wordings) for text in texts if self.wordings}


class Speaker(FakeSynthesizer):
    """The fake synthesizer, counting what it says and failing for some voices."""

    def __init__(self, *broken: str, slow: str = "") -> None:
        super().__init__()
        self.said: Counter[str] = Counter()
        self._broken = broken
        self._slow = slow

    def synthesize(
        self,
        text: str,
        *,
        language: str,
        voice: str,
        speed: float,
        target: Path,
        references: Sequence[Path] = (),
    ) -> Speech:
        assert speed == 1.0
        self.said[text] += 1
        if voice in self._broken:
            raise SynthesisFailed("No.")
        drawl = 0.5 if text == self._slow else 1.0
        return super().synthesize(text, language=language, voice=voice, speed=drawl, target=target)


class Kept:
    """A keeper in memory."""

    def __init__(self) -> None:
        self.takes: dict[int, tuple[str, Take, bool]] = {}

    def load(self, index: int, key: str) -> tuple[Take, bool] | None:
        kept = self.takes.get(index)
        return (kept[1], kept[2]) if kept and kept[0] == key else None

    def save(self, key: str, take: Take, *, settled: bool) -> None:
        self.takes[take.index] = (key, take, settled)


VOICES = FakeSynthesizer().voices("es")


def part(index: int, text: str, slot_s: float) -> Part:
    start_s = index * 10.0
    line = Line(index, start_s, start_s + min(2, slot_s), 0, SOURCE, index)
    return Part(line, text, Span(start_s, start_s + slot_s), VOICES[0])


def never() -> Translator:
    raise AssertionError("no shorter wording is needed")


Make = Callable[..., Studio]


@pytest.fixture
def studio(tmp_path: Path) -> Make:
    def make(**changes: object) -> Studio:
        plain = Studio("es", tmp_path / "takes" / "es", VOICES, Speaker(), never, Kept(), 1.25)
        return replace(plain, **changes)  # type: ignore[arg-type]

    return make


def speak(studio: Studio, *parts: Part) -> list[FittedTake]:
    return speak_lines(parts, studio)


class TestWording:
    def test_a_take_that_fits_is_left_alone(self, studio: Make) -> None:
        """No other wording, no speed, the file as it came."""
        (got,) = speak(studio(), part(0, LONG, 2.4))
        assert got.take is not None
        assert (got.outcome, got.fit.speed, got.take.attempts) == (Outcome.OK, 1.0, 1)
        assert got.path == got.take.path

    @pytest.mark.parametrize(("slot_s", "asked"), [(2.4 / 1.004, 0), (2.4 / 1.006, 1)])
    def test_a_little_too_long_is_reworded_before_it_is_sped_up(
        self, studio: Make, slot_s: float, asked: int
    ) -> None:
        """Whatever would be heard faster is first asked for in fewer words."""
        shortener = Shortener()
        (got,) = speak(studio(translator=lambda: shortener), part(0, LONG, slot_s))
        assert len(shortener.asked) == asked
        assert got.fit.speed == (pytest.approx(2.4 / slot_s, abs=1e-4) if asked else 1.0)
        assert got.outcome is Outcome.OK

    def test_the_shorter_wording_is_asked_for_before_speed(self, studio: Make) -> None:
        """A take far too long gets a wording that fits, and no speed at all."""
        shortener = Shortener(SHORT)
        (got,) = speak(studio(translator=lambda: shortener), part(0, LONG, 1.5))
        assert shortener.asked == [ShortenRequest(0, SOURCE, LONG, 25, speaker=0)]
        assert got.take is not None
        assert (got.take.text, got.take.attempts) == (SHORT, 2)
        assert (got.outcome, got.fit.speed) == (Outcome.RETRIED, 1.0)

    def test_the_longest_wording_that_fits_is_spoken(self, studio: Make) -> None:
        """Of three wordings the one that fills most of the slot, and no other."""
        speaker = Speaker()
        wordings = (f"{SHORT} otra vez hoy", f"{SHORT} hoy", "solo ya")
        made = studio(synthesizer=speaker, translator=lambda: Shortener(*wordings))
        (got,) = speak(made, part(0, LONG, 1.6))
        assert speaker.said == {LONG: 1, wordings[1]: 1}
        assert got.take is not None
        assert (got.take.text, got.take.attempts) == (wordings[1], 2)

    def test_a_wording_that_takes_longer_than_it_should_is_followed_by_another(
        self, studio: Make
    ) -> None:
        """Said too slowly to fit at a speed nobody hears, the next shorter one is tried, once."""
        slow = f"{SHORT} hoy"
        speaker = Speaker(slow=slow)
        made = studio(synthesizer=speaker, translator=lambda: Shortener(slow, SHORT, "solo ya"))
        (got,) = speak(made, part(0, LONG, 1.6))
        assert speaker.said == {LONG: 1, slow: 1, SHORT: 1}
        assert got.take is not None
        assert (got.take.text, got.take.attempts) == (SHORT, 3)
        assert got.fit.speed == 1.0

    def test_a_wording_that_says_far_too_little_is_not_spoken(self, studio: Make) -> None:
        """A third of the slot: the first wording is sped up rather than emptied."""
        speaker = Speaker()
        made = studio(synthesizer=speaker, translator=lambda: Shortener("solo ya"))
        (got,) = speak(made, part(0, LONG, 2.2))
        assert speaker.said == {LONG: 1}
        assert got.fit.speed == pytest.approx(2.4 / 2.2, abs=1e-3)

    def test_it_is_kept_only_if_its_audio_is_shorter(self, studio: Make) -> None:
        """Fewer letters that take longer to say are dropped; the first wording is sped up."""
        shortener, speaker = Shortener(SHORT), Speaker(slow=SHORT)
        made = studio(translator=lambda: shortener, synthesizer=speaker)
        (got,) = speak(made, part(0, LONG, 2.0))
        assert speaker.said == {LONG: 1, SHORT: 1}
        assert got.take is not None
        assert (got.take.text, got.take.attempts, got.outcome) == (LONG, 2, Outcome.OK)
        assert got.fit.speed == 1.2
        assert soundfile.info(got.take.path).duration == pytest.approx(2.4, abs=0.01)

    @pytest.mark.parametrize("answer", ["", LONG, f" {LONG} ", SOURCE, "Corto. (Shortened.)"])
    def test_no_good_wording_is_not_spoken(self, studio: Make, answer: str) -> None:
        """No answer, the same again, the source text or a note: none of them is spoken."""
        speaker = Speaker()
        made = studio(translator=lambda: Shortener(answer), synthesizer=speaker)
        (got,) = speak(made, part(0, LONG, 1.9))
        assert speaker.said == {LONG: 1}
        assert got.outcome is Outcome.TRIMMED

    def test_what_fits_in_no_way_is_cut_and_flagged(self, studio: Make) -> None:
        """At the highest speed and still too long: the take ends with its slot."""
        (got,) = speak(studio(translator=lambda: Shortener(SHORT)), part(0, LONG, 0.9))
        assert (got.outcome, got.fit.trimmed, got.fit.speed) == (Outcome.TRIMMED, True, 1.25)
        assert got.fit.duration_s == pytest.approx(0.9)


class TestVoices:
    def test_another_voice_speaks_when_the_cast_one_fails(self, studio: Make) -> None:
        """The fallback is of the same register, and the outcome says so."""
        (got,) = speak(studio(synthesizer=Speaker(VOICES[0].id)), part(0, LONG, 3))
        assert got.take is not None
        assert (got.take.voice, got.outcome) == (VOICES[2].id, Outcome.FALLBACK_VOICE)

    def test_a_line_that_no_voice_can_say_stays_silent(self, studio: Make) -> None:
        """Both fail: no take, no path, and the other lines are spoken."""
        speaker = Speaker(VOICES[0].id, VOICES[2].id)
        first, second = speak(
            studio(synthesizer=speaker),
            part(0, LONG, 3),
            replace(part(1, SHORT, 3), voice=VOICES[1]),
        )
        assert (first.take, first.path, first.outcome) == (None, None, Outcome.SILENT)
        assert second.outcome is Outcome.OK

    def test_without_wording_or_time_a_line_is_silent(self, studio: Make) -> None:
        """An empty wording is never sent to the engine; an empty slot is never filled."""
        speaker = Speaker()
        got = speak(studio(synthesizer=speaker), part(0, "", 3), part(1, SHORT, 0))
        assert [done.outcome for done in got] == [Outcome.SILENT, Outcome.SILENT]
        assert speaker.said == {}


class TestResuming:
    def test_finished_lines_are_not_said_again(self, studio: Make) -> None:
        """A second run with the same keeper synthesizes nothing and asks for nothing."""
        kept, speaker = Kept(), Speaker()
        parts = [part(0, LONG, 3), part(1, LONG + ".", 1.5)]
        first = speak(
            studio(keeper=kept, synthesizer=speaker, translator=lambda: Shortener(SHORT)), *parts
        )
        assert speaker.said.total() == 3
        again = Speaker()
        assert speak(studio(keeper=kept, synthesizer=again), *parts) == first
        assert again.said == {}

    def test_a_line_not_settled_yet_gets_its_shorter_wording(self, studio: Make) -> None:
        """Interrupted between the first take and the second, only the second is made."""
        kept, speaker = Kept(), Speaker()
        line = part(0, LONG, 1.5)

        def crash() -> Translator:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            speak(studio(keeper=kept, translator=crash), line)
        (got,) = speak(
            studio(keeper=kept, synthesizer=speaker, translator=lambda: Shortener(SHORT)), line
        )
        assert speaker.said == {SHORT: 1}
        assert got.outcome is Outcome.RETRIED

    @pytest.mark.parametrize("changed", [part(0, SHORT, 3), part(0, LONG, 2.9)])
    def test_another_wording_or_slot_is_another_take(self, studio: Make, changed: Part) -> None:
        """A kept take is used for what it was made from, nothing else."""
        kept, speaker = Kept(), Speaker()
        speak(studio(keeper=kept), part(0, LONG, 3))
        speak(studio(keeper=kept, synthesizer=speaker), changed)
        assert speaker.said.total() == 1

    def test_cancelling_keeps_what_is_finished(self, studio: Make) -> None:
        """Cancelled after the second line: two takes are kept, and the third comes first then."""
        kept, speaker = Kept(), Speaker()
        parts = [part(n, f"{SHORT} {'abcd'[n]}", 3) for n in range(4)]
        made = studio(keeper=kept, synthesizer=speaker, cancelled=lambda: speaker.said.total() == 2)
        with pytest.raises(JobCancelled):
            speak(made, *parts)
        assert sorted(kept.takes) == [0, 1]
        again = Speaker()
        speak(studio(keeper=kept, synthesizer=again), *parts)
        assert list(again.said) == [f"{SHORT} c", f"{SHORT} d"]


def test_progress_is_in_seconds_of_lines(studio: Make) -> None:
    """Progress ends at the length of all lines and never runs backwards."""
    seen: list[tuple[float, float]] = []
    made = studio(progress=lambda done, total: seen.append((done, total)))
    speak(made, *[part(n, SHORT, 3) for n in range(3)])
    assert seen == [(2, 6), (4, 6), (6, 6)]


@pytest.mark.parametrize("speed", [1.02, 1.1, 1.25])
def test_speed_changes_the_length_and_not_the_pitch(studio: Make, speed: float) -> None:
    """The sped-up file is shorter by the factor, to 40 ms, at the pitch that it had."""
    (got,) = speak(studio(translator=Shortener), part(0, LONG, 2.4 / speed))
    assert got.take is not None
    assert got.path is not None
    assert got.path != got.take.path
    plain, rate = soundfile.read(got.take.path)
    fast, fast_rate = soundfile.read(got.path)
    assert rate == fast_rate
    assert len(fast) / rate == pytest.approx(got.fit.duration_s, abs=0.04)

    def pitch_hz(samples: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 2**18))
        return float(np.argmax(spectrum) * float(rate) / 2**18)

    assert pitch_hz(fast) == pytest.approx(pitch_hz(plain), rel=0.005)
    assert np.abs(fast).max() == pytest.approx(np.abs(plain).max(), rel=0.1)


def test_the_shortest_takes_survive_a_change_of_speed(studio: Make) -> None:
    """A third of a second, cut to the slot, is still sound."""
    (got,) = speak(studio(translator=Shortener), part(0, "Sí", 0.25))
    assert got.path is not None
    samples, rate = soundfile.read(got.path)
    assert len(samples) / rate == pytest.approx(0.24, abs=0.05)
    assert np.abs(samples).max() > 0.1


class _Pausing(FakeSynthesizer):
    """Says every text as two tones with half a second of silence between them."""

    def synthesize(self, text: str, **given: Any) -> Speech:
        speech = super().synthesize(text, **given)
        samples, rate = soundfile.read(speech.path)
        half = len(samples) // 2
        pause = np.zeros(round(0.5 * rate))
        soundfile.write(speech.path, np.concatenate([samples[:half], pause, samples[half:]]), rate)
        return replace(speech, duration_s=speech.duration_s + 0.5)


class TestPlanned:
    def test_a_pause_is_shortened_before_speech_is_sped_up(self, studio: Make) -> None:
        """0.2 s too long with a pause of 0.5 s: the file is that much shorter, at its own rate."""
        made = studio(synthesizer=_Pausing(), translator=Shortener)
        (got,) = speak(made, part(0, LONG, 2.7))
        assert got.take is not None
        assert got.path is not None
        assert got.take.duration_s == pytest.approx(2.9, abs=0.01)
        assert (got.fit.speed, got.fit.why, got.outcome) == (1.0, WHY_PAUSES, Outcome.OK)
        assert got.fit.cut_s == pytest.approx(0.2, abs=0.01)
        assert soundfile.info(got.path).duration == pytest.approx(2.7, abs=0.01)

    def test_pauses_are_kept_where_there_is_room(self, studio: Make) -> None:
        """A take that fits keeps its pause and its file."""
        (got,) = speak(studio(synthesizer=_Pausing()), part(0, LONG, 3))
        assert got.take is not None
        assert (got.path, got.fit.cut_s) == (got.take.path, 0)

    def test_a_cut_take_ends_in_its_pause(self, studio: Make) -> None:
        """Far too long, it ends with the word before the pause, not inside the one after it."""
        made = studio(synthesizer=_Pausing(), translator=Shortener)
        (got,) = speak(made, part(0, LONG, 1.3))
        assert (got.outcome, got.fit.speed) == (Outcome.TRIMMED, 1.25)
        assert got.fit.duration_s == pytest.approx((1.2 + 0.05) / 1.25, abs=0.02)
        assert "cut at a word" in got.fit.why

    def test_a_take_that_says_much_less_is_slowed_and_centred(self, studio: Make) -> None:
        """1.26 s in place of 2: at 0.9, and 125 ms later than the original."""
        (got,) = speak(studio(), part(0, SHORT, 3))
        assert got.path is not None
        assert (got.fit.speed, got.fit.why) == (0.9, ("slowed", "centred"))
        assert got.placed_s == pytest.approx(0.1)
        assert soundfile.info(got.path).duration == pytest.approx(1.4, abs=0.04)

    def test_only_takes_that_are_too_long_are_looked_into(
        self, studio: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nobody reads the audio of a take that fits."""
        looked: list[str] = []

        def look(path: Path, text: str) -> TakeShape:
            looked.append(text)
            return TakeShape()

        monkeypatch.setattr("dubarr_watch.dubbing.speaking.take_shape", look)
        speak(studio(translator=Shortener), part(0, LONG, 3), part(1, f"{LONG} y", 2))
        assert looked == [f"{LONG} y"]
