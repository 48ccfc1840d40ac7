"""Who runs a job: tokens that only grow, leases that run out, and writes that come too late."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dubarr_watch.errors import ClaimLost
from dubarr_watch.store import Store
from dubarr_watch.store.records import JobOptions, JobRecord, JobState, OutputRecord
from tests.store.conftest import Where, a_job, a_video, sqlite_file

WAITS_FOR_THE_DISK = {
    "sqlite": ("PRAGMA synchronous", 1, 2),
    "postgresql": ("SHOW synchronous_commit", "off", "on"),
}

LONG_AGO_S = -1.0
"""A lease that has run out when it begins."""


def taken_back(store: Store) -> list[JobRecord]:
    """Take back what silent processes run; all of them live."""
    return store.recovery.recover(lambda owner: True, max_attempts=3)


def lost_claim(store: Store) -> JobRecord:
    """Return a job as a worker claimed it that was silent for too long; another one runs it now."""
    job = store.jobs.claim_job(a_job(store).id, "stale", lease_s=LONG_AGO_S)
    assert [one.id for one in taken_back(store)] == [job.id]
    store.jobs.claim_job(job.id, "next")
    return job


def an_output(job: JobRecord) -> OutputRecord:
    return OutputRecord(Path("/videos/Film.Dubarr.es.mka"), job.id, "es", "sidecar", 1, 2, "fp")


# Whatever the worker of a job writes, by what is left of it.
WRITES: dict[str, Callable[[Store, JobRecord], object]] = {
    "a stage": lambda store, job: store.checkpoints.save_stage(
        job.id, "transcribe", "", "key", Path("/a/transcribe.json"), 1.0
    ),
    "a line": lambda store, job: store.checkpoints.save_line(job.id, "es", 0, "key", "{}"),
    "no checkpoints": lambda store, job: store.checkpoints.drop(job.id),
    "an output": lambda store, job: store.outputs.record(an_output(job)),
    "a track": lambda store, job: store.jobs.add_track(job.id, "es", Path("/a.mka"), "sidecar"),
    "a result": lambda store, job: store.jobs.set_result(job.id, "es", JobState.DONE),
    "progress": lambda store, job: store.jobs.progress(job.id, "mix", 0.5, None),
    "the end": lambda store, job: store.jobs.finish(job.id, JobState.DONE, events=["done"]),
    "another try": lambda store, job: store.jobs.requeue(job.id, "tried again"),
    "the video's content": lambda store, job: store.videos.recontent(
        job.video.id, size_bytes=5, mtime_ns=6, fingerprint="other"
    ),
    "terms": lambda store, job: store.glossary.decide("film", "es", {"sword": "espada"}),
    "people": lambda store, job: store.people.add(),
}


def everything(store: Store) -> list[object]:
    """Return all rows that a worker writes."""
    tables = ("jobs", "stages", "lines", "tracks", "results", "outputs", "videos", "terms",
              "people", "notifications")  # fmt: skip
    return [store._database.rows(f"SELECT * FROM {table}") for table in tables]


@pytest.mark.parametrize("what", WRITES)
def test_a_stale_worker_writes_nothing(store: Store, what: str) -> None:
    """Each write of a worker whose job was given to another is refused, and says so."""
    stale = lost_claim(store)
    before = everything(store)
    with pytest.raises(ClaimLost, match=f"Job {stale.id} was given to another worker"):
        WRITES[what](store.under(stale.id, stale.token), stale)
    assert everything(store) == before


@pytest.mark.parametrize("what", [what for what in WRITES if what != "no checkpoints"])
def test_the_worker_that_has_the_job_writes(store: Store, what: str) -> None:
    stale = lost_claim(store)
    (job,) = store.jobs.running()
    before = everything(store)
    WRITES[what](store.under(job.id, job.token), stale)
    assert everything(store) != before


def test_a_token_only_grows(store: Store) -> None:
    """At each claim, over every way back into the queue."""
    job = a_job(store)
    tokens = [job.token]
    for put_back in (
        lambda: store.jobs.requeue(job.id),
        lambda: taken_back(store),
        lambda: (store.jobs.finish(job.id, JobState.FAILED), store.jobs.retry(job.id)),
        lambda: store.jobs.requeue(job.id, waiting=True),
    ):
        tokens.append(store.jobs.claim_job(job.id, "me", lease_s=LONG_AGO_S).token)
        put_back()
    claimed = store.jobs.claim_job(job.id, "me")
    tokens.append(claimed.token)
    assert tokens == sorted(set(tokens))
    assert store.claims.holds(job.id, claimed.token)
    assert not any(store.claims.holds(job.id, token) for token in tokens[:-1])


def test_a_worker_ends_its_own_job_in_one_go(store: Store) -> None:
    """A transaction asks once, at its start: what it does to the job itself does not end it."""
    job = store.jobs.claim_job(a_job(store).id, "me")
    mine = store.under(job.id, job.token)
    with mine.transaction():
        mine.jobs.finish(job.id, JobState.DONE)
        mine.jobs.set_result(job.id, "es", JobState.DONE)
    assert store.jobs.get(job.id).state is JobState.DONE


def test_a_refused_block_leaves_nothing_and_runs_nothing(store: Store) -> None:
    stale = lost_claim(store)
    mine, ran = store.under(stale.id, stale.token), False
    with pytest.raises(ClaimLost), mine.transaction():
        ran = True
    assert not ran


def test_other_jobs_are_none_of_its_business(store: Store) -> None:
    """A claim of one job is none of another, whatever its token."""
    one = store.jobs.claim_job(a_job(store).id, "me")
    other = store.jobs.claim_job(a_job(store, name="Other.mkv").id, "you")
    assert one.token == other.token
    store.jobs.requeue(other.id)
    store.jobs.claim_job(other.id, "next")
    store.under(one.id, one.token).jobs.progress(one.id, "mix", 0.5, None)
    with pytest.raises(ClaimLost):
        store.under(other.id, other.token).jobs.progress(other.id, "mix", 0.5, None)


@pytest.mark.parametrize(("lease_s", "back"), [(LONG_AGO_S, True), (60.0, False)])
def test_a_job_is_taken_from_a_silent_process_when_its_lease_is_over(
    store: Store, lease_s: float, back: bool
) -> None:
    job = store.jobs.claim_job(a_job(store).id, "me", lease_s=lease_s)
    assert bool(taken_back(store)) is back
    assert store.claims.holds(job.id, job.token) is not back


def test_a_sign_of_life_prolongs_the_lease_of_every_job_of_a_process(store: Store) -> None:
    for name in ("One.mkv", "Two.mkv"):
        store.jobs.claim_job(a_job(store, name=name).id, "me", lease_s=LONG_AGO_S)
    other = store.jobs.claim_job(a_job(store, name="Three.mkv").id, "you", lease_s=LONG_AGO_S)
    assert store.claims.renew("me") == 2
    assert [job.id for job in taken_back(store)] == [other.id]
    assert store.claims.renew("nobody") == 0


def test_an_idle_process_writes_no_sign_of_life(store: Store) -> None:
    """A daemon without work lets the disk sleep."""
    store.jobs.finish(store.jobs.claim_job(a_job(store).id, "me").id, JobState.DONE)
    before = store.changes()
    assert store.claims.renew("me") == 0
    assert store.changes() == before


@pytest.mark.parametrize("where", WAITS_FOR_THE_DISK, indirect=True)
def test_progress_of_a_worker_stays_unsynced(store: Store, where: Where) -> None:
    """The question does not make a progress figure wait for the disk."""
    asking, no, yes = WAITS_FOR_THE_DISK["sqlite" if isinstance(where, Path) else "postgresql"]
    job = store.jobs.claim_job(a_job(store).id, "me")
    seen: list[object] = []
    database = store._database
    run = database.run_unsynced

    def watched(query: object) -> int:
        seen.append(database.rows(asking)[0][0])
        return run(query)

    database.run_unsynced = watched  # type: ignore[method-assign]
    store.under(job.id, job.token).jobs.progress(job.id, "mix", 0.5, None)
    assert seen == [no]
    assert database.rows(asking) == [(yes,)]


def test_a_running_job_of_an_earlier_version_has_no_lease_to_run_out(store: Store) -> None:
    """The lock of its process alone says whether that lives."""
    job = store.jobs.claim_job(a_job(store).id, "me")
    store._database.execute("UPDATE jobs SET lease_until = NULL, token = 0")
    assert taken_back(store) == []
    (back,) = store.recovery.recover(lambda owner: False, max_attempts=3)
    assert (back.id, back.token) == (job.id, 1)


def test_a_forgotten_job_has_no_worker(store: Store) -> None:
    job = store.jobs.claim_job(a_job(store).id, "me")
    store.jobs.finish(job.id, JobState.DONE)
    store.jobs.forget(job.id)
    with pytest.raises(ClaimLost):
        store.under(job.id, job.token).checkpoints.drop(job.id)
    assert store.jobs.enqueue(a_video(store).id, ["es"], JobOptions()).id != job.id


def test_the_next_job_is_found_without_sorting_the_queue(in_file: Store) -> None:
    """A claim takes as long with ten thousand queued jobs as with ten."""
    file, asked = sqlite_file(in_file), list[str]()
    a_job(in_file)
    file.connection().set_trace_callback(asked.append)
    assert in_file.jobs.claim("me") is not None
    file.connection().set_trace_callback(None)
    questions = [query for query in asked if "ORDER BY" in query]
    assert len(questions) == 2
    for query in questions:
        plan = " ".join(row[3] for row in in_file._database.rows(f"EXPLAIN QUERY PLAN {query}"))
        assert "jobs_next" in plan, plan
        assert "TEMP B-TREE" not in plan, plan
