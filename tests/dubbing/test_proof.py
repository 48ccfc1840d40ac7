"""Takes transcribed back, and those made anew that do not say their text."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dubarr_watch.dubbing.fitting import Outcome, Take
from dubarr_watch.dubbing.hearing_back import Listener, deal_out
from dubarr_watch.dubbing.proof import WRONG_CER, WRONG_WER, Proof, compare
from dubarr_watch.dubbing.retakes import split_at_clauses
from dubarr_watch.dubbing.speaking import FittedTake, speak_lines
from dubarr_watch.dubbing.spoken_words import bare_words
from dubarr_watch.dubbing.studio import Part, Studio
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.engines.base import Span, Speech, Transcriber, Word
from dubarr_watch.engines.dispatch import Dispatcher, Dispatchers, Priority, Step
from dubarr_watch.engines.whisper_languages import WHISPER_LANGUAGES
from dubarr_watch.errors import EngineCrashed
from tests.telling_fakes import NOISE, HearingTranscriber, TellingSynthesizer

TEXTS = (
    "Esta es la primera frase, que todos entienden bien.",
    "Aquí viene la segunda, dicha con calma, y nada más.",
    "La tercera termina todo lo que había que decir.",
)
VOICES = TellingSynthesizer().voices("es")


class Kept:
    """A keeper in memory."""

    def __init__(self) -> None:
        self.takes: dict[int, tuple[str, Take, bool]] = {}

    def load(self, index: int, key: str) -> tuple[Take, bool] | None:
        kept = self.takes.get(index)
        return (kept[1], kept[2]) if kept and kept[0] == key else None

    def save(self, key: str, take: Take, *, settled: bool) -> None:
        self.takes[take.index] = (key, take, settled)


class Ears:
    """Opens a transcriber and counts how often, and how often it was asked."""

    def __init__(self, transcriber: HearingTranscriber, broken: int = 0) -> None:
        self.transcriber = transcriber
        self.opened = 0
        self.broken = broken
        self.threads: list[str] = []

    @contextmanager
    def __call__(self) -> Iterator[Transcriber]:
        self.opened += 1
        self.threads.append(threading.current_thread().name)
        if self.opened <= self.broken:
            raise EngineCrashed("It was killed.")
        yield self.transcriber

    @property
    def asked(self) -> int:
        return self.transcriber._calls


def part(index: int, text: str = "") -> Part:
    start_s = index * 10.0
    line = Line(index, start_s, start_s + 3, 0, "What it says.", index)
    return Part(line, text or TEXTS[index], Span(start_s, start_s + 8), VOICES[0])


PARTS = [part(0), part(1), part(2)]


def studio_of(tmp_path: Path, ears: Ears, speaker: TellingSynthesizer | None = None) -> Studio:
    (tmp_path / "takes").mkdir(exist_ok=True)

    def never() -> object:
        raise AssertionError("no other wording is needed")

    return Studio(
        "es", tmp_path / "takes", VOICES, speaker or TellingSynthesizer(), never, Kept(), 1.25,  # type: ignore[arg-type]
        listener=Listener(ears, "es", "ears", tmp_path / "heard.es.json"),
    )  # fmt: skip


def run(
    tmp_path: Path, speaker: TellingSynthesizer | None = None, deaf_for: int = 0
) -> tuple[list[FittedTake], Ears]:
    ears = Ears(HearingTranscriber(deaf_for=deaf_for))
    return speak_lines(PARTS, studio_of(tmp_path, ears, speaker)), ears


class TestWords:
    @pytest.mark.parametrize(
        ("written", "heard", "language"),
        [
            ("¡Hola, Señor!", "hola señor", "es"),
            ("Hay 25 personas.", "hay veinticinco personas", "es"),
            ("En 1.984 o 1984", "en mil novecientos ochenta y cuatro o 1984", "es"),
            ("S'il vous plaît !", "s’ il vous plaît", "fr"),
            ("21,5 Grad", "einundzwanzig Komma fünf Grad", "de"),
            ("El Sr. Ruiz va a 5 km.", "el señor ruiz va a 5 kilómetros", "es"),
            ("20%", "twenty percent", "en"),
            ("ab 5 %", "ab fünf prozent", "de"),
            ("你好，世界！", "你好 世界", "zh"),
            ("STRASSE Straße", "strasse strasse", "de"),
        ],
    )
    def test_what_is_written_otherwise_is_the_same_words(
        self, written: str, heard: str, language: str
    ) -> None:
        """Case, punctuation, apostrophes, numbers and spaces of unspaced languages do not count."""
        assert bare_words(written, language) == bare_words(heard, language)

    def test_a_language_whose_numbers_nobody_knows_keeps_its_digits(self) -> None:
        assert bare_words("x 12", "xx") == ["x", "12"]

    def test_the_languages_are_those_of_whisper(self) -> None:
        from faster_whisper.tokenizer import _LANGUAGE_CODES

        assert frozenset(_LANGUAGE_CODES) == WHISPER_LANGUAGES


class TestComparing:
    def test_word_and_letter_errors_are_shares_of_the_text(self) -> None:
        proof = compare("uno dos tres cuatro", ["uno", "dos", "tres"], "es")
        assert proof == Proof(0.25, 0.375, "uno dos tres")

    def test_a_name_spelled_otherwise_is_forgiven(self) -> None:
        """Half of the words, few of the letters."""
        proof = compare("Elizabeth llamó", ["elisabeth", "llamo"], "es")
        assert proof is not None
        assert (proof.wer, proof.wrong) == (1.0, False)

    @pytest.mark.parametrize(
        ("wer", "cer", "wrong"),
        [
            (WRONG_WER, WRONG_CER, True),
            (WRONG_WER - 0.01, 1.0, False),
            (1.0, WRONG_CER - 0.01, False),
        ],
    )
    def test_both_must_be_wrong(self, wer: float, cer: float, wrong: bool) -> None:
        assert Proof(wer, cer, "").wrong is wrong

    def test_a_text_without_words_cannot_be_compared(self) -> None:
        assert compare("...", ["hola"], "es") is None


def test_a_word_timed_into_the_next_take_goes_back_to_its_own() -> None:
    """Words that say what a text says belong there; strange ones stay where they were heard."""
    words = [Word(at, at + 0.2, text, 1.0) for at, text in
             [(0.1, "uno"), (1.9, "dos"), (2.2, "tres"), (3.0, "raro")]]  # fmt: skip
    dealt = deal_out(words, [["uno", "dos"], ["tres"]], [(0.0, 1.0), (2.0, 3.5)], "es")
    assert dealt == [["uno", "dos"], ["tres", "raro"]]


class TestProof:
    @pytest.mark.parametrize("again", [False, True])
    def test_the_voice_gets_the_spoken_form_and_the_line_keeps_the_written_one(
        self, tmp_path: Path, again: bool
    ) -> None:
        """In first takes and in those made anew; what is heard is compared with what was said."""
        speaker = TellingSynthesizer(stumble_on="kilómetros" if again else "", until="again")
        said: list[str] = []
        speak = speaker.synthesize

        def heard(text: str, **options: Any) -> Speech:
            said.append(text)
            return speak(text, **options)

        speaker.synthesize = heard  # type: ignore[method-assign]
        written = "El Sr. Ruiz anda 21 km a las 15:30."
        ears = Ears(HearingTranscriber())
        (done,) = speak_lines([part(0, written)], studio_of(tmp_path, ears, speaker))
        spoken = "El señor Ruiz anda veintiún kilómetros a las quince y treinta."
        assert said == [spoken] * (1 + again)
        assert done.take
        assert done.take.text == written
        assert done.proof
        assert done.proof.wer == 0

    def test_good_takes_are_heard_once_all_together(self, tmp_path: Path) -> None:
        fitted, ears = run(tmp_path)
        assert [done.proof.wer for done in fitted if done.proof] == [0.0, 0.0, 0.0]
        assert {done.outcome for done in fitted} == {Outcome.OK}
        assert (ears.opened, ears.asked) == (1, 1)
        assert not list(tmp_path.glob("*.wav"))

    @pytest.mark.parametrize(
        ("until", "attempts", "outcome"),
        [
            ("again1", 2, Outcome.RETRIED),
            ("again2", 3, Outcome.FALLBACK_VOICE),
            ("", 3, Outcome.MISSPOKEN),
        ],
    )
    def test_a_wrong_take_is_made_again_up_to_two_more_times(
        self, tmp_path: Path, until: str, attempts: int, outcome: Outcome
    ) -> None:
        """First split at a clause, then in another voice; the best is kept, and the rest alone."""
        fitted, _ = run(tmp_path, TellingSynthesizer(stumble_on="segunda", until=until))
        take, proof = fitted[1].take, fitted[1].proof
        assert take is not None
        assert proof is not None
        assert (take.attempts, fitted[1].outcome) == (attempts, outcome)
        assert proof.wrong is (until == "")
        assert proof.heard.startswith(NOISE) is (until == "")
        assert [fitted[n].take.attempts for n in (0, 2)] == [1, 1]  # type: ignore[union-attr]
        again = sorted(path.name for path in (tmp_path / "takes").glob("*again*"))
        assert again == [f"00001-again{n}.wav" for n in range(1, attempts)]

    def test_a_take_that_was_not_heard_is_heard_again_before_it_is_made_again(
        self, tmp_path: Path
    ) -> None:
        """Transcribers jump over a take now and then."""
        fitted, ears = run(tmp_path, deaf_for=1)
        assert ears.asked == 2
        assert [done.take.attempts for done in fitted if done.take] == [1, 1, 1]
        assert {done.outcome for done in fitted} == {Outcome.OK}

    def test_further_takes_wait_in_the_queue_of_all_requests(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As refinements of their job, in the order of the lines."""
        asked: list[Priority] = []
        submit = Dispatcher.submit

        def watched(queue: Dispatcher, work: Any, *, priority: Priority, **more: Any) -> Any:
            asked.append(priority)
            return submit(queue, work, priority=priority, **more)

        monkeypatch.setattr(Dispatcher, "submit", watched)
        speaker = TellingSynthesizer(stumble_on="e")  # a letter of every line
        made = studio_of(tmp_path, Ears(HearingTranscriber()), speaker)
        with Dispatchers() as shared:
            speak_lines(PARTS, replace(made, dispatchers=shared, job=7))
        further = [one for one in asked if one.step is Step.REFINE]
        assert further == [Priority(Step.REFINE, 7, line=line) for line in (0, 1, 2, 0, 1, 2)]

    def test_an_engine_that_refuses_another_take_keeps_the_first(self, tmp_path: Path) -> None:
        speaker = TellingSynthesizer(stumble_on="segunda", refuse="again")
        fitted, _ = run(tmp_path, speaker)
        assert fitted[1].outcome is Outcome.MISSPOKEN
        assert fitted[1].take is not None
        assert fitted[1].take.attempts == 1

    def test_what_was_heard_is_remembered_over_a_restart(self, tmp_path: Path) -> None:
        """The same takes are not listened to again; others, or another engine's ears, are."""
        ears = Ears(HearingTranscriber())
        studio = studio_of(tmp_path, ears)
        first = speak_lines(PARTS, studio)
        assert studio.listener is not None
        fresh = replace(studio.listener, _heard={})
        assert speak_lines(PARTS, replace(studio, listener=fresh)) == first
        assert ears.opened == 1
        other = replace(fresh, made_by="other ears", _heard={})
        assert speak_lines(PARTS, replace(studio, listener=other)) == first
        assert ears.opened == 2
        (tmp_path / "heard.es.json").write_text("no json")
        assert speak_lines(PARTS, replace(studio, listener=replace(fresh, _heard={}))) == first
        assert ears.opened == 3
        assert len(json.loads((tmp_path / "heard.es.json").read_text())) == 3


