"""Leases as onlookers see them, and what engines were seen to need."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from dubarr_watch.store import Store
from dubarr_watch.store.fields import utc_now
from dubarr_watch.store.leases import KEPT, LeaseRecord


def a_lease(owner: str = "me", number: int = 1, state: str = "busy", age_s: int = 0) -> LeaseRecord:
    asked = utc_now() - timedelta(seconds=age_s)
    return LeaseRecord(
        owner, number, "translator", "gemma", 7, "GPU-1", "RTX 3090", 9000, 8000, state, "", 42,
        asked, asked, None,
    )  # fmt: skip


def test_a_lease_is_kept_as_it_is_now(store: Store) -> None:
    """Saving one again replaces it; what ended is no longer current."""
    store.leases.save([a_lease(), a_lease(number=2, age_s=9)])
    store.leases.save([replace(a_lease(), state="idle", peak_mib=8500)])
    second, first = store.leases.current()
    assert (first.number, first.state, first.peak_mib) == (1, "idle", 8500)
    assert second.number == 2
    store.leases.save([a_lease(number=2, state="ended")])
    assert [lease.number for lease in store.leases.current()] == [1]


def test_leases_of_dead_daemons_are_lost_with_them(store: Store) -> None:
    """They stay for the post-mortem, with the time at which it was noticed."""
    store.leases.save([a_lease("dead"), a_lease("alive"), a_lease("dead", 2, "ended")])
    assert store.leases.recover(lambda owner: owner == "alive") == 1
    assert [lease.owner for lease in store.leases.current()] == ["alive"]
    states = {(lease.owner, lease.number): lease for lease in store.leases.recent()}
    assert states["dead", 1].state == "lost"
    assert states["dead", 1].ended_at is not None
    assert states["dead", 2].state == "ended"
    assert store.leases.recover(lambda owner: owner == "alive") == 0


def test_old_leases_are_forgotten_and_current_ones_never(store: Store) -> None:
    """The last of those that ended stay, however many came before."""
    store.leases.save([a_lease("me", 1, "busy", age_s=99_999)])
    store.leases.save(a_lease("me", n + 2, "ended", age_s=9000 - n) for n in range(KEPT + 50))
    kept = store.leases.recent(1000)
    assert len(kept) == KEPT + 1
    assert max(lease.number for lease in kept) == KEPT + 51
    assert [lease.number for lease in store.leases.current()] == [1]


def test_the_most_that_was_measured_is_kept(store: Store) -> None:
    """By engine and model, and by the name of the device."""
    needs = store.needs
    assert needs.peak_mib("xtts", "RTX 3090") is None
    for mib in (3000, 4000, 3500):
        needs.keep("xtts", "RTX 3090", mib)
    needs.keep("xtts", "H100", 4200)
    assert needs.peak_mib("xtts", "RTX 3090") == 4000
    assert needs.peaks("RTX 3090") == {"xtts": 4000}
    assert needs.peaks() == {"xtts": 4200}
