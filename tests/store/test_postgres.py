"""What is only so of a server: its refusals, its restarts, and who waits for whom."""

from __future__ import annotations

import threading
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from dubarr_watch.errors import StoreCorrupt, StoreError, StoreUnreachable, worth_another_try
from dubarr_watch.store import Store
from dubarr_watch.store.opening import server as opened_server
from dubarr_watch.store.records import JobState
from tests.store.conftest import a_job, a_video
from tests.store.server import Emptied, Server, running_server
from tests.waiting import eventually


@pytest.fixture
def url(emptied: Emptied) -> SecretStr:
    emptied.empty()
    return emptied.url


def test_a_wrong_password_is_told_and_not_repeated(url: SecretStr) -> None:
    password = urlsplit(url.get_secret_value()).password or ""
    wrong = SecretStr(url.get_secret_value().replace(password, "made-up-and-wrong"))
    with pytest.raises(StoreError, match="refuses its user or password") as error:
        Store.open(wrong)
    assert "made-up" not in str(error.value)


def test_a_database_that_is_not_there_is_told(server: Server) -> None:
    with pytest.raises(StoreError, match=r"no such database.*createdb"):
        Store.open(server.url("nowhere"))


@pytest.mark.parametrize("rest", ["me:made%up-pass@h/x", "me:made-up-pass@[h/x"])
def test_a_url_that_cannot_be_read_is_not_repeated(server: Server, rest: str) -> None:
    with pytest.raises(StoreError, match="DATABASE_URL cannot be read") as error:
        Store.open(SecretStr(f"postgresql://{rest}"))
    assert "up-pass" not in str(error.value)


def test_a_server_that_is_away_is_told_and_worth_another_try() -> None:
    with pytest.raises(StoreUnreachable, match="does not answer") as error:
        Store.open(SecretStr("postgresql://me:made-up@127.0.0.1:9/x"))
    assert worth_another_try(error.value)
    assert "made-up" not in str(error.value)


def test_somebody_else_s_tables_are_left_alone(server: Server) -> None:
    url = server.new()
    other = opened_server(url)
    other.execute("CREATE TABLE theirs (a INTEGER)")
    with pytest.raises(StoreCorrupt, match="not one of dubarr-watch"):
        Store.open(url)
    other.close()


def test_work_goes_on_after_the_server_was_restarted() -> None:
    """Each thread takes a new connection; what was written is there."""
    with running_server() as server, Store.open(server.new()) as store:
        job = a_job(store)

        def be_cut_off() -> None:
            with store.transaction():
                server.stop()
                store.meta.set("a", "lost")

        with pytest.raises(StoreUnreachable):
            be_cut_off()
        with pytest.raises(StoreUnreachable):
            store.meta.get("a")
        server.start()
        assert store.meta.get("a") is None
        assert store.jobs.get(job.id) == job
        with store.transaction():
            store.meta.set("a", "kept")
        assert store.meta.get("a") == "kept"


def test_a_worker_that_publishes_keeps_nobody_from_claiming(url: SecretStr) -> None:
    """Its job alone is held: other jobs are claimed, and nobody takes its own back meanwhile."""
    with Store.open(url) as store:
        job = store.jobs.claim_job(a_job(store).id, "me", lease_s=-1.0)
        other = a_job(store, name="Other.mkv")
        found: list[object] = []

        def beside() -> None:
            found.append(store.recovery.recover(lambda owner: True, max_attempts=3))
            claimed = store.jobs.claim("you")
            found.append(claimed and claimed.id)

        with store.under(job.id, job.token).transaction(alone=False):
            thread = threading.Thread(target=beside)
            thread.start()
            thread.join(20)
            assert not thread.is_alive()
        assert found == [[], other.id]
        assert [one.id for one in store.recovery.recover(lambda owner: True, max_attempts=3)] == [
            job.id
        ]


def test_what_is_asked_for_while_a_job_is_claimed_is_not_lost(url: SecretStr) -> None:
    """A language joins a job that has not started, or becomes a job of its own."""
    claimed: dict[int, tuple[str, ...]] = {}
    with Store.open(url) as store:
        for number in range(20):
            name, start = f"{number}.mkv", threading.Barrier(2)
            first = a_job(store, "es", name=name)

            def claim(start: threading.Barrier = start) -> None:
                start.wait()
                # A job that is just being asked for is passed over.
                eventually(
                    lambda: (
                        (job := store.jobs.claim("me")) is not None
                        and bool(claimed.setdefault(job.id, job.languages))
                    )
                )

            thread = threading.Thread(target=claim)
            thread.start()
            start.wait()
            a_job(store, "es", "fr", name=name)
            thread.join(20)
            assert not thread.is_alive()
            jobs = store.jobs.for_video(first.video.id)
            doing = [code for job in jobs for code in claimed.get(job.id, job.languages)]
            assert sorted(doing) == ["es", "fr"], jobs
            for job in jobs:
                if job.state is JobState.QUEUED:
                    store.jobs.cancel(job.id)


def test_a_null_byte_in_a_reason_is_kept_as_an_escape(url: SecretStr) -> None:
    with Store.open(url) as store:
        store.videos.set_note(a_video(store).id, "a\0b")
        assert store.videos.get(a_video(store).id).note == "a\\x00b"


def test_the_next_of_many_jobs_is_found_without_sorting_them(
    url: SecretStr, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the server has counted its rows, and after."""
    with Store.open(url) as store:
        queue_more(store, a_job(store).id, 5000)
        server, asked = store._database._server, list[tuple[str, object]]()  # type: ignore[attr-defined]
        run = server.execute_sql

        def watched(sql: str, values: object = None) -> object:
            asked.append((sql, values))
            return run(sql, values)

        for _ in range(2):
            monkeypatch.setattr(server, "execute_sql", watched)
            assert store.jobs.claim("me") is not None
            monkeypatch.undo()
            questions = [(sql, values) for sql, values in asked if "ORDER BY" in sql]
            assert len(questions) == 2
            for sql, values in questions:
                plan = "\n".join(row[0] for row in run(f"EXPLAIN {sql}", values))
                assert "jobs_next" in plan, plan
                assert "Sort" not in plan, plan
            asked.clear()
            store._database.rows("ANALYZE jobs")


def queue_more(store: Store, job_id: int, count: int) -> None:
    """Queue copies of a job."""
    columns = ", ".join(
        name
        for (name,) in store._database.rows(
            "SELECT column_name::text FROM information_schema.columns"
            " WHERE table_name = 'jobs' AND column_name <> 'id'"
        )
    )
    store._database.execute(
        f"INSERT INTO jobs ({columns}) SELECT {columns} FROM jobs, generate_series(1, ?)"
        " WHERE id = ?", count, job_id,
    )  # fmt: skip
