"""Daemons that share a card know of each other's leases, however they die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from dubarr_watch.gpu.entries import LeaseState, Peer
from dubarr_watch.gpu.inventory import Gpu, GpuProcess, Memory
from dubarr_watch.gpu.leases import LeaseBroker
from dubarr_watch.gpu.shared import STALE_S, SharedLedger
from dubarr_watch.gpu.wishes import Rules, Wish
from tests.gpu.simulated import a_gpu
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
CARD = a_gpu(0, 10_000)


class StillCard:
    """A driver whose card nobody uses: only leases tell what is taken."""

    def memory(self, uuid: str) -> Memory:
        return Memory(10_000, 0, 10_000)

    def processes(self, uuid: str) -> tuple[GpuProcess, ...]:
        return ()


@contextmanager
def a_daemon(folder: Path, name: str, gpu: Gpu = CARD) -> Iterator[LeaseBroker]:
    rules = Rules(margin_mib=0, stall_s=60.0)
    ledger = SharedLedger(folder, name)
    broker = LeaseBroker([gpu], rules, driver=StillCard(), ledger=ledger)
    try:
        yield broker
    finally:
        broker.close()


def peers(ledger: SharedLedger) -> tuple[Peer, ...]:
    with ledger.deciding(["GPU-0"]) as found:
        assert found is not None
        return found["GPU-0"]


def peers_or_none(ledger: SharedLedger) -> tuple[Peer, ...] | None:
    """Look, unless somebody decides just now."""
    with ledger.deciding(["GPU-0"]) as found:
        return None if found is None else found["GPU-0"]


def tell(ledger: SharedLedger, told: Peer) -> None:
    with ledger.deciding(["GPU-0"]) as found:
        assert found is not None
        ledger.publish("GPU-0", told)


def test_a_daemon_sees_what_the_others_hold_and_not_itself(tmp_path: Path) -> None:
    """The last word of each counts."""
    one, two, three = (SharedLedger(tmp_path, name) for name in "abc")
    tell(one, Peer(leased_mib=4000, loading=True))
    tell(two, Peer(leased_mib=100))
    tell(one, Peer(leased_mib=40))
    assert peers(three) == (Peer(leased_mib=40), Peer(leased_mib=100))
    assert peers(one) == (Peer(leased_mib=100),)
    one.close()
    assert peers(three) == (Peer(leased_mib=100),)
    assert not list(tmp_path.glob("*.a.json"))
    two.close()


def test_one_decides_at_a_time(tmp_path: Path) -> None:
    """Who comes second is told to come again; other devices are not concerned."""
    one, two = SharedLedger(tmp_path, "a"), SharedLedger(tmp_path, "b")
    with one.deciding(["GPU-0"]), two.deciding(["GPU-0", "GPU-1"]) as found:
        assert found is None
    with one.deciding(["GPU-0"]), two.deciding(["GPU-1"]) as found:
        assert found == {"GPU-1": ()}


def test_who_waits_and_says_nothing_more_holds_nobody_up(tmp_path: Path) -> None:
    """A daemon that was stopped keeps what it leased, and loses its place in line."""
    now = [1000.0]
    one = SharedLedger(tmp_path, "a", clock=lambda: now[0])
    two = SharedLedger(tmp_path, "b", clock=lambda: now[0])
    told = Peer(leased_mib=10, waiting_rank=5.0, waiting_mib=700)
    tell(one, told)
    now[0] += STALE_S
    assert peers(two) == (told,)
    now[0] += 0.1
    assert peers(two) == (Peer(leased_mib=10),)
    one.close()


def test_a_file_that_cannot_be_read_stops_everything_else(tmp_path: Path) -> None:
    """Nobody knows what its daemon holds: better wait than run out of memory."""
    one, two = SharedLedger(tmp_path, "a"), SharedLedger(tmp_path, "b")
    tell(one, Peer(leased_mib=10))
    (tmp_path / "GPU-0.a.json").write_bytes(b"{half")
    assert peers(two) == (Peer(loading=True),)
    one.close()


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """Whoever opens it can say so at once."""
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        SharedLedger(tmp_path / "file" / "leases", "a")


def test_two_daemons_never_lease_more_than_there_is(tmp_path: Path) -> None:
    """The second waits for the first, and gets the memory soon after."""
    with a_daemon(tmp_path, "a") as one, a_daemon(tmp_path, "b") as two, ExitStack() as stack:
        first = stack.enter_context(one.lease("a", 6000))
        first.loaded()
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(two.acquire, Wish("b", 6000))
            eventually(lambda: len(two.entries()) == 1, "the second asked")
            eventually(lambda: "other daemons 6000" in two.entries()[0].why, "it knows why")
            assert not asked.done()
            first.release()
            second = asked.result(timeout=20)
        assert second.mib == 6000
        second.release()


def test_an_idle_engine_leaves_for_another_daemon(tmp_path: Path) -> None:
    """The rotation goes on across daemons."""
    with a_daemon(tmp_path, "a") as one, a_daemon(tmp_path, "b") as two:
        first = one.acquire(Wish("a", 6000))
        left: list[bool] = []

        def leave() -> None:
            left.append(True)
            first.release()

        first.on_leave(leave)
        first.idle()
        second = two.acquire(Wish("b", 6000))
        assert left == [True]
        assert first.state is LeaseState.ENDED
        second.release()


def test_what_was_told_is_taken_back_while_others_decide(tmp_path: Path) -> None:
    """The last lease ends in a moment in which another daemon has the lock."""
    watcher = SharedLedger(tmp_path, "watcher")
    with a_daemon(tmp_path, "a") as broker:
        lease = broker.acquire(Wish("a", 6000))
        with watcher.deciding(["GPU-0"]):
            lease.release()
            assert broker.entries() == []
        eventually(lambda: peers_or_none(watcher) == (Peer(),), "it says that nothing is leased")


def test_a_daemon_that_was_killed_counts_no_more(tmp_path: Path) -> None:
    """The kernel lets go of its lock, whatever its file says."""
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert "leased\n" in iter(holder.stdout.readline, "")
        watcher = SharedLedger(tmp_path, "watcher")
        eventually(lambda: peers_or_none(watcher) == (Peer(9000, 0, True),), "it counts")
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        assert peers(watcher) == ()
        assert not list(tmp_path.glob("*.holder.json"))
    finally:
        holder.kill()
        holder.wait()
        if holder.stdout is not None:
            holder.stdout.close()


_HOLDER = """
import sys, time
from pathlib import Path
from tests.gpu.test_leases_shared import a_daemon

with a_daemon(Path(sys.argv[1]), "holder") as broker, broker.lease("a", 9000):
    print("leased", flush=True)
    time.sleep(600)
"""
