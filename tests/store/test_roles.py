"""What one process at a time does for all."""

from __future__ import annotations

import threading

from dubarr_watch.store import Store
from dubarr_watch.store.models import Meta

LONG_AGO_S = -1.0


def test_one_of_many_that_want_a_role_has_it(store: Store) -> None:
    start, took = threading.Barrier(6), list[str]()

    def take(owner: str) -> None:
        start.wait()
        if store.roles.take("lookout", owner):
            took.append(owner)

    threads = [threading.Thread(target=take, args=(f"{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(took) == 1
    assert store.roles.holder("lookout") == took[0]


def test_a_role_is_kept_by_signs_of_life_and_anybody_s_without(store: Store) -> None:
    assert store.roles.take("lookout", "me")
    assert store.roles.take("lookout", "me", lease_s=LONG_AGO_S)
    assert store.roles.holder("lookout") == ""
    assert store.roles.take("lookout", "you")
    assert not store.roles.take("lookout", "me")


def test_a_role_is_given_up_by_who_has_it(store: Store) -> None:
    store.roles.take("lookout", "me")
    store.roles.give_up("lookout", "you")
    assert store.roles.holder("lookout") == "me"
    store.roles.give_up("lookout", "me")
    assert store.roles.holder("lookout") == ""


def test_what_nobody_has_any_more_is_forgotten(store: Store) -> None:
    """A process that is gone leaves nothing behind."""
    store.roles.take("alive 1", "1", lease_s=LONG_AGO_S)
    store.roles.take("alive 2", "2")
    rows = store._database.all(Meta.select().where(Meta.key.startswith("role ")))
    assert [row.key for row in rows] == ["role alive 2"]
