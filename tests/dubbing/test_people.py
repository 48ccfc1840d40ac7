"""Who speakers are: people heard before, matched by what they sound like."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dubarr_watch.dubbing.casting import Speaker
from dubarr_watch.dubbing.lasting_cast import cast_people
from dubarr_watch.dubbing.matching import assign
from dubarr_watch.dubbing.people import (
    APART,
    LEAST_S,
    SAME,
    Person,
    match_people,
    people_around,
    recognise,
)
from dubarr_watch.dubbing.pins import Recognised
from dubarr_watch.dubbing.voices import SpeakerVoice
from dubarr_watch.engines.base import Gender, Voice
from dubarr_watch.engines.voice_prints import Print
from dubarr_watch.store.people import AppearanceRecord
from dubarr_watch.store.records import VideoRecord, VideoState
from dubarr_watch.store.store import Store

ROOT = Path("/media")
ANNA, BERT, CLEO, DAVE = ("anna", "bert", "cleo", "dave")
AXES = {ANNA: 0, BERT: 1, CLEO: 2, DAVE: 3}


def like(**parts: float) -> Print:
    """Return a voice that has each person's to a share; the rest is nobody's."""
    voice = np.zeros(6)
    for name, share in parts.items():
        voice[AXES[name]] = share
    voice[5] = np.sqrt(max(0.0, 1 - float(voice @ voice)))
    return tuple(voice.tolist())


def voice(speaker: int, sound: Print, seconds: float = 20.0) -> SpeakerVoice:
    return SpeakerVoice(speaker, sound, seconds, 1.0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "dubarr.db")


def video(store: Store, path: str) -> VideoRecord:
    return store.videos.record(ROOT / path, 1, 1, path, VideoState.ARRIVED)


def people(store: Store, path: str, *voices: SpeakerVoice) -> list[int | None]:
    found, _ = recognise(store, video(store, path), ROOT, voices, "ears")
    return [one.person for one in found]


class TestMatching:
    def known(self, *sounds: Print) -> dict[int, np.ndarray[tuple[int], np.dtype[np.float64]]]:
        return {n: np.asarray(sound) for n, sound in enumerate(sounds, 7)}

    @pytest.mark.parametrize(("share", "who"), [(SAME + 0.001, {0: 7}), (SAME - 0.001, {})])
    def test_who_is_like_enough_is_the_same(self, share: float, who: dict[int, int]) -> None:
        assert match_people([voice(0, like(anna=share))], self.known(like(anna=1))) == who

    def test_who_is_like_two_people_is_neither(self) -> None:
        twins = self.known(like(anna=1), like(anna=0.9, bert=0.4))
        between = voice(0, like(anna=0.97, bert=0.2))
        assert match_people([between], twins) == {0: None}

    def test_two_who_are_like_one_person_are_not_both_them(self) -> None:
        one, other = voice(0, like(anna=0.98)), voice(1, like(anna=0.85))
        assert match_people([one, other], self.known(like(anna=1))) == {0: 7}

    def test_twins_who_are_both_there_are_told_apart(self) -> None:
        """Each alone could be either; together only one way round makes sense."""
        twins = self.known(like(anna=1), like(anna=0.85, bert=0.52))
        first = voice(0, like(anna=0.88, bert=0.45))
        second = voice(1, like(anna=0.96, bert=0.25))
        found = match_people([first, second], twins)
        assert found == {0: 8, 1: 7}

    def test_nobody_known_and_nothing_heard_are_no_match(self) -> None:
        assert match_people([voice(0, like(anna=1))], {}) == {}
        assert match_people([voice(0, ())], self.known(like(anna=1))) == {}

    def test_the_pairs_are_worth_most_together(self) -> None:
        """Against every possible pairing, of 200 tables."""
        rng = np.random.default_rng(4)
        for _ in range(200):
            rows, columns = rng.integers(1, 5), rng.integers(1, 5)
            worth = rng.uniform(-1, 1, (rows, columns))
            found = assign(worth)
            best = max(
                sum(max(worth[i, j], 0.0) for i, j in enumerate(order) if j < columns)
                for order in itertools.permutations(range(columns + rows), int(rows))
            )
            assert sum(worth[i, j] for i, j in found.items()) == pytest.approx(best)
            assert len(set(found.values())) == len(found)


class TestRecognising:
    def test_the_same_people_are_known_in_the_next_episode(self, store: Store) -> None:
        first = people(store, "Show/S01E01.mkv", voice(0, like(anna=1)), voice(1, like(bert=1)))
        again = people(
            store, "Show/Season 2/S02E01.mkv",
            voice(0, like(bert=0.9)), voice(1, like(cleo=1)), voice(2, like(anna=0.9)),
        )  # fmt: skip
        assert (again[0], again[2]) == (first[1], first[0])
        assert again[1] not in {None, *first}

    @pytest.mark.parametrize("path", ["Other/S01E01.mkv", "Film.mkv"])
    def test_people_of_other_series_and_films_are_others(self, store: Store, path: str) -> None:
        first = people(store, "Show/S01E01.mkv", voice(0, like(anna=1)))
        assert people(store, path, voice(0, like(anna=1))) != first
        assert people(store, "Another film.mkv", voice(0, like(anna=1))) != first

    def test_only_the_prints_of_its_own_series_are_read(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A library of thousands does not come into memory for each job."""
        for path in ("Show/S01E01.mkv", "Show/S01E02.mkv", "Other/S01E01.mkv", "Film.mkv"):
            people(store, path, voice(0, like(anna=1)))
        read: list[str] = []
        appearances = store.people.appearances

        def noted(*asked: Any) -> list[AppearanceRecord]:
            found = appearances(*asked)
            read.extend(one.path.name for one in found)
            return found

        monkeypatch.setattr(store.people, "appearances", noted)
        people(store, "Show/S01E03.mkv", voice(0, like(anna=1)))
        assert sorted(read) == ["S01E01.mkv", "S01E02.mkv"]
        read.clear()
        people(store, "Film.mkv", voice(0, like(anna=1)))
        assert read == ["Film.mkv"]

    def test_a_film_that_is_dubbed_again_has_the_same_people(self, store: Store) -> None:
        first = people(store, "Film.mkv", voice(0, like(anna=1)), voice(1, like(bert=1)))
        again = people(store, "Film.mkv", voice(0, like(bert=0.95)), voice(1, like(anna=0.95)))
        assert again == first[::-1]
        assert len(store.people.appearances("ears")) == 2

    def test_a_series_whose_folder_is_renamed_keeps_its_people(self, store: Store) -> None:
        first = people(store, "Show/S01E01.mkv", voice(0, like(anna=1)))
        store.videos.record(
            ROOT / "The Show/S01E01.mkv", 1, 1, "Show/S01E01.mkv", VideoState.ARRIVED,
            is_there=lambda path: False,
        )  # fmt: skip
        assert people(store, "The Show/S01E02.mkv", voice(0, like(anna=1))) == first

    def test_what_somebody_sounds_like_is_the_mean_of_all_episodes(self, store: Store) -> None:
        """Weighed by the speech that each print rests on, each episode once."""
        (anna,) = people(store, "Show/S01E01.mkv", voice(0, like(anna=1), 30.0))
        for _ in range(2):
            people(store, "Show/S01E02.mkv", voice(0, like(anna=0.9, bert=0.43), 10.0))
        found = people_around(store, video(store, "Show/S01E03.mkv"), ROOT, "ears")
        mean = 30 * np.asarray(like(anna=1)) + 10 * np.asarray(like(anna=0.9, bert=0.43))
        assert anna is not None
        assert found[anna] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-4)

    @pytest.mark.parametrize(("seconds", "kept"), [(LEAST_S, 1), (LEAST_S - 0.1, 0)])
    def test_little_speech_is_not_remembered(self, store: Store, seconds: float, kept: int) -> None:
        (person,) = people(store, "Show/S01E01.mkv", voice(0, like(anna=1), seconds))
        assert (person is not None) == bool(kept)
        assert len(store.people.ids()) == kept

    def test_little_speech_is_enough_to_be_known_again(self, store: Store) -> None:
        first = people(store, "Show/S01E01.mkv", voice(0, like(anna=1)))
        assert people(store, "Show/S01E02.mkv", voice(0, like(anna=0.9), 2.0)) == first

    def test_who_could_be_either_of_two_is_nobody_and_teaches_nothing(self, store: Store) -> None:
        people(store, "Show/S01E01.mkv", voice(0, like(anna=1)), voice(1, like(anna=0.7, bert=0.7)))
        between = voice(0, like(anna=0.92, bert=0.38))
        assert people(store, "Show/S01E02.mkv", between) == [None]
        assert len(store.people.ids()) == 2

    def test_a_second_half_of_a_speaker_is_not_somebody_new(self, store: Store) -> None:
        halves = (voice(0, like(anna=1), 30.0), SpeakerVoice(1, like(anna=0.9), 9.0, 0.4, like=0))
        assert people(store, "Show/S01E01.mkv", *halves)[1] is None
        assert len(store.people.ids()) == 1

    def test_what_another_model_heard_is_not_compared(self, store: Store) -> None:
        first = people(store, "Show/S01E01.mkv", voice(0, like(anna=1)))
        other, _ = recognise(
            store, video(store, "Show/S01E02.mkv"), ROOT, [voice(0, (1.0, 0.0))], "other ears"
        )
        assert [one.person for one in other] != first

    def test_who_is_new_in_two_episodes_at_once_is_new_once(self, tmp_path: Path) -> None:
        episodes, rounds = 4, 8
        path = tmp_path / "dubarr.db"
        for n in range(rounds):
            barrier = threading.Barrier(episodes)
            found: list[int | None] = []

            def episode(
                number: int, n: int = n, barrier: threading.Barrier = barrier,
                found: list[int | None] = found,
            ) -> None:  # fmt: skip
                with Store.open(path) as own:
                    barrier.wait(timeout=30)
                    found += people(own, f"Show {n}/S01E{number}.mkv", voice(0, like(anna=1)))

            threads = [threading.Thread(target=episode, args=(i,)) for i in range(episodes)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(timeout=60)
            assert len(found) == episodes
            assert len(set(found)) == 1, n


ES = [
    Voice("dora", "es", Gender.FEMALE, "kokoro", 0.9),
    Voice("luz", "es", Gender.FEMALE, "kokoro", 0.8),
    Voice("mar", "es", Gender.FEMALE, "kokoro", 0.7),
]
OTHERS = [
    Voice("coral", "es", Gender.FEMALE, "openai", 0.9),
    Voice("sage", "es", Gender.FEMALE, "openai", 0.8),
]
CLONE = Voice("clone", "es", Gender.FEMALE, "xtts", 1.0, cloned=True)


class TestCasting:
    def cast(
        self, store: Store, voices: list[Voice], *persons: int | None, language: str = "es",
        cloneable: tuple[int, ...] = (), around: tuple[int, ...] = (),
    ) -> list[str]:  # fmt: skip
        speakers = [Speaker(n, 210, 9 - n) for n in range(len(persons))]
        who = [Person(n, person) for n, person in enumerate(persons)]
        cast = cast_people(
            store, language, speakers, voices, cloneable=cloneable,
            recognised=Recognised(who, list(around)),
        )  # fmt: skip
        return [cast[n].id for n in range(len(persons))]

    @pytest.fixture
    def two(self, store: Store) -> tuple[int, int]:
        first = people(store, "Show/S01E01.mkv", voice(0, like(anna=1)), voice(1, like(bert=1)))
        assert first[0] is not None
        assert first[1] is not None
        return first[0], first[1]

    def test_a_person_keeps_the_voice_whoever_speaks_more(
        self, store: Store, two: tuple[int, int]
    ) -> None:
        anna, bert = two
        assert self.cast(store, ES, anna, bert) == ["dora", "luz"]
        assert self.cast(store, ES, bert, anna) == ["luz", "dora"]
        assert self.cast(store, ES, None, anna) == ["luz", "dora"]

    def test_each_language_has_its_own(self, store: Store, two: tuple[int, int]) -> None:
        anna, bert = two
        self.cast(store, ES, anna, bert)
        assert self.cast(store, ES, bert, anna, language="pt") == ["dora", "luz"]
        assert self.cast(store, ES, bert, anna) == ["luz", "dora"]

    def test_another_engine_casts_anew_and_the_first_one_remembers(
        self, store: Store, two: tuple[int, int]
    ) -> None:
        anna, bert = two
        self.cast(store, ES, anna, bert)
        assert self.cast(store, OTHERS, bert, anna) == ["coral", "sage"]
        assert self.cast(store, ES, bert, anna) == ["luz", "dora"]
        assert self.cast(store, OTHERS, anna, bert) == ["sage", "coral"]

    def test_somebody_new_gets_a_voice_that_nobody_in_the_series_has(
        self, store: Store, two: tuple[int, int]
    ) -> None:
        anna, bert = two
        self.cast(store, ES, anna, bert)
        assert self.cast(store, ES, None, around=(anna, bert)) == ["mar"]

    def test_who_is_cloned_once_is_cloned_while_there_is_a_recording(
        self, store: Store, two: tuple[int, int]
    ) -> None:
        anna, _ = two
        assert self.cast(store, [*ES, CLONE], anna, cloneable=(0,)) == ["clone"]
        assert self.cast(store, [*ES, CLONE], anna) == ["dora"], "there is nothing to clone"
        assert self.cast(store, [*ES, CLONE], anna, cloneable=(0,)) == ["clone"]


def test_the_limits_leave_room() -> None:
    assert 0 < APART < SAME < 1
