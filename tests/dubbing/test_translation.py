"""Lines into another language."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubarr_watch.dubbing.asking import ALONE, BATCH_TEXTS, CONTEXT_TEXTS, Asking
from dubarr_watch.dubbing.durations import Law
from dubarr_watch.dubbing.subtitle_text import Cue
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.dubbing.translation import (
    MIN_BUDGET_CHARS,
    Origin,
    TranslatedLine,
    split_wording,
    translate_lines,
)
from dubarr_watch.dubbing.wording_checks import looks_wrong
from dubarr_watch.engines.base import (
    EMPTY_FILM,
    FilmContext,
    Progress,
    ShortenRequest,
    TranslationRequest,
    Translator,
    no_progress,
)
from dubarr_watch.engines.dispatch import Dispatcher
from dubarr_watch.engines.fakes import FakeTranslator
from dubarr_watch.errors import EngineError

Answer = Callable[[TranslationRequest], Mapping[int, str]]


class Scripted(FakeTranslator):
    """A translator that answers as it is told, and remembers what it was asked."""

    def __init__(self, answer: Answer, slots: int = 1) -> None:
        super().__init__()
        self.asked: list[TranslationRequest] = []
        self._answer = answer
        self._slots = slots

    @property
    def slots(self) -> int:
        return self._slots

    def translate(
        self, request: TranslationRequest, *, progress: Progress = no_progress
    ) -> Mapping[int, str]:
        self.asked.append(request)
        return self._answer(request)

    def shorten(
        self,
        target: str,
        texts: Sequence[ShortenRequest],
        *,
        film: FilmContext = EMPTY_FILM,
        progress: Progress = no_progress,
    ) -> Mapping[int, tuple[str, ...]]:
        raise AssertionError("nobody asked for shorter wordings")


LETTERS = "abcdefghijklmnopqrstuvwxyz"
ROTATED = str.maketrans(LETTERS, LETTERS[5:] + LETTERS[:5])


def rotated(request: TranslationRequest) -> dict[int, str]:
    """Translate well: other words, the same length, the right ids."""
    return {text.id: text.text.translate(ROTATED) for text in request.texts}


LAWS = {0: Law(0.0, 1 / 15)}


def line(index: int, text: str, *, sentence: int | None = None, lasts_s: float = 2.0) -> Line:
    start_s = index * 5.0
    return Line(index, start_s, start_s + lasts_s, 0, text, index if sentence is None else sentence)


def translated(
    lines: Sequence[Line],
    translator: Translator,
    *,
    cues: Sequence[Cue] = (),
    slots_s: Sequence[float] | None = None,
    asking: Asking = ALONE,
    progress: Progress = no_progress,
) -> list[TranslatedLine]:
    return translate_lines(
        lines,
        lambda: translator,
        source="en",
        target="es",
        slots_s=slots_s or [4.95] * len(lines),
        laws=LAWS,
        cues=cues,
        asking=asking,
        progress=progress,
    )


class TestWholeSentences:
    def test_a_sentence_is_sent_whole_and_split_where_the_source_pauses(self) -> None:
        """Three lines of one sentence are one text, and get its wording in proportion."""
        lines = [
            line(0, "It was the best of times,", sentence=0, lasts_s=2),
            line(1, "it was the worst", sentence=0, lasts_s=1),
            line(2, "of times.", sentence=0, lasts_s=1),
        ]
        spanish = "Era el mejor de los tiempos, era el peor de los tiempos."
        model = Scripted(lambda request: {text.id: spanish for text in request.texts})
        found = translated(lines, model)
        assert [text.text for request in model.asked for text in request.texts] == [
            "It was the best of times, it was the worst of times."
        ]
        assert found[0].text == "Era el mejor de los tiempos,"
        assert " ".join(said.text for said in found) == spanish
        assert all(said.origin is Origin.MODEL for said in found)

    def test_the_budget_is_the_slots_of_the_whole_sentence(self) -> None:
        """Characters that may be spoken: slots times rate, and a tenth."""
        model = Scripted(rotated)
        lines = [
            line(0, "One thing,", sentence=0),
            line(1, "or another.", sentence=0),
            line(2, "I"),
        ]
        translated(lines, model, slots_s=[2.0, 3.0, 0.1])
        assert [text.max_chars for text in model.asked[0].texts] == [82, MIN_BUDGET_CHARS]

    @pytest.mark.parametrize(("letters", "wordings"), [(95, 1), (96, 3)])
    def test_where_it_will_hardly_fit_three_lengths_are_asked_for_at_once(
        self, letters: int, wordings: int
    ) -> None:
        """The slot is for 100 letters, or 110 said faster; a translation has 15 % more."""
        text = ("abcdefg " * 20)[: letters - 1] + "."
        model = Scripted(
            lambda request: {text.id: "x y " * (20 - text.shorter) for text in request.texts}
        )
        slots_s, asking = [100 * LAWS[0].per_char_s], Asking(wordings=3)
        (found,) = translated([line(0, text)], model, slots_s=slots_s, asking=asking)
        (asked,) = model.asked
        assert [one.max_chars for one in asked.texts] == [110, 94, 77][:wordings]
        assert [one.shorter for one in asked.texts] == [0, 1, 2][:wordings]
        assert {one.text for one in asked.texts} == {text}
        assert (found.text, *found.others) == tuple(
            ("x y " * (20 - n)).strip() for n in range(wordings)
        )

    @pytest.mark.parametrize(("room", "said"), [(44, "long"), (43, "short"), (10, "short")])
    def test_of_a_sentence_in_several_lines_one_wording_is_said_as_a_whole(
        self, room: int, said: str
    ) -> None:
        """The longest that is predicted to fit, else the shortest."""
        wordings = {0: "Ha sido de verdad el mejor de los tiempos...", 2: "Era el mejor tiempo.",
                    4: "Era el mejor tiempo."}  # fmt: skip
        lines = [line(0, "It was the very best of times,", sentence=0),
                 line(1, "really it was, my friend.", sentence=0)]  # fmt: skip
        model = Scripted(lambda request: {text.id: wordings[text.id] for text in request.texts})
        slots_s, asking = [room * LAWS[0].per_char_s / 2] * 2, Asking(wordings=3)
        found = translated(lines, model, slots_s=slots_s, asking=asking)
        assert " ".join(one.text for one in found) == wordings[0 if said == "long" else 2]
        assert {one.others for one in found} == {()}

    def test_wordings_of_a_text_stay_together_and_are_context_once(self) -> None:
        lines = [line(n, f"This is line number {n} of many lines.") for n in range(4)]
        model = Scripted(rotated)
        asking = Asking(batch=2, before=2, after=2, wordings=3)
        translated(lines, model, slots_s=[0.5] * 4, asking=asking)
        assert [len(request.texts) for request in model.asked[:2]] == [6, 6]
        assert model.asked[0].after == (lines[2].text, lines[3].text)
        assert model.asked[1].before == (lines[0].text, lines[1].text)

    def test_a_shorter_wording_that_did_not_come_is_not_asked_for_again(self) -> None:
        """It is missed by nobody; nor is the first one, where a shorter one is there."""
        lines = [line(n, f"This is line number {n} of many lines.") for n in range(2)]
        model = Scripted(lambda request: {
            text.id: text.text.translate(ROTATED) for text in request.texts
            if not text.shorter or text.id == 1 + 2
        })  # fmt: skip
        found = translated(lines, model, slots_s=[0.5] * 2, asking=Asking(wordings=3))
        assert len(model.asked) == 1
        assert [one.text for one in found] == [one.text.translate(ROTATED) for one in lines]

    def test_batches_carry_what_came_before(self) -> None:
        """Ids come once each, in batches, with the sentences before as context."""
        lines = [line(n, f"This is line {n} of many.") for n in range(BATCH_TEXTS + 3)]
        model = Scripted(rotated)
        found = translated(lines, model)
        assert [len(request.texts) for request in model.asked] == [BATCH_TEXTS, 3]
        assert [text.id for request in model.asked for text in request.texts] == [*range(35)]
        assert model.asked[0].before == ()
        before = [lines[n].text for n in range(BATCH_TEXTS - CONTEXT_TEXTS, BATCH_TEXTS)]
        assert list(model.asked[1].before) == before
        assert [said.index for said in found] == [*range(35)]

    def test_batches_carry_what_follows_and_what_is_known_of_the_film(self) -> None:
        """As many sentences on both sides as the caller says, and the film with each batch."""
        lines = [line(n, f"This is line {n} of many.") for n in range(2 * BATCH_TEXTS)]
        model = Scripted(rotated)
        film = FilmContext(summary="Many lines.")
        translated(lines, model, asking=Asking(film=film, before=3, after=2))
        first, second = model.asked
        assert first.after == tuple(lines[BATCH_TEXTS + n].text for n in range(2))
        assert second.before == tuple(lines[BATCH_TEXTS - 3 + n].text for n in range(3))
        assert (second.after, first.film, second.film) == ((), film, film)

    def test_batches_are_asked_side_by_side_where_there_are_slots(self) -> None:
        """Two at a time: neither is answered before both were asked."""
        both = threading.Barrier(2, timeout=20)

        def together(request: TranslationRequest) -> dict[int, str]:
            both.wait()
            return rotated(request)

        model = Scripted(together, slots=2)
        lines = [line(n, f"This is line {n} of many.") for n in range(2 * BATCH_TEXTS)]
        seen: list[tuple[float, float]] = []
        with Dispatcher(1, 16, "translator") as queue:
            found = translated(
                lines, model, asking=Asking(dispatcher=queue),
                progress=lambda done, total: seen.append((done, total)),
            )  # fmt: skip
        assert all(said.origin is Origin.MODEL for said in found)
        assert seen == sorted(seen)
        assert seen[-1] == (64, 64)

    def test_a_batch_that_fails_drops_those_that_have_not_begun(self) -> None:
        """And what it raised is raised."""

        def fail(request: TranslationRequest) -> dict[int, str]:
            raise EngineError("It broke.")

        model = Scripted(fail, slots=2)
        lines = [line(n, f"This is line {n} of many.") for n in range(20 * BATCH_TEXTS)]
        with Dispatcher(1, 16, "translator") as queue, pytest.raises(EngineError, match="broke"):
            translated(lines, model, asking=Asking(dispatcher=queue))

    def test_progress_reaches_its_end(self) -> None:
        """Progress counts sentences and never runs backwards."""
        seen: list[tuple[float, float]] = []
        lines = [line(n, f"This is line {n} of many.") for n in range(40)]
        translated(lines, FakeTranslator(), progress=lambda done, total: seen.append((done, total)))
        assert seen == sorted(seen)
        assert seen[-1] == (40, 40)

    def test_the_shipped_fake_translates_every_line(self) -> None:
        """Mock mode works: nothing that the fake says looks wrong."""
        lines = [line(n, "What people say when nobody has listened.") for n in range(3)]
        assert all(said.origin is Origin.MODEL for said in translated(lines, FakeTranslator()))

    def test_nothing_to_say_needs_no_engine(self) -> None:
        """Without a line the engine is never started."""

        def never() -> Translator:
            raise AssertionError("started")

        found = translate_lines(
            [], never, source="en", target="es", slots_s=[], laws={}
        )  # fmt: skip
        assert found == []


class TestBadAnswers:
    LINES = (
        line(0, "The first sentence is about a big dog."),
        line(1, "The second sentence is about 42 grey cats."),
        line(2, "The third sentence is about 7 old mice."),
    )

    def test_what_is_missing_is_asked_for_again_alone(self) -> None:
        """An id that is left out comes back in a request of its own, with its context."""

        def forgetful(request: TranslationRequest) -> dict[int, str]:
            found = rotated(request)
            if len(request.texts) > 1:
                del found[1]
            return found

        model = Scripted(forgetful)
        found = translated(self.LINES, model)
        assert [[text.id for text in request.texts] for request in model.asked] == [[0, 1, 2], [1]]
        assert model.asked[1].before == (self.LINES[0].text,)
        assert found[1].text == self.LINES[1].text.translate(ROTATED)

    def test_what_stays_missing_is_left_out(self) -> None:
        """A line without a translation has no wording: its source is never spoken."""
        found = translated(self.LINES, Scripted(lambda request: {}))
        assert [(said.text, said.origin) for said in found] == [("", Origin.MISSING)] * 3

    def test_source_text_is_never_spoken(self) -> None:
        """A model that gives the source back has translated nothing."""
        echo = Scripted(lambda request: {text.id: text.text for text in request.texts})
        lines = [*self.LINES, line(3, "Thank you.")]
        assert {said.origin for said in translated(lines, echo)} == {Origin.MISSING}
        assert len(echo.asked) == 1 + len(lines)

    def test_ids_nobody_asked_for_are_ignored(self) -> None:
        """An invented id puts its text nowhere."""
        model = Scripted(lambda request: {**rotated(request), 99: "De nadie.", -1: "Nada."})
        assert {said.index for said in translated(self.LINES, model)} == {0, 1, 2}

    def test_answers_that_slipped_by_one_are_refused(self) -> None:
        """Numbers tell that an answer belongs to the neighbour; asked alone it comes right."""
        spanish = ["Un perro muy grande.", "Unos 42 gatos grises.", "Los 7 ratones viejos."]

        def shifted(request: TranslationRequest) -> dict[int, str]:
            if len(request.texts) == 1:
                return {request.texts[0].id: spanish[request.texts[0].id]}
            return {text.id: spanish[(text.id + 1) % 3] for text in request.texts}

        found = translated(self.LINES, Scripted(shifted))
        assert found[1].text == spanish[1]

    def test_the_same_answer_for_two_sentences_is_refused(self) -> None:
        """A model that repeats itself is asked again for the second sentence."""

        def repeating(request: TranslationRequest) -> dict[int, str]:
            if len(request.texts) == 1:
                return {request.texts[0].id: "Otra cosa muy distinta de los gatos."}
            return {text.id: "Siempre la misma respuesta." for text in request.texts}

        lines = [line(0, "I have been here for years."), line(1, "Now she is going away.")]
        found = translated(lines, Scripted(repeating))
        assert [said.text for said in found] == [
            "Siempre la misma respuesta.",
            "Otra cosa muy distinta de los gatos.",
        ]

    def test_line_breaks_do_not_reach_the_voice(self) -> None:
        """A wording is one line of text."""
        model = Scripted(lambda request: {0: " Un perro \n grande. "})
        assert translated(self.LINES[:1], model)[0].text == "Un perro grande."

    @pytest.mark.parametrize(
        "answer",
        [
            "", "...", "Un perro.\n\nNote: a dog.", "```Un perro.```", "Un perro. (A big dog.)",
            "Translation: un perro muy grande.", "Un perro " * 30,
            "The first sentence is about a dog.", "Perro.",
        ],
        ids=["empty", "dots", "note below", "fence", "note behind", "label", "rambling", "source",
             "stump"],
    )  # fmt: skip
    def test_a_wrong_looking_answer_is_refused(self, answer: str) -> None:
        """Notes, labels, rambling, untouched source and stumps are never spoken."""
        assert looks_wrong("The first sentence is about a very big dog.", answer, 60)
        model = Scripted(lambda request: {text.id: answer for text in request.texts})
        lines = [line(0, "The first sentence is about a very big dog.")]
        assert translated(lines, model)[0].origin is Origin.MISSING

    @pytest.mark.parametrize(
        ("source", "answer"),
        [
            ("No, no.", "No, no."),
            ("Maria Callas!", "Maria Callas!"),
            ("OK", "OK"),
            ("In 1999 there were twenty of them.", "En 1999 había 20 de ellos."),
            ("I was twenty-five then.", "Yo tenía 25 años entonces."),
            ("It costs 1,000 dollars.", "Cuesta 1.000 dólares."),
            ("There were 12 of us.", "हम १२ लोग थे।"),
            ("I am going to the market tomorrow morning.", "我明天早上去市场。"),
            ("He said (quietly) nothing.", "No dijo (en voz baja) nada."),
            ("Hi!", "¡Hola, buenos días, amigo mío!"),
        ],
    )
    def test_a_good_answer_passes(self, source: str, answer: str) -> None:
        """Names, interjections, numbers in other forms and dense scripts are no mistakes."""
        assert not looks_wrong(source, answer, MIN_BUDGET_CHARS)

    @pytest.mark.parametrize(
        ("source", "answer", "wrong"),
        [
            ("It is 20 miles to the coast.", "Hasta la costa hay 32 kilómetros.", False),
            ("It was 90 degrees Fahrenheit.", "Hacía 32 grados.", False),
            ("It is 90° out there.", "Hace 32 grados ahí fuera.", False),
            ("It is 20 minutes to the coast.", "Hasta la costa hay 32 minutos.", True),
        ],
    )
    def test_units_may_be_converted_and_other_numbers_may_not(
        self, source: str, answer: str, wrong: bool
    ) -> None:
        """Whoever dubs turns miles into kilometres; 20 minutes stay 20."""
        assert looks_wrong(source, answer, 60) is wrong


class TestSubtitles:
    LINES = (line(0, "I am here."), line(1, "You are not."), line(2, "Who is it then?"))

    def test_their_wording_is_used_where_they_lie(self) -> None:
        """Subtitles win over the model, which is asked for the rest alone."""
        model = Scripted(rotated)
        found = translated(self.LINES, model, cues=[Cue(4.8, 7.1, "Tú no estás.")])
        assert found[1] == TranslatedLine(1, "Tú no estás.", Origin.SUBTITLES)
        assert [text.id for text in model.asked[0].texts] == [0, 2]
        assert found[0].origin is found[2].origin is Origin.MODEL

    def test_a_line_that_goes_on_after_a_remark_has_its_cues(self) -> None:
        """One talks from 0 to 9 s, another from 5 to 7 s: a cue at 8 s is the first one's."""
        lines = [line(0, "I am here.", lasts_s=9.0), line(1, "You are not.")]
        cues = [Cue(7.8, 8.9, "Aquí."), Cue(9.5, 10, "SALIDA")]
        found = translated(lines, Scripted(rotated), cues=cues)
        assert found[0].text == "Aquí."
        assert found[1].origin is Origin.MODEL

    def test_subtitles_for_everything_start_no_engine(self) -> None:
        """With a whole subtitle file no model is loaded."""

        def never() -> Translator:
            raise AssertionError("started")

        cues = [Cue(n * 5.0, n * 5.0 + 2, f"Línea {n}") for n in range(3)]
        found = translate_lines(
            self.LINES, never, source="en", target="es", slots_s=[4.0] * 3, laws=LAWS,
            cues=cues,
        )  # fmt: skip
        assert [said.text for said in found] == ["Línea 0", "Línea 1", "Línea 2"]

    def test_several_cues_on_a_line_are_said_in_turn(self) -> None:
        """A long line may have two cues."""
        cues = [Cue(0, 0.9, "Yo\nestoy"), Cue(1.0, 1.9, "aquí.")]
        assert translated(self.LINES[:1], FakeTranslator(), cues=cues)[0].text == "Yo estoy aquí."

    def test_a_cue_over_two_lines_is_shared_between_them(self) -> None:
        """A cue is said once: its second half by the second line, not again by the model."""
        lines = [Line(0, 0, 2, 0, "I am here,", 0), Line(1, 2.7, 4.7, 0, "you are not.", 0)]
        found = translated(lines, FakeTranslator(), cues=[Cue(0, 4.7, "Yo estoy aquí, tú no.")])
        assert [said.text for said in found] == ["Yo estoy aquí,", "tú no."]

    def test_a_cue_that_only_brushes_a_line_is_not_said_there(self) -> None:
        """A cue that stays a moment too long belongs to its own line alone."""
        lines = [Line(0, 0, 2, 0, "I am here.", 0), Line(1, 2.1, 4.1, 0, "You are not.", 1)]
        cues = [Cue(0, 2.4, "Yo estoy aquí."), Cue(2.4, 4.2, "Tú no.")]
        found = translated(lines, FakeTranslator(), cues=cues)
        assert [said.text for said in found] == ["Yo estoy aquí.", "Tú no."]

    def test_a_cue_far_from_every_line_is_not_said(self) -> None:
        """A sign on a wall is nobody's line."""
        found = translated(self.LINES[:1], Scripted(rotated), cues=[Cue(3, 4, "SALIDA")])
        assert found[0].origin is Origin.MODEL

    @pytest.mark.parametrize(
        "shown",
        [
            "He counted 11 of them before noon.",  # not translated at all
            "Contó 12 antes del mediodía.",  # another line's
        ],
    )
    def test_a_cue_that_cannot_be_the_line_is_not_said(self, shown: str) -> None:
        """By its words and numbers; the model is asked then."""
        lines = [line(0, "He counted 11 of them before noon.")]
        model = Scripted(rotated)
        (said,) = translated(lines, model, cues=[Cue(0, 2, shown)])
        assert said.origin is Origin.MODEL
        (said,) = translated(lines, model, cues=[Cue(0, 2, "Contó 11 antes del mediodía.")])
        assert said.origin is Origin.SUBTITLES


