"""`dubarr-watch restore` on real databases."""

from __future__ import annotations

import fcntl

from dubarr_watch.store import Store
from tests.cli.conftest import Call, Home
from tests.cli.test_status import a_job


def test_without_copies_it_says_who_makes_them(call: Call) -> None:
    said = call("restore")
    assert said.exit_code == 0
    assert "the daemon makes one each day" in said.stdout


def test_the_newest_copy_replaces_a_damaged_database(call: Call, home: Home) -> None:
    """First it is listed with what to type, then it is put back."""
    with Store.open(home.database) as store:
        job = a_job(store, home.videos, "Film.mkv")
        store.backups.make("2026-01-30")
    home.database.write_bytes(b"damaged" * 1000)
    assert "dubarr-watch restore" in call("status").stderr
    listed = call("restore").stdout
    assert "dubarr-2026-01-30.db" in listed
    assert "dubarr-watch restore newest" in listed
    assert call("restore", "newest").exit_code == 0
    with Store.open(home.database) as store:
        assert store.jobs.get(job.id).video.path.name == "Film.mkv"
    assert len(list(home.config.glob("dubarr.db.replaced-*"))) == 1


def test_beside_a_running_daemon_nothing_is_replaced(call: Call, home: Home) -> None:
    with Store.open(home.database) as store:
        store.backups.make("2026-01-30")
    before = home.database.read_bytes()
    (home.config / "run").mkdir()
    with (home.config / "run" / "daemon.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        said = call("restore", "newest")
    assert said.exit_code == 2
    assert "Stop it first" in said.stderr
    assert home.database.read_bytes() == before


def test_a_copy_that_is_not_there_is_named(call: Call, home: Home) -> None:
    said = call("restore", str(home.config / "none.db"))
    assert said.exit_code == 2
    assert "no such copy" in said.stderr
    assert call("restore", "newest").exit_code == 2
