"""Every change of a job's state, allowed and refused, and what asking twice does."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubarr_watch.errors import IllegalTransition, NotInStore, StoreError
from dubarr_watch.store import Store
from dubarr_watch.store.records import (
    JobOptions,
    JobRecord,
    JobState,
    Priority,
    ResultRecord,
    TrackRecord,
)
from tests.store.conftest import a_job, a_video

WAITING, QUEUED, RUNNING = JobState.WAITING, JobState.QUEUED, JobState.RUNNING
DONE, WARNINGS, FAILED = JobState.DONE, JobState.DONE_WITH_WARNINGS, JobState.FAILED
CANCELLED, SKIPPED = JobState.CANCELLED, JobState.SKIPPED
ENDS = (DONE, WARNINGS, FAILED, CANCELLED, SKIPPED)
PLAIN = JobOptions()


def _in_state(store: Store, state: JobState) -> JobRecord:
    """Return a job that was brought into a state the way users bring it there."""
    job = store.jobs.enqueue(a_video(store).id, ["es"], PLAIN, state=QUEUED)
    if state is QUEUED:
        return job
    job = store.jobs.claim_job(job.id, "me")
    if state is RUNNING:
        return job
    if state is WAITING:
        return store.jobs.requeue(job.id, "the speech process is down", waiting=True)
    return store.jobs.finish(job.id, state, "why")


# From each state, the state that each action leads to; whatever is not here is refused.
LEADS_TO: dict[str, dict[JobState, JobState]] = {
    "claim_job": {WAITING: RUNNING, QUEUED: RUNNING},
    "requeue": {RUNNING: QUEUED},
    "cancel": {WAITING: CANCELLED, QUEUED: CANCELLED, RUNNING: RUNNING, CANCELLED: CANCELLED},
    "retry": {FAILED: QUEUED, CANCELLED: QUEUED, SKIPPED: QUEUED, WARNINGS: QUEUED},
    "done": {RUNNING: DONE, CANCELLED: CANCELLED},
    "done_with_warnings": {RUNNING: WARNINGS, CANCELLED: CANCELLED},
    "failed": {RUNNING: FAILED, WAITING: FAILED, QUEUED: FAILED, CANCELLED: CANCELLED},
    "skipped": {RUNNING: SKIPPED, WAITING: SKIPPED, QUEUED: SKIPPED, CANCELLED: CANCELLED},
    "cancelled": {RUNNING: CANCELLED, WAITING: CANCELLED, QUEUED: CANCELLED, CANCELLED: CANCELLED},
}


def _act(store: Store, action: str, job_id: int) -> JobRecord:
    if action == "claim_job":
        return store.jobs.claim_job(job_id, "me")
    if action in ("requeue", "cancel", "retry"):
        return getattr(store.jobs, action)(job_id)  # type: ignore[no-any-return]
    return store.jobs.finish(job_id, JobState(action), "because")


@pytest.mark.parametrize("state", JobState)
@pytest.mark.parametrize("action", LEADS_TO)
def test_every_action_in_every_state(store: Store, action: str, state: JobState) -> None:
    """An action leads where the table says, or is refused and changes nothing."""
    job = _in_state(store, state)
    assert job.state is state
    if (target := LEADS_TO[action].get(state)) is not None:
        assert _act(store, action, job.id).state is target
        assert store.jobs.get(job.id).state is target
    else:
        with pytest.raises(IllegalTransition, match=f"Job {job.id} is {state} and cannot be"):
            _act(store, action, job.id)
        assert store.jobs.get(job.id) == job


@pytest.mark.parametrize("state", JobState)
def test_only_an_ended_job_is_forgotten(store: Store, state: JobState) -> None:
    """With it go its checkpoints, lines, tracks and results."""
    job = _in_state(store, state)
    store.checkpoints.save_line(job.id, "es", 0, "k", "{}")
    store.checkpoints.save_stage(job.id, "transcribe", "", "k", Path("a"), 1)
    store.jobs.add_track(job.id, "es", Path("/t"), "sidecar")
    store.jobs.set_result(job.id, "es", DONE)
    if not state.ended:
        with pytest.raises(IllegalTransition):
            store.jobs.forget(job.id)
        assert len(store.checkpoints.lines(job.id, "es")) == 1
        return
    store.jobs.forget(job.id)
    with pytest.raises(NotInStore):
        store.jobs.get(job.id)
    assert store.checkpoints.lines(job.id, "es") == {}
    assert store.checkpoints.stages(job.id) == []
    assert store.jobs.tracks(job.id) == []
    assert store.jobs.results(job.id) == []


def test_a_job_that_is_not_there_is_named(store: Store) -> None:
    """Every action says that there is no such job."""
    for action in LEADS_TO:
        with pytest.raises(NotInStore, match="no job 99"):
            _act(store, action, 99)


def test_a_job_does_not_end_unended(store: Store) -> None:
    """Running is no end, and a new job is not done."""
    job = a_job(store)
    with pytest.raises(ValueError, match="does not end"):
        store.jobs.finish(job.id, RUNNING)
    for languages, state in (((), QUEUED), (("es",), RUNNING), (("es",), DONE)):
        with pytest.raises(ValueError, match="needs languages"):
            store.jobs.enqueue(job.video.id, languages, PLAIN, state=state)


def test_a_job_of_an_unknown_video_is_refused(store: Store) -> None:
    """A video forgotten in the meantime gets no job."""
    with pytest.raises(StoreError, match="not known"):
        store.jobs.enqueue(99, ["es"], PLAIN)
    assert store.jobs.queue() == []


def test_times_and_attempts_are_kept(store: Store) -> None:
    """Created, started and finished are in UTC, in this order; each start is an attempt."""
    job = a_job(store)
    assert (job.attempts, job.started_at, job.finished_at) == (0, None, None)
    for attempt in (1, 2):
        job = store.jobs.claim_job(job.id, "me")
        assert (job.attempts, job.finished_at) == (attempt, None)
        if attempt == 1:
            job = store.jobs.requeue(job.id, "the process ended")
            assert (job.reason, job.attempts) == ("the process ended", 1)
    job = store.jobs.finish(job.id, FAILED, "no luck")
    assert job.reason == "no luck"
    assert job.started_at is not None
    assert job.finished_at is not None
    assert job.created_at <= job.started_at <= job.finished_at
    assert job.finished_at.utcoffset() is not None
    job = store.jobs.retry(job.id)
    assert (job.attempts, job.reason, job.started_at, job.finished_at) == (0, "", None, None)


def test_a_reason_may_quote_any_file_name(store: Store) -> None:
    """A name that is no UTF-8 in a reason fails nothing."""
    job = store.jobs.claim_job(a_job(store).id, "me")
    assert store.jobs.finish(job.id, FAILED, "caf\udce9.mkv is bad").reason.endswith("is bad")


def test_progress_is_kept_while_running_and_only_then(store: Store) -> None:
    """A late figure does not touch a job that ended."""
    job = store.jobs.claim_job(a_job(store).id, "me")
    store.jobs.progress(job.id, "synthesize es", 0.25, 90.5)
    job = store.jobs.get(job.id)
    assert (job.stage, job.progress, job.eta_s) == ("synthesize es", 0.25, 90.5)
    ended = store.jobs.finish(job.id, DONE)
    assert (ended.stage, ended.eta_s) == ("", None)
    store.jobs.progress(job.id, "late", 0.5, 1)
    assert store.jobs.get(job.id) == ended


def test_progress_within_a_transaction_is_kept(store: Store) -> None:
    """It needs no transaction of its own."""
    job = store.jobs.claim_job(a_job(store).id, "me")
    with store.transaction():
        store.jobs.progress(job.id, "mix es", 0.75, None)
    assert store.jobs.get(job.id).progress == 0.75


# Cancelling


def test_a_running_job_is_asked_to_stop(store: Store) -> None:
    """It goes on running until whoever runs it notices."""
    job = store.jobs.claim_job(a_job(store).id, "me")
    assert not store.jobs.cancel_requested(job.id)
    assert store.jobs.cancel(job.id).state is RUNNING
    assert store.jobs.cancel_requested(job.id)
    assert store.jobs.finish(job.id, CANCELLED).state is CANCELLED


def test_what_fails_after_a_cancel_was_cancelled(store: Store) -> None:
    """Ending a model in its work looks like a failure, and is none."""
    job = store.jobs.claim_job(a_job(store).id, "me")
    store.jobs.cancel(job.id)
    job = store.jobs.finish(job.id, FAILED, "the process ended", events=["failed"])
    assert (job.state, job.reason) == (CANCELLED, "")
    assert store.notifications.pending() == []


def test_a_cancelled_job_keeps_why(store: Store) -> None:
    """Queued or running, and whatever the end of its model looks like."""
    why = "The video was replaced."
    assert store.jobs.cancel(a_job(store).id, why).reason == why
    job = store.jobs.claim_job(a_job(store, name="Other.mkv").id, "me")
    store.jobs.cancel(job.id, why)
    assert store.jobs.finish(job.id, FAILED, "engine died").reason == why


def test_what_was_done_before_it_saw_the_cancel_is_done(store: Store) -> None:
    """The track is there; saying otherwise would be wrong."""
    job = store.jobs.claim_job(a_job(store).id, "me")
    store.jobs.cancel(job.id)
    assert store.jobs.finish(job.id, DONE).state is DONE


def test_a_job_to_be_cancelled_is_not_queued_again(store: Store) -> None:
    """Neither by hand nor when its process died."""
    one, two = (store.jobs.claim_job(a_job(store, name=n).id, "me") for n in "ab")
    store.jobs.cancel(one.id)
    store.jobs.cancel(two.id)
    assert store.jobs.requeue(one.id).state is CANCELLED
    assert [job.state for job in store.recovery.recover(lambda owner: False, max_attempts=3)] == [
        CANCELLED
    ]


def test_a_retried_job_is_not_cancelled_at_once(store: Store) -> None:
    """The wish to cancel it was for the last time."""
    job = store.jobs.claim_job(a_job(store).id, "me")
    store.jobs.cancel(job.id)
    store.jobs.finish(job.id, CANCELLED)
    store.jobs.retry(job.id)
    assert not store.jobs.cancel_requested(job.id)


# Asking twice


def test_asking_twice_is_asking_once(store: Store) -> None:
    """A language that is queued or running is not queued again."""
    job = a_job(store, "es", "fr")
    video = job.video.id
    assert store.jobs.enqueue(video, ["fr"], PLAIN) == job
    assert store.jobs.enqueue(video, ["fr", "es", "fr"], PLAIN) == job
    running = store.jobs.claim_job(job.id, "me")
    assert store.jobs.enqueue(video, ["es"], PLAIN) == running
    assert len(store.jobs.queue()) == 0


def test_a_job_names_each_language_once(store: Store) -> None:
    """Whatever the order and the repeats in which they were asked for."""
    assert a_job(store, "fr", "es", "fr").languages == ("fr", "es")
    assert a_job(store, "de", "es", "de").languages == ("fr", "es", "de")


def test_a_job_that_has_not_started_gains_languages(store: Store) -> None:
    """Languages of one video share most of the work."""
    job = a_job(store, "es")
    assert a_job(store, "fr", "es").id == job.id
    assert store.jobs.get(job.id).languages == ("es", "fr")


def test_a_running_job_gains_no_languages(store: Store) -> None:
    """What is new becomes a job of its own, and that one gains the next."""
    running = store.jobs.claim_job(a_job(store, "es").id, "me")
    new = a_job(store, "es", "fr")
    assert (new.id != running.id, new.languages) == (True, ("fr",))
    assert a_job(store, "de").id == new.id
    assert store.jobs.get(running.id).languages == ("es",)
    assert store.jobs.get(new.id).languages == ("fr", "de")


@pytest.mark.parametrize("state", ENDS)
def test_an_ended_job_covers_nothing(store: Store, state: JobState) -> None:
    """Asking again after the end is a new job; whether it is needed is for the library."""
    ended = _in_state(store, state)
    assert a_job(store, "es").id != ended.id


def test_a_job_to_be_cancelled_covers_nothing(store: Store) -> None:
    """Who asks again after cancelling means it."""
    running = store.jobs.claim_job(a_job(store, "es").id, "me")
    store.jobs.cancel(running.id)
    assert a_job(store, "es").id != running.id


def test_another_video_is_another_job(store: Store) -> None:
    """Jobs of different videos have nothing to do with each other."""
    assert a_job(store, "es", name="a").id != a_job(store, "es", name="b").id


def test_another_kind_of_output_is_another_job(store: Store) -> None:
    """A track inside the video is not there because one beside it is; no wish fits any."""
    video = a_video(store)
    beside = store.jobs.enqueue(video.id, ["es"], JobOptions(mode="sidecar"))
    inside = store.jobs.enqueue(video.id, ["es"], JobOptions(mode="mux"))
    assert inside.id != beside.id
    assert store.jobs.enqueue(video.id, ["es"], PLAIN).id == beside.id
    assert store.jobs.enqueue(video.id, ["es"], JobOptions(style="voiceover")).id not in (
        beside.id,
        inside.id,
    )


def test_asking_again_can_only_hurry_a_job(store: Store) -> None:
    """A higher priority and `again` are taken over, a lower priority is not."""
    video = a_video(store)
    job = store.jobs.enqueue(video.id, ["es"], PLAIN)
    store.jobs.enqueue(video.id, ["es"], JobOptions(priority=Priority.HIGH, again=True))
    store.jobs.enqueue(video.id, ["es"], JobOptions(priority=Priority.LOW))
    assert store.jobs.get(job.id).options == JobOptions(priority=Priority.HIGH, again=True)


def test_a_waiting_job_is_queued_when_asked_for_so(store: Store) -> None:
    """And a queued one does not go back to waiting; another's languages queue nothing."""
    video = a_video(store)
    job = store.jobs.enqueue(video.id, ["es"], PLAIN, state=WAITING, reason="no key")
    assert (job.state, job.reason) == (WAITING, "no key")
    assert store.jobs.claim("me") is None
    other = store.jobs.enqueue(video.id, ["fr"], JobOptions(mode="mux"))
    assert store.jobs.get(job.id).state is WAITING
    job = store.jobs.enqueue(video.id, ["es"], PLAIN)
    assert (job.state, job.reason) == (QUEUED, "")
    assert store.jobs.enqueue(video.id, ["es"], PLAIN, state=WAITING).state is QUEUED
    assert [j.id for j in store.jobs.queue()] == [job.id, other.id]


