"""Wordings that will not fit, told before they are spoken."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dubarr_watch.dubbing.durations import DurationBook
from dubarr_watch.dubbing.fitting import Outcome, Take
from dubarr_watch.dubbing.foresight import FORESEEN
from dubarr_watch.dubbing.speaking import FittedTake, Part, Studio, speak_lines
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.engines.base import (
    EMPTY_FILM,
    EngineSpec,
    FilmContext,
    Progress,
    ShortenRequest,
    Span,
    Speech,
    no_progress,
)
from dubarr_watch.engines.fakes import FakeSynthesizer, FakeTranslator
from dubarr_watch.engines.registry import specs_for
from dubarr_watch.settings import Profile
from tests.composing import Shop, make_talk, open_shop
from tests.waiting import eventually

VOICES = FakeSynthesizer().voices("es")
CHAR_S = 0.06
SOURCE = "This is what the original says here."
LONG = "cuarenta letras de texto en una linea ya"
HALF = "solo veinte letras ya"


class Desk(FakeTranslator):
    """Shortens to the wordings it is given; `events` has what was asked and said, in order."""

    def __init__(self, events: list[object], *wordings: str) -> None:
        super().__init__()
        self.events, self.wordings = events, wordings
        self.asked: list[ShortenRequest] = []

    def shorten(
        self,
        target: str,
        texts: Sequence[ShortenRequest],
        *,
        film: FilmContext = EMPTY_FILM,
        progress: Progress = no_progress,
    ) -> Mapping[int, tuple[str, ...]]:
        self.events.append([text.id for text in texts])
        self.asked += texts
        return {text.id: self.wordings for text in texts}


class Voice(FakeSynthesizer):
    """Says a text at its pace, and some texts slower than anybody could know.

    Args:
        events: What it says is noted here.
        slow: By text, how much slower.
    """

    def __init__(self, events: list[object], **slow: float) -> None:
        super().__init__()
        self.events, self.slow = events, slow

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
        self.events.append(text)
        drawl = 1 / self.slow.get(text.split()[0], 1.0)
        return super().synthesize(text, language=language, voice=voice, speed=drawl, target=target)


class Kept:
    def __init__(self) -> None:
        self.takes: dict[int, tuple[str, Take, bool]] = {}

    def load(self, index: int, key: str) -> tuple[Take, bool] | None:
        kept = self.takes.get(index)
        return (kept[1], kept[2]) if kept and kept[0] == key else None

    def save(self, key: str, take: Take, *, settled: bool) -> None:
        self.takes[take.index] = (key, take, settled)


@pytest.fixture
def book(tmp_path: Path) -> DurationBook:
    """Knows exactly how fast the voice speaks."""
    made = DurationBook(tmp_path / "durations.json")
    lengths = [*range(10, 60, 2)] * 40
    made.learn(
        "es",
        [
            Take(n, Path("x.wav"), "x" * chars, VOICES[0].id, CHAR_S * chars, 1, Outcome.OK)
            for n, chars in enumerate(lengths)
        ],
    )
    return made


@pytest.fixture
def events() -> list[object]:
    return []


Make = Callable[..., Studio]


@pytest.fixture
def studio(tmp_path: Path, book: DurationBook, events: list[object]) -> Make:
    def make(*wordings: str, desk: Desk | None = None, **changes: object) -> Studio:
        translator = desk or Desk(events, *wordings)
        plain = Studio(
            "es", tmp_path / "takes", VOICES, Voice(events), lambda: translator, Kept(), 1.25,
            durations=book,
        )  # fmt: skip
        return replace(plain, **changes)  # type: ignore[arg-type]

    return make


def part(index: int, text: str, slot_s: float) -> Part:
    start_s = index * 10.0
    line = Line(index, start_s, start_s + slot_s, 0, SOURCE, index)
    return Part(line, text, Span(start_s, start_s + slot_s), VOICES[0])


def attempts(done: FittedTake) -> int:
    assert done.take is not None
    return done.take.attempts


class TestBeforeAnythingIsSpoken:
    def test_only_the_wording_that_fits_best_is(self, studio: Make, events: list[object]) -> None:
        """Of three the longest that will fit, in one take and at its own rate."""
        wordings = (f"{HALF} otra vez hoy", f"{HALF} hoy", "solo ya")
        (got,) = speak_lines([part(0, LONG, 1.6)], studio(*wordings))
        assert events == [[0], wordings[1]]
        assert (attempts(got), got.outcome, got.fit.speed) == (1, Outcome.OK, 1.0)

    def test_the_length_asked_for_is_what_the_voice_can_say(
        self, studio: Make, events: list[object]
    ) -> None:
        """A second and a half at 0.06 s a letter: 25 letters."""
        desk = Desk(events, HALF)
        speak_lines([part(0, LONG, 1.5)], studio(desk=desk))
        (asked,) = desk.asked
        assert (asked.text, asked.source_text) == (LONG, SOURCE)
        assert asked.max_chars == pytest.approx(25, abs=1)

    @pytest.mark.parametrize(("times", "first"), [(FORESEEN - 0.02, LONG), (FORESEEN + 0.02, [0])])
    def test_what_may_fit_is_spoken_first(
        self, studio: Make, events: list[object], times: float, first: object
    ) -> None:
        """A prediction within a twentieth is no reason to shorten anything."""
        speak_lines([part(0, LONG, len(LONG) * CHAR_S / times)], studio(HALF))
        assert events[0] == first

    def test_without_a_shorter_wording_it_is_said_as_it_is_once(
        self, studio: Make, events: list[object]
    ) -> None:
        """Nobody is asked twice for what there is not."""
        (got,) = speak_lines([part(0, LONG, 2.0)], studio())
        assert events == [[0], LONG]
        assert attempts(got) == 1
        assert got.fit.speed == pytest.approx(1.2, abs=0.01)

    def test_who_shares_a_device_does_not_speak_meanwhile(
        self, studio: Make, events: list[object]
    ) -> None:
        """All that will not fit is asked for at once, then everything is spoken in order."""
        parts = [
            part(0, HALF, 3),
            part(1, LONG, 1.5),
            part(2, HALF + " dos", 3),
            part(3, LONG, 1.4),
        ]
        speak_lines(parts, studio(HALF))
        assert events == [[1, 3], HALF, HALF, HALF + " dos", HALF]

    def test_who_does_not_speaks_what_fits(self, studio: Make, events: list[object]) -> None:
        """Side by side, the wordings are waited for by their own lines alone."""
        said = f"{HALF} uno"

        class Waiting(Desk):
            def shorten(self, *given: object, **more: object) -> Mapping[int, tuple[str, ...]]:
                eventually(lambda: said in events)
                return super().shorten(*given, **more)  # type: ignore[arg-type]

        parts = [part(0, said, 3), part(1, LONG, 1.5)]
        desk = Waiting(events, HALF)
        speak_lines(parts, studio(desk=desk, side_by_side=True))
        assert events == [said, [1], HALF]

    def test_what_is_kept_is_not_asked_for_again(self, studio: Make, events: list[object]) -> None:
        kept = Kept()
        first = speak_lines([part(0, LONG, 1.5)], studio(HALF, keeper=kept))
        events.clear()
        assert speak_lines([part(0, LONG, 1.5)], studio(keeper=kept)) == first
        assert events == []

    def test_where_nothing_is_known_nothing_is_foreseen(
        self, studio: Make, events: list[object]
    ) -> None:
        speak_lines([part(0, LONG, 1.5)], studio(HALF, durations=None))
        assert events == [LONG, [0], HALF]


class TestWordingsThatCameWithTheTranslation:
    OTHERS = (f"{HALF} otra vez hoy", f"{HALF} hoy", "solo ya")

    def test_the_one_that_fits_best_is_spoken_and_nobody_is_asked(
        self, studio: Make, events: list[object]
    ) -> None:
        (got,) = speak_lines([replace(part(0, LONG, 1.6), others=self.OTHERS)], studio(HALF))
        assert events == [self.OTHERS[1]]
        assert (attempts(got), got.outcome, got.fit.speed) == (1, Outcome.OK, 1.0)

    def test_what_fits_is_said_in_full(self, studio: Make, events: list[object]) -> None:
        speak_lines([replace(part(0, LONG, 2.5), others=self.OTHERS)], studio(HALF))
        assert events == [LONG]

    def test_where_none_fits_a_shorter_one_is_asked_for(
        self, studio: Make, events: list[object]
    ) -> None:
        asked = replace(part(0, LONG, 1.3), others=self.OTHERS[:2])
        speak_lines([asked], studio("veinte letras ya ya"))
        assert events == [[0], "veinte letras ya ya"]

    def test_a_take_that_came_out_too_long_is_replaced_by_them(
        self, studio: Make, events: list[object]
    ) -> None:
        """Half as slow again as was predicted: 27 letters in 2.5 s, where 40 were to fit."""
        voice = Voice(events, cuarenta=1.5)
        asked = replace(part(0, LONG, 2.5), others=self.OTHERS)
        (got,) = speak_lines([asked], studio(HALF, synthesizer=voice))
        assert events == [LONG, self.OTHERS[1]]
        assert attempts(got) == 2

    def test_a_take_remembers_them(self) -> None:
        """Another choice is another take."""
        plain = part(0, LONG, 1.6)
        assert replace(plain, others=self.OTHERS).key != plain.key


class TestAPredictionThatErrs:
    """The first wording of a line is a shorter one, and takes longer than it should."""

    @pytest.mark.parametrize(("times", "takes"), [(1.1, 1), (1.25, 2)])
    def test_within_a_speed_that_nobody_hears_it_is_kept(
        self, studio: Make, events: list[object], times: float, takes: int
    ) -> None:
        """Else the next shorter one is spoken, without another question."""
        wordings = ("veinticuatro letras ya ya", "veinte letras si ya ya")
        voice = Voice(events, veinticuatro=times)
        (got,) = speak_lines([part(0, LONG, 1.5)], studio(*wordings, synthesizer=voice))
        assert events == [[0], *wordings[:takes]]
        assert attempts(got) == takes
        assert got.fit.speed <= 1.15

    def test_without_another_one_it_is_asked_for_once_more(
        self, studio: Make, events: list[object]
    ) -> None:
        """Of the wording that was spoken, and in the length that it showed."""
        only = "veinticuatro letras ya ya"
        desk = Desk(events, only)
        voice = Voice(events, veinticuatro=1.3)
        speak_lines([part(0, LONG, 1.5)], studio(desk=desk, synthesizer=voice))
        assert [asked.text for asked in desk.asked] == [LONG, only]
        assert desk.asked[1].max_chars == int(len(only) * 1.5 / (len(only) * CHAR_S * 1.3))


class Slow(FakeSynthesizer):
    """Takes nearly twice as long for a text as voices do."""

    def synthesize(self, text: str, **given: object) -> Speech:
        given["speed"] = 1 / 1.8
        return super().synthesize(text, **given)  # type: ignore[arg-type]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as shop:
        shop.specs = replace(
            shop.specs, synthesizer=EngineSpec("tests.dubbing.test_foresight:Slow")
        )
        yield shop


def test_attempts_fall_once_a_voice_is_known(shop: Shop) -> None:
    """Three jobs with one slow voice: what the first one learns asks the others for less."""
    takes, asked = [], []
    for name in ("One", "Two", "Three"):
        calls = len(shop.spy.calls)
        ended = shop.dub(make_talk(shop.videos / f"{name}.mkv", 64.0), "es")
        path = shop.settings.reports_dir / f"{ended.job.id}.es.json"
        takes.append(json.loads(path.read_text("utf-8"))["summary"]["takes_per_line"])
        (request,) = [
            call.values[0] for call in shop.spy.calls[calls:] if call.method == "translate"
        ]
        asked.append(request.texts[0].max_chars)
    assert takes == sorted(takes, reverse=True)
    assert takes[0] == 2.0
    assert takes[-1] <= 1.5
    assert asked[0] > asked[1] >= asked[2]


def test_a_large_model_is_asked_once_for_wordings_of_which_one_fits(shop: Shop) -> None:
    """Three lengths come with the translation once the voice is known to need so long."""
    synthesizer = shop.specs.synthesizer
    shop.specs = replace(specs_for(Profile.FULL, shop.settings), synthesizer=synthesizer)
    asked, shortened, takes = [], [], []
    for name in ("One", "Two", "Three"):
        calls = len(shop.spy.calls)
        ended = shop.dub(make_talk(shop.videos / f"{name}.mkv", 32.0), "es")
        made = shop.spy.calls[calls:]
        asked.append(
            {
                text.shorter
                for call in made
                if call.method == "translate"
                for text in call.values[0].texts
            }
        )
        shortened.append(sum(call.method == "shorten" for call in made))
        path = shop.settings.reports_dir / f"{ended.job.id}.es.json"
        takes.append(json.loads(path.read_text("utf-8"))["summary"]["takes_per_line"])
    assert (asked[0], asked[-1]) == ({0}, {0, 1, 2})
    assert (shortened[0], shortened[-1]) == (1, 0)
    assert takes[-1] < takes[0]
