"""/health: well, and each way to be unwell."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dubarr_watch.web import fresh
from dubarr_watch.web.desk import health
from tests.web.sites import Site, Told, open_site

Unwell = Callable[[Site, Told], object]


@contextmanager
def locked(site: Site) -> Iterator[None]:
    """Let another process keep the database locked."""
    path = site.shop.settings.database_path
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


def deleted(site: Site, told: Told) -> None:
    site.shop.settings.database_path.unlink()


def replaced(site: Site, told: Told) -> None:
    path = site.shop.settings.database_path
    path.rename(path.with_name("was.db"))
    path.write_bytes(b"no database at all" * 100)


def library(**changes: object) -> Unwell:
    def change(site: Site, told: Told) -> None:
        told.health = replace(told.health, **changes)  # type: ignore[arg-type]

    return change


def no_worker(site: Site, told: Told) -> None:
    told.working = False


@pytest.fixture
def told() -> Told:
    return Told(engines={"translator": "idle"})


@pytest.fixture
def own(tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(health, "_KEPT_S", -1.0)
    monkeypatch.setattr(health, "TOUCH_S", 0.2)
    monkeypatch.setattr(fresh, "KEPT_S", -1.0)
    with open_site(tmp_path, told) as opened:
        yield opened


def test_all_is_well(own: Site) -> None:
    with own.anybody() as nobody:
        answer = nobody.get("/health")
        assert answer.status_code == 200
        assert nobody.head("/health").status_code == 200
        assert nobody.post("/health").status_code == 401
    found = answer.json()
    assert found["status"] == "ok"
    assert found["queue"]["running"] == 0
    assert found["engines"] == {"translator": "idle"}
    kept = own.shop.store.meta.get("touched")
    assert kept is not None
    own.client.get("/health")
    assert own.shop.store.meta.get("touched") != kept, "it is really written"


@pytest.mark.parametrize(
    ("part", "unwell"),
    [
        ("worker", no_worker),
        ("watcher", library(running=False)),
        ("watcher", library(root_present=False)),
        ("watcher", library(still_s=health.STILL_S + 1)),
        ("database", deleted),
        ("database", replaced),
    ],
)
def test_what_is_not_well_is_named(own: Site, told: Told, part: str, unwell: Unwell) -> None:
    unwell(own, told)
    with own.anybody() as nobody:
        answer = nobody.get("/health")
    assert answer.status_code == 503
    found = answer.json()
    assert found["status"] == "unwell"
    assert [name for name in ("worker", "watcher", "database") if not found[name]["ok"]] == [part]
    assert found[part]["detail"]
    assert str(own.shop.settings.config_dir) not in answer.text


def test_a_library_that_is_polled_for_want_of_watches_is_well_and_says_so(
    own: Site, told: Told
) -> None:
    library(problem="The limit of inotify watches is reached.")(own, told)
    answer = own.client.get("/health")
    assert answer.status_code == 200
    assert answer.json()["watcher"] == {
        "ok": True, "detail": "The limit of inotify watches is reached."
    }  # fmt: skip


def test_a_thread_that_waits_its_turn_is_well(own: Site, told: Told) -> None:
    library(still_s=health.STILL_S)(own, told)
    assert own.client.get("/health").status_code == 200


def test_a_database_that_somebody_keeps_locked_is_not_well(own: Site) -> None:
    with locked(own):
        answer = own.client.get("/health")
    assert answer.status_code == 503
    assert not answer.json()["database"]["ok"]
    assert own.client.get("/health").status_code == 200


def test_a_database_that_may_only_be_read_is_not_well(
    own: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system that became read-only; permissions alone do not stop root."""
    connect = sqlite3.connect

    def reading(path: Path, *options: Any, **named: Any) -> sqlite3.Connection:
        found: sqlite3.Connection = connect(f"file:{path}?mode=ro", *options, uri=True, **named)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", reading)
        answer = own.client.get("/health")
    assert answer.status_code == 503
    found = answer.json()
    assert [name for name in ("worker", "watcher", "database") if not found[name]["ok"]] == [
        "database"
    ]
    assert own.client.get("/health").status_code == 200


def test_a_crowd_that_asks_costs_one_look(tmp_path: Path) -> None:
    with open_site(tmp_path) as site:
        first = site.client.get("/health")
        kept = site.shop.store.meta.get("touched")
        assert all(site.client.get("/health").json() == first.json() for _ in range(5))
        assert site.shop.store.meta.get("touched") == kept
