"""Who was heard in which videos, and the voices they were cast with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dubarr_watch.store.people import AppearanceRecord, CastingRecord
from dubarr_watch.store.records import JobOptions, VideoRecord, VideoState
from dubarr_watch.store.store import Store

SOUND = (0.6, 0.8)


def video(store: Store, name: str) -> VideoRecord:
    return store.videos.record(Path(f"/media/{name}"), 1, 1, name, VideoState.ARRIVED)


def heard(
    store: Store, where: VideoRecord, *people: int, model: str = "ears"
) -> list[AppearanceRecord]:
    found = [
        AppearanceRecord(where.id, where.path, n, person, model, 9.0, SOUND)
        for n, person in enumerate(people)
    ]
    store.people.appear(where.id, found)
    return found


def test_an_appearance_comes_back_as_it_was_kept(store: Store) -> None:
    one, other = video(store, "1.mkv"), video(store, "2.mkv")
    anna, bert = store.people.add(), store.people.add()
    first, second = heard(store, one, anna, bert), heard(store, other, anna)
    found = store.people.appearances("ears")
    assert [replace(it, print=SOUND) for it in found] == [*first, *second]
    assert found[0].print == pytest.approx(SOUND)
    assert store.people.appearances("other ears") == []


def test_a_video_that_is_heard_again_counts_once(store: Store) -> None:
    film = video(store, "1.mkv")
    anna = store.people.add()
    heard(store, film, anna, anna)
    heard(store, film, anna)
    assert len(store.people.appearances("ears")) == 1


def test_who_appears_nowhere_any_more_is_forgotten_with_their_voices(store: Store) -> None:
    film = video(store, "1.mkv")
    anna = store.people.add()
    heard(store, film, anna)
    store.people.cast("es", {anna: ("kokoro", "ef_dora")})
    bert = store.people.add()
    heard(store, film, bert)
    assert store.people.ids() == {bert}
    assert store.people.castings([anna], "es") == []
    assert store.people.add() > bert, "an id is never given twice"


def test_a_voice_is_kept_for_each_language_and_engine(store: Store) -> None:
    anna = store.people.add()
    heard(store, video(store, "1.mkv"), anna)
    store.people.cast("es", {anna: ("kokoro", "ef_dora")})
    store.people.cast("es", {anna: ("openai", "coral")})
    store.people.cast("fr", {anna: ("kokoro", "ff_siwis")})
    store.people.cast("es", {anna: ("kokoro", "em_alex")})
    assert store.people.castings([anna], "es") == [
        CastingRecord(anna, "es", "kokoro", "em_alex"),
        CastingRecord(anna, "es", "openai", "coral"),
    ]
    assert store.people.castings([anna + 1], "es") == []


def test_nobody_who_is_forgotten_is_cast(store: Store) -> None:
    store.people.cast("es", {77: ("kokoro", "ef_dora")})
    assert store.people.castings([77], "es") == []


def test_with_the_last_job_of_a_video_goes_what_was_learned_in_it(store: Store) -> None:
    one, other = video(store, "1.mkv"), video(store, "2.mkv")
    anna, bert = store.people.add(), store.people.add()
    heard(store, one, anna, bert)
    heard(store, other, anna)
    jobs = []
    for _ in range(2):
        job = store.jobs.enqueue(one.id, ("es",), JobOptions(again=True))
        store.jobs.cancel(job.id)
        jobs.append(job.id)
    store.jobs.forget(jobs[0])
    assert store.people.ids() == {anna, bert}, "there is a job of it still"
    store.jobs.forget(jobs[1])
    assert store.people.ids() == {anna}, "who is heard in another video is still known"
    assert [one.video_id for one in store.people.appearances("ears")] == [other.id]
