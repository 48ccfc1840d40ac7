"""What is forgotten in time, and what never is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dubarr_watch.errors import NotInStore
from dubarr_watch.store import Store
from dubarr_watch.store.people import AppearanceRecord
from dubarr_watch.store.records import (
    JobOptions,
    JobRecord,
    JobState,
    OutputRecord,
    VideoState,
)
from tests.store.conftest import a_job, a_video

LATER = datetime.now(UTC) + timedelta(days=1)
EARLIER = datetime.now(UTC) - timedelta(days=1)


def ended(
    store: Store, *languages: str, name: str = "Film.mkv", request_id: int | None = None
) -> JobRecord:
    video = a_video(store, name)
    job = store.jobs.enqueue(video.id, languages or ("es",), JobOptions(again=True), request_id)
    store.jobs.claim_job(job.id, "me")
    return store.jobs.finish(job.id, JobState.DONE, events=["done"])


def left(store: Store) -> list[int]:
    return sorted(job.id for job in store.jobs.recent(100))


def test_a_job_that_was_done_again_is_forgotten_when_it_is_old_enough(store: Store) -> None:
    jobs = [ended(store).id for _ in range(3)]
    assert store.history.prune(EARLIER) == []
    assert store.history.prune(LATER) == jobs[:2]
    assert left(store) == jobs[2:]


def test_the_last_job_for_each_language_stays(store: Store) -> None:
    """It is how a video is known to have been dealt with."""
    kept = [ended(store, "es").id, ended(store, "de").id]
    store.history.prune(LATER)
    assert left(store) == kept


def test_a_job_whose_video_is_gone_is_forgotten(store: Store) -> None:
    job, other = ended(store), ended(store, name="Other.mkv")
    store.videos.mark_missing([job.video.id])
    assert store.history.prune(LATER) == [job.id]
    assert left(store) == [other.id]


def test_a_job_for_an_order_that_stands_stays_until_that_is_answered(store: Store) -> None:
    request = store.requests.add(Path("/videos"), True, ["es"], JobOptions(), None)
    first = ended(store, request_id=request.id)
    second = ended(store)
    store.history.prune(LATER)
    assert left(store) == [first.id, second.id]
    store.requests.close(request.id)
    assert store.history.prune(LATER) == [first.id]


def test_a_video_counts_as_gone_from_when_it_was_missed(store: Store) -> None:
    """However old its job is: a disk that is away for a week is no deletion."""
    job = ended(store)
    long_after = datetime.now(UTC)
    store.videos.mark_missing([job.video.id])
    assert store.history.prune(long_after) == []
    store.videos.mark_missing([job.video.id])  # and again by the next scan
    assert store.history.prune(datetime.now(UTC)) == [job.id]


def test_a_video_that_is_gone_is_forgotten_with_what_is_gone_of_its_tracks(
    store: Store, tmp_path: Path
) -> None:
    job, stays = ended(store), ended(store, name="Stays.mkv")
    left_behind, gone, other = (tmp_path / name for name in ("left.mka", "gone.mka", "other.mka"))
    left_behind.touch()
    for path, whose in ((left_behind, job), (gone, job), (other, stays)):
        store.outputs.record(OutputRecord(path, whose.id, "es", "sidecar", 1, 2, "f"))
    store.videos.mark_missing([job.video.id])
    store.history.prune(EARLIER)
    assert store.videos.get(job.video.id).state is VideoState.MISSING
    assert store.outputs.by_path(gone) is not None
    store.history.prune(LATER)
    with pytest.raises(NotInStore):
        store.videos.get(job.video.id)
    assert store.videos.get(stays.video.id) == stays.video
    known = [store.outputs.by_path(path) is not None for path in (left_behind, gone, other)]
    assert known == [True, False, True]


def test_a_video_that_is_gone_stays_for_the_voices_that_were_heard_in_it(store: Store) -> None:
    video = a_video(store)
    person = store.people.add()
    heard = AppearanceRecord(video.id, video.path, 0, person, "printer", 9.0, (1.0, 0.0))
    store.people.appear(video.id, [heard])
    store.videos.mark_missing([video.id])
    store.history.prune(LATER)
    assert store.people.ids() == {person}


@pytest.mark.parametrize("state", ["queued", "running"])
def test_what_has_not_ended_stays(store: Store, state: str) -> None:
    job = a_job(store)
    if state == "running":
        store.jobs.claim_job(job.id, "me")
    store.videos.mark_missing([job.video.id])
    assert store.history.prune(LATER) == []


def test_messages_that_were_sent_go_and_those_that_wait_stay(store: Store) -> None:
    sent, waiting = ended(store), ended(store, "de")
    (first, _) = store.notifications.pending()
    store.notifications.settle([first.id], "sent", "", 1)
    store.history.prune(EARLIER)
    assert len(store.notifications.recent()) == 2
    store.history.prune(LATER)
    assert [one.job_id for one in store.notifications.recent()] == [waiting.id]
    assert left(store) == [sent.id, waiting.id]


def test_answered_requests_go_and_open_ones_stay(store: Store) -> None:
    for name in ("Open.mkv", "Answered.mkv"):
        made = store.requests.add(Path("/videos") / name, False, ["es"], JobOptions(), None)
    store.requests.close(made.id)
    store.history.prune(LATER)
    with pytest.raises(NotInStore):
        store.requests.get(made.id)
    assert len(store.requests.all_open()) == 1