def test_why_a_video_is_skipped_is_kept_once(store: Store) -> None:
    """A scan that finds the same again adds nothing; another reason is another record."""
    video = a_video(store)

    def skip(reason: str) -> JobRecord:
        return store.jobs.enqueue(video.id, ["es"], PLAIN, state=SKIPPED, reason=reason)

    first = skip("is spoken in Spanish")
    assert (first.state, first.reason) == (SKIPPED, "is spoken in Spanish")
    assert first.finished_at == first.created_at
    assert skip("is spoken in Spanish") == first
    assert skip("has a Spanish track").id != first.id
    assert len(store.jobs.recent()) == 2


def test_a_retry_that_another_job_makes_needless_is_refused(store: Store) -> None:
    """Two jobs never make the same track at once."""
    failed = _in_state(store, FAILED)
    newer = a_job(store, "es")
    with pytest.raises(IllegalTransition, match=f"Job {newer.id} does the same"):
        store.jobs.retry(failed.id)
    store.jobs.cancel(newer.id)
    assert store.jobs.retry(failed.id).state is QUEUED


# The order of the queue, and looking at it


def test_jobs_start_by_priority_then_age(store: Store) -> None:
    """A retried job keeps its place; waiting jobs are not started."""
    order = [Priority.LOW, Priority.NORMAL, Priority.HIGH, Priority.NORMAL, Priority.HIGH]
    ids = [
        store.jobs.enqueue(a_video(store, str(n)).id, ["es"], JobOptions(priority=priority)).id
        for n, priority in enumerate(order)
    ]
    waiting = store.jobs.enqueue(a_video(store, "w").id, ["es"], PLAIN, state=WAITING)
    expected = [ids[2], ids[4], ids[1], ids[3], ids[0]]
    assert [job.id for job in store.jobs.queue()] == [*expected, waiting.id]
    claimed = [store.jobs.claim("me") for _ in range(6)]
    assert [job.id if job else None for job in claimed] == [*expected, None]
    assert [job.id for job in store.jobs.running()] == expected