class TestAhead:
    @pytest.mark.parametrize("broken", [0, 3])
    def test_takes_are_heard_while_others_are_spoken(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: int
    ) -> None:
        """Where engines run side by side; what goes wrong ahead is heard in the end."""
        monkeypatch.setattr("dubarr_watch.dubbing.hearing_ahead.ENOUGH_S", 0.1)
        ears = Ears(HearingTranscriber(), broken)
        studio = replace(studio_of(tmp_path, ears), side_by_side=True)
        fitted = speak_lines(PARTS, studio)
        assert [done.proof.wer for done in fitted if done.proof] == [0.0, 0.0, 0.0]
        here = threading.current_thread().name
        assert ears.threads == ["hearing-ahead"] * 3 + [here] * (broken > 0)

    def test_nothing_is_heard_ahead_where_engines_take_turns(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("dubarr_watch.dubbing.hearing_ahead.ENOUGH_S", 0.1)
        _, ears = run(tmp_path)
        assert ears.threads == [threading.current_thread().name]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        (TEXTS[1], ["Aquí viene la segunda,", "dicha con calma, y nada más."]),
        ("Sin pausa ninguna", ["Sin pausa ninguna"]),
        ("Sí, claro que no", ["Sí, claro que no"]),
        ("大家早上好今天，我们开始工作吧今天", ["大家早上好今天，", "我们开始工作吧今天"]),
    ],
)
def test_a_text_is_split_where_it_pauses_nearest_to_its_middle(
    text: str, pieces: list[str]
) -> None:
    """Never into a piece of a word or two."""
    assert split_at_clauses(text) == pieces
