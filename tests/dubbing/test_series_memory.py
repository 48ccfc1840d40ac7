"""What episodes of a series know of each other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dubarr_watch.dubbing.series_memory import SeriesMemory, carried
from dubarr_watch.engines.base import EMPTY_FILM, EngineSpec, FilmContext
from dubarr_watch.engines.registry import specs_for
from dubarr_watch.engines.texts import Address, Character, Term
from dubarr_watch.errors import EngineCrashed
from dubarr_watch.settings import Profile
from dubarr_watch.store import Store
from dubarr_watch.store.glossary import StoryRecord
from dubarr_watch.store.records import JobState
from tests.composing import Call, Shop, make_talk, open_shop
from tests.full_fakes import UnderstandingTranslator

TV = Path("/tv")
ANN = Character("Ann", "female", 0, "curt", Address.FORMAL, ("Bob",))
FIRST = FilmContext("Ann arrives.", (ANN,), (Term("Ann", "Ana"), Term("Bree", "Bri")))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "dubarr.db") as opened:
        yield opened


def memory(store: Store, name: str) -> SeriesMemory:
    return SeriesMemory.of(TV / name, TV, store.glossary)


def episode(store: Store, number: int, season: int = 1, show: str = "Show (2020)") -> SeriesMemory:
    name = f"{show}/Season {season:02}/Show - S{season:02}E{number:02}.mkv"
    return memory(store, name)


class TestRemembering:
    def test_a_later_episode_knows_terms_people_and_what_happened(self, store: Store) -> None:
        episode(store, 1).remember("es", FIRST)
        known = episode(store, 2).earlier("es")
        assert known.summary == "Ann arrives."
        assert known.characters == (replace(ANN, speaker=None),)
        assert set(known.glossary) == set(FIRST.glossary)
        assert episode(store, 1, season=2).earlier("es") == known

    def test_an_episode_that_is_dubbed_again_is_not_told_of_itself(self, store: Store) -> None:
        """Only its terms stay."""
        episode(store, 1).remember("es", FIRST)
        again = episode(store, 1).earlier("es")
        assert (again.summary, again.characters) == ("", ())
        assert set(again.glossary) == set(FIRST.glossary)

    @pytest.mark.parametrize("other", ["fr", "first", "show", "film"])
    def test_others_do_not(self, store: Store, other: str) -> None:
        """Another language, series or film; what happens later is not told before."""
        episode(store, 2).remember("es", replace(FIRST, glossary=()))
        asked = {
            "fr": (episode(store, 3), "fr"),
            "first": (episode(store, 1), "es"),
            "show": (episode(store, 3, show="Other"), "es"),
            "film": (memory(store, "Film (1999)/Film.mkv"), "es"),
        }[other]
        assert asked[0].earlier(asked[1]) == EMPTY_FILM

    def test_what_was_decided_first_stays(self, store: Store) -> None:
        episode(store, 1).remember("es", FIRST)
        episode(store, 2).remember("es", FilmContext(glossary=(Term("bree", "Brí"),)))
        assert Term("Bree", "Bri") in episode(store, 3).earlier("es").glossary

    def test_only_the_last_episodes_are_told(self, store: Store) -> None:
        for number in range(1, 6):
            episode(store, number).remember("es", FilmContext(f"Part {number}."))
        assert episode(store, 6).earlier("es").summary == "Part 3. Part 4. Part 5."

    def test_a_film_knows_what_a_person_decided_for_it(self, store: Store) -> None:
        film = memory(store, "Film (1999)/Film.mkv")
        film.remember("es", FIRST)
        assert film.earlier("es") == EMPTY_FILM
        store.glossary.set(film.scope, "es", "Ann", "Anita")
        assert film.earlier("es").glossary == (Term("Ann", "Anita"),)

    def test_what_another_version_wrote_is_passed_over(self, store: Store) -> None:
        scope = episode(store, 1).scope
        store.glossary.tell(StoryRecord(scope, "es", 1, 1, '{"summary": 5'))
        assert episode(store, 2).earlier("es") == EMPTY_FILM

    def test_what_people_say_of_terms_counts_at_once_and_nothing_else_does(
        self, store: Store
    ) -> None:
        """Of terms that are known, new, and forgotten; what another episode decided waits."""
        here = episode(store, 2)
        episode(store, 1).remember("es", FIRST)
        known = here.earlier("es")
        assert here.corrected("es", known) == known
        episode(store, 3).remember("es", FilmContext("Later.", (), (Term("Cy", "Sai"),)))
        assert here.corrected("es", known) == known
        store.glossary.set(here.scope, "es", "Ann", "Anita")
        store.glossary.set(here.scope, "es", "Dee", "Di")
        store.glossary.forget(here.scope, "Bree")
        now = here.corrected("es", known)
        assert set(now.glossary) == {Term("Ann", "Anita"), Term("Dee", "Di")}
        assert replace(now, glossary=()) == replace(known, glossary=())


class TestCarrying:
    def test_a_decided_term_gender_and_address_stay(self) -> None:
        now = FilmContext(
            "Ann leaves.",
            (Character("ann", "male", 3, "", Address.INFORMAL), Character("Cy", "male", 1)),
            (Term("BREE", "Bree"), Term("Cy", "Sai")),
        )
        found = carried(now, replace(FIRST, characters=(replace(ANN, speaker=None),)))
        assert found.summary == "Ann leaves."
        assert found.characters[0] == Character(
            "ann", "female", 3, "curt", Address.FORMAL, ("Bob",)
        )
        assert found.characters[1] == now.characters[1]
        assert found.glossary == (*FIRST.glossary, Term("Cy", "Sai"))

    def test_what_was_not_known_is_learned(self) -> None:
        before = FilmContext(characters=(Character("Ann"),))
        assert carried(FilmContext("", (ANN,)), before).characters == (ANN,)

    def test_who_is_only_named_is_known_still(self) -> None:
        before = FilmContext(characters=(replace(ANN, speaker=None),))
        assert carried(FilmContext("x"), before).characters == before.characters


class TestEpisodes:
    def test_an_episode_is_understood_with_the_ones_before(self, tmp_path: Path) -> None:
        """Its analysis is told, its translation keeps to it, and the database has it."""
        model = UnderstandingTranslator
        model.analysed.clear()
        model.translated.clear()
        with open_shop(tmp_path) as shop:
            shop.specs = replace(
                specs_for(Profile.FULL, shop.settings),
                translator=EngineSpec("tests.full_fakes:UnderstandingTranslator"),
            )
            for number, seconds in ((1, 8.0), (2, 8.2)):
                path = shop.videos / f"Show (2020)/Season 01/Show - S01E0{number}.mkv"
                path.parent.mkdir(parents=True, exist_ok=True)
                assert shop.dub(make_talk(path, seconds)).job.state is JobState.DONE
            first, second = model.analysed
            assert first.earlier == EMPTY_FILM
            assert second.earlier.summary == "A talk."
            assert second.earlier.glossary == model.film.glossary
            assert model.translated[-1].film.glossary == model.film.glossary
            scope = f"{shop.videos}/Show (2020)\nshow"
            assert [one.spoken for one in shop.store.glossary.terms(scope, "es")] == ["Ana"]

    @pytest.mark.parametrize("profile", [Profile.EMBEDDED, Profile.FULL])
    def test_a_term_that_is_set_before_a_retry_is_kept_to(
        self, tmp_path: Path, profile: Profile
    ) -> None:
        """Without it a job that goes on asks nothing again."""
        model = UnderstandingTranslator
        model.translated.clear()
        with open_shop(tmp_path) as shop:
            translator = EngineSpec("tests.full_fakes:UnderstandingTranslator")
            shop.specs = replace(specs_for(profile, shop.settings), translator=translator)

            def crash(call: Call) -> None:
                if call.method == "voice_activity":
                    raise EngineCrashed("It was killed.")

            path = shop.videos / "Show (2020)/Season 01/Show - S01E01.mkv"
            path.parent.mkdir(parents=True)
            job = shop.enqueue(make_talk(path))
            shop.spy.before = crash
            shop.run(job)
            asked = len(model.translated)
            shop.run(job)
            assert len(model.translated) == asked
            scope = SeriesMemory.of(path, shop.videos.absolute(), shop.store.glossary).scope
            shop.store.glossary.set(scope, "es", "Whatever", "Lo que sea")
            shop.spy.before = lambda call: None
            assert shop.run(job).job.state is JobState.DONE
            assert len(model.translated) > asked
            assert Term("Whatever", "Lo que sea") in model.translated[-1].film.glossary

    def test_what_a_person_set_goes_along_on_both_profiles(self, tmp_path: Path) -> None:
        """Also where no model understands the film."""
        model = UnderstandingTranslator
        for profile in (Profile.EMBEDDED, Profile.FULL):
            model.translated.clear()
            (tmp_path / profile.value).mkdir()
            with open_shop(tmp_path / profile.value) as shop:
                shop.specs = replace(
                    specs_for(profile, shop.settings),
                    translator=EngineSpec("tests.full_fakes:UnderstandingTranslator"),
                )
                film = make_talk(shop.videos / "Film.mkv")
                scope = SeriesMemory.of(film, shop.videos, shop.store.glossary).scope
                shop.store.glossary.set(scope, "es", "Ann", "Anita")
                shop.dub(film)
            assert Term("Ann", "Anita") in model.translated[0].film.glossary
            assert Term("Ann", "Ana") not in model.translated[0].film.glossary


def test_a_line_said_otherwise_changes_no_term(tmp_path: Path) -> None:
    """`redo --text` is about one line; `glossary --set` about all that follow."""
    with open_shop(tmp_path) as shop:
        film = make_talk(shop.videos / "Film.mkv")
        scope = SeriesMemory.of(film, shop.videos, shop.store.glossary).scope
        shop.store.glossary.set(scope, "es", "Ann", "Anita")
        job = shop.dub(film).job
        _redo(shop, job.id)
        (term,) = shop.store.glossary.terms(scope)
        assert term.spoken == "Anita"
        path = shop.settings.reports_dir / f"{job.id}.es.json"
        assert json.loads(path.read_text())["lines"][0]["text"] == "Otra cosa."


def _redo(shop: Shop, job: int) -> None:
    from dubarr_watch.dubbing.redo import Redo
    from dubarr_watch.dubbing.workspace import JobControl
    from dubarr_watch.languages import parse_language

    record = shop.store.jobs.get(job)
    pipeline = shop.runner().pipeline
    control = JobControl(lambda stage, share: None, job=job)
    Redo(shop.settings, shop.store, pipeline.host, pipeline.specs, record, control).line(
        parse_language("es"), 0, "Otra cosa."
    )
