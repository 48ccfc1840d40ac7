"""Turns on the CPU, kept for onlookers."""

from __future__ import annotations

from dubarr_watch.store import Store
from dubarr_watch.store.fields import utc_now
from dubarr_watch.store.turns import TurnRecord


def test_turns_of_living_daemons_are_current(store: Store) -> None:
    """Those that compute first; the last word of a daemon replaces what it said before."""
    now = utc_now()
    waits, computes = TurnRecord("llm", 2, False, now), TurnRecord("voice", None, True, now)
    store.meta.set("other", "value")
    store.turns.save("me", [computes])
    store.turns.save("me", [waits, computes])
    store.turns.save("dead", [waits])
    assert store.turns.current(lambda owner: owner == "me") == [computes, waits]
    store.turns.recover(lambda owner: owner == "me")
    assert store.turns.current(lambda owner: True) == [computes, waits]
    store.turns.save("me", [])
    assert store.turns.current(lambda owner: True) == []
    assert store.meta.get("other") == "value"