def test_the_queue_is_told_by_state(store: Store) -> None:
    """Counts name every state; what ended last comes first."""
    for number in range(3):
        a_job(store, name=str(number))
    first, second = store.jobs.claim("me"), store.jobs.claim("me")
    assert first is not None
    assert second is not None
    store.jobs.finish(second.id, DONE)
    store.jobs.finish(first.id, FAILED, "bad")
    assert store.jobs.counts() == dict.fromkeys(JobState, 0) | {QUEUED: 1, DONE: 1, FAILED: 1}
    assert [job.id for job in store.jobs.recent()] == [first.id, second.id]
    assert [job.id for job in store.jobs.recent(1)] == [first.id]


def test_a_job_is_found_by_id_and_by_path(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path means the job that has not ended, else the newest; it may be relative."""
    monkeypatch.chdir(tmp_path)
    video = a_video(store, "7", str(tmp_path))
    jobs = [store.jobs.enqueue(video.id, ["es"], PLAIN) for _ in range(1)]
    store.jobs.cancel(jobs[0].id)
    jobs.append(store.jobs.enqueue(video.id, ["es"], PLAIN))
    store.jobs.enqueue(video.id, ["fr"], PLAIN, state=SKIPPED, reason="has one")
    for wanted in (jobs[0].id, str(jobs[0].id)):
        found = store.jobs.find(wanted)
        assert found is not None
        assert found.id == jobs[0].id
    for path in (video.path, str(video.path), "7"):
        found = store.jobs.find(path)
        assert found is not None
        assert found.id == jobs[1].id
    assert store.jobs.find(99) is None
    assert store.jobs.find("99") is None
    assert store.jobs.find("/no/such.mkv") is None
    assert [job.id for job in store.jobs.for_video(video.id)] == [3, 2, 1]


def test_jobs_of_a_request_are_found(store: Store) -> None:
    """A request knows its jobs, also when it is only asked later whether all are done."""
    request = store.requests.add(Path("/v"), True, ["es"], PLAIN, None)
    job = store.jobs.enqueue(a_video(store).id, ["es"], PLAIN, request_id=request.id)
    a_job(store, name="other")
    assert store.jobs.for_request(request.id) == [job]
    assert job.request_id == request.id


def test_a_job_that_served_no_request_takes_one_over(store: Store) -> None:
    """And one that serves another keeps it."""
    one, two = (store.requests.add(Path(p), True, ["es"], PLAIN, None) for p in ("/v", "/w"))
    job = store.jobs.claim_job(a_job(store).id, "me")
    for request in (one, two):
        taken = store.jobs.enqueue(job.video.id, ["es"], PLAIN, request_id=request.id)
        assert (taken.id, taken.request_id) == (job.id, one.id)


# Results


def test_tracks_and_results_are_kept_by_language(store: Store) -> None:
    """The last of each counts; one muxed file may hold several languages."""
    job = a_job(store, "es", "fr")
    path = Path("/v/Film\udcff.mkv")
    for language in ("fr", "es", "es"):
        store.jobs.add_track(job.id, language, path, "mux")
    assert store.jobs.tracks(job.id) == [
        TrackRecord(job.id, "es", path, "mux"),
        TrackRecord(job.id, "fr", path, "mux"),
    ]
    store.jobs.set_result(job.id, "es", FAILED, "no luck")
    store.jobs.set_result(job.id, "es", DONE, report=Path("/r.json"), summary='{"lines": 3}')
    store.jobs.set_result(job.id, "fr", WARNINGS, "two lines were cut")
    es, fr = store.jobs.results(job.id)
    assert es == ResultRecord(
        job.id, "es", DONE, "", Path("/r.json"), '{"lines": 3}', es.finished_at
    )
    assert (fr.state, fr.reason, fr.report, fr.summary) == (
        WARNINGS, "two lines were cut", None, "",
    )  # fmt: skip


# The outbox


def test_the_end_of_a_job_and_its_message_are_one_transaction(store: Store) -> None:
    """A process that dies right after the end of a job loses no message."""
    job = store.jobs.claim_job(a_job(store).id, "me")
    store.jobs.finish(job.id, DONE, events=["done"])
    (message,) = store.notifications.pending()
    assert (message.job_id, message.event, message.attempts) == (job.id, "done", 0)
