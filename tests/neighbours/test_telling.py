"""Servers are told of what was published, once, and a job never waits or fails for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from dubarr_watch.neighbours.telling import Teller, looks_for
from dubarr_watch.notify.outbox import RETRY_DELAYS_S
from dubarr_watch.settings import Settings, load_settings
from dubarr_watch.store import Store
from dubarr_watch.store.records import JobOptions, JobState, VideoState
from tests.services.media_servers import TOKEN, Jellyfin, Radarr
from tests.waiting import eventually

OK, PENDING, FAILED, UNWANTED = "sent", "pending", "failed", "unwanted"


@pytest.fixture
def jellyfin() -> Iterator[Jellyfin]:
    with Jellyfin() as server:
        yield server


@pytest.fixture
def settings(jellyfin: Jellyfin) -> Settings:
    return load_settings(jellyfin_url=jellyfin.url, jellyfin_token=TOKEN)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "dubarr.db") as opened:
        yield opened


Start = Callable[..., Teller]


@pytest.fixture
def start(store: Store, settings: Settings) -> Iterator[Start]:
    tellers: list[Teller] = []

    def make(chosen: Settings = settings, delays: tuple[float, ...] = (0.05, 0.05)) -> Teller:
        tellers.append(Teller(chosen, store, retry_delays_s=delays))
        tellers[-1].start()
        return tellers[-1]

    yield make
    for teller in tellers:
        teller.stop(30)


def end_job(
    store: Store, settings: Settings, name: str = "Film.mkv", *, tracks: bool = True,
    state: JobState = JobState.DONE,
) -> int:  # fmt: skip
    """End a job as the daemon does."""
    video = store.videos.record(Path("/v") / name, 1, 1, name, VideoState.ARRIVED)
    job = store.jobs.enqueue(video.id, ["es"], JobOptions()).id
    store.jobs.claim_job(job, "me")
    if tracks:
        store.jobs.add_track(job, "es", Path("/v") / f"{name}.Dubarr.es.mka", "sidecar")
    store.jobs.finish(job, state, events=looks_for(settings, state))
    return job


def outcomes(store: Store) -> list[str]:
    return [one.outcome for one in reversed(store.notifications.recent(looks=True))]


def told(logs: list[Any]) -> list[str]:
    return [log["outcome"] for log in logs if log["event"] == "server" and
            log["log_level"] in ("info", "warning")]  # fmt: skip


def test_each_server_is_told_once(
    store: Store, settings: Settings, jellyfin: Jellyfin, start: Start
) -> None:
    """Also when the program was ended between the job's end and the telling."""
    end_job(store, settings)
    teller = start()
    eventually(lambda: outcomes(store) == [OK], "told")
    end_job(store, settings, "Other.mkv")
    teller.wake()
    eventually(lambda: outcomes(store) == [OK, OK], "told")
    assert [path for path, _ in jellyfin.looked_at] == ["/v/Film.mkv", "/v/Other.mkv"]


def test_a_failure_is_tried_again_and_told_once(
    store: Store, settings: Settings, jellyfin: Jellyfin, start: Start
) -> None:
    jellyfin.answers = [500, 401]
    with capture_logs() as logs:
        end_job(store, settings)
        start()
        eventually(lambda: outcomes(store) == [OK], "told")
    assert told(logs) == [PENDING, OK]
    assert len(jellyfin.looked_at) == 1


def test_a_server_that_stays_away_is_given_up(
    store: Store, settings: Settings, jellyfin: Jellyfin, start: Start
) -> None:
    """The job is done all the same; what is kept and logged holds no token."""
    jellyfin.answers = [500] * 99
    with capture_logs() as logs:
        job = end_job(store, settings)
        start()
        eventually(lambda: outcomes(store) == [FAILED], "given up")
    assert store.jobs.get(job).state is JobState.DONE
    (record,) = store.notifications.recent(looks=True)
    assert (record.attempts, record.detail.partition(".")[0]) == (
        3, "Jellyfin answers with status 500",
    )  # fmt: skip
    assert told(logs) == [PENDING, FAILED]
    assert TOKEN not in f"{logs} {record}"


def test_one_that_does_not_answer_is_not_asked_for_each_job(
    store: Store, settings: Settings, jellyfin: Jellyfin, start: Start
) -> None:
    """Twenty episodes would wait twenty times; the other server is told meanwhile."""
    with Radarr() as radarr:
        radarr.items = ((7, "/v"),)
        both = settings.model_copy(
            update={"radarr_url": radarr.url, "radarr_api_key": settings.jellyfin_token}
        )
        jellyfin.answers = [500]
        for n in range(5):
            end_job(store, both, f"{n}.mkv")
        start(both, (3600.0,))
        eventually(lambda: sorted(outcomes(store)) == [PENDING] * 5 + [OK] * 5, "asked")
        assert (len(jellyfin.paths), radarr.looked_at) == (1, [7] * 5)


@pytest.mark.parametrize("state", [JobState.DONE_WITH_WARNINGS, JobState.FAILED])
def test_what_was_published_counts_not_how_the_job_ended(
    store: Store, settings: Settings, jellyfin: Jellyfin, start: Start, state: JobState
) -> None:
    end_job(store, settings, state=state)
    end_job(store, settings, "None.mkv", state=state, tracks=False)
    start()
    eventually(lambda: outcomes(store) == [OK, UNWANTED], "told")
    assert [path for path, _ in jellyfin.looked_at] == ["/v/Film.mkv"]


def test_a_server_that_is_not_set_any_more_is_not_told(
    store: Store, settings: Settings, jellyfin: Jellyfin, start: Start
) -> None:
    end_job(store, settings)
    start(load_settings())
    eventually(lambda: outcomes(store) == [UNWANTED], "dropped")
    assert jellyfin.paths == []


def test_nobody_is_told_of_a_skipped_or_cancelled_job(settings: Settings) -> None:
    assert looks_for(settings, JobState.SKIPPED) == looks_for(settings, JobState.CANCELLED) == []
    assert looks_for(settings, JobState.DONE) == ["look:jellyfin"]
    assert looks_for(load_settings(), JobState.DONE) == []


def test_messages_to_people_and_to_servers_are_kept_apart(store: Store, settings: Settings) -> None:
    store.notifications.add_pending(None, "done")
    end_job(store, settings)
    for rows in (store.notifications.pending, store.notifications.recent):
        assert [one.event for one in rows()] == ["done"]
        assert [one.event for one in rows(looks=True)] == ["look:jellyfin"]


def test_it_goes_on_for_about_two_hours() -> None:
    """A server that restarts, or is repaired in the evening, is told after all."""
    assert 1.5 * 3600 < sum(RETRY_DELAYS_S) < 2 * 3600