class TestSplitWording:
    def test_breaks_prefer_punctuation(self) -> None:
        """The break falls after the comma, not where the count of letters says."""
        assert split_wording("Sí, pero nunca lo supe de verdad", [0.7, 2.0])[0] == "Sí,"

    def test_a_text_without_spaces_is_split_too(self) -> None:
        """Japanese and Chinese are broken between characters, numbers and names never."""
        assert split_wording("今日はとても、いい天気です。", [1.0, 1.0]) == [
            "今日はとても、",
            "いい天気です。",
        ]
        assert split_wording("我们在2024年去了London。", [1, 1])[0] == "我们在2024年去"

    def test_too_few_words_leave_pieces_empty(self) -> None:
        """Two words over three lines are not torn apart."""
        assert split_wording("Lo sé", [1, 1, 1]) == ["Lo", "sé", ""]

    @settings(max_examples=300, deadline=None)
    @given(
        st.lists(st.text("abcé,.今天", min_size=1, max_size=8), max_size=30),
        st.lists(st.floats(0, 20), min_size=1, max_size=8),
    )
    def test_pieces_join_to_the_same_text(self, words: list[str], durations_s: list[float]) -> None:
        """As many pieces as lines; nothing lost, doubled or out of order; none empty in vain."""
        text = " ".join(words)
        pieces = split_wording(text, durations_s)
        assert len(pieces) == len(durations_s)
        assert "".join(pieces).replace(" ", "") == text.replace(" ", "")
        assert pieces == [piece.strip() for piece in pieces]
        if len(words) >= len(durations_s):
            assert all(pieces)
