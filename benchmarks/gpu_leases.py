"""Leases of a real card: two that do not fit together, and one whose holder is killed."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.gpu_holder import holder_spec
from benchmarks.gpu_table import Fact
from benchmarks.gpu_watch import seconds_until_free
from dubarr_watch.engines.base import EngineSpec, Span
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.errors import EngineCrashed, EngineStuck
from dubarr_watch.gpu.devices import Gpu, memory
from dubarr_watch.gpu.leases import LeaseBroker
from dubarr_watch.gpu.wishes import Wish

CONTEXT_MIB = 1024
"""More than any CUDA context takes: part of a lease, like the model."""

SHARE = 0.6
"""Of a card, for each of two: more than it holds together."""

BACK_S = 5.0
_UNDER_WAY_S = 60.0
_LOOKS_S = 3.0


@dataclass(frozen=True, slots=True)
class Card:
    """A card under test, and what is handed out of it."""

    host: EngineHost
    broker: LeaseBroker
    gpu: Gpu
    folder: Path

    @property
    def share_mib(self) -> int:
        """More than half of what can be handed out."""
        return int((self.gpu.total_mib - self.broker.rules.margin_mib) * SHARE)

    def spec(self, name: str) -> EngineSpec:
        """Return a holder of that share."""
        return holder_spec(name, self.share_mib - CONTEXT_MIB, CONTEXT_MIB)


def lease_facts(card: Card) -> list[Fact]:
    """Measure both; nothing else may use the card meanwhile."""
    return [*two_at_once(card), *killed(card)]


def two_at_once(card: Card) -> list[Fact]:
    """Ask for more than the card holds: the second must wait, and nothing may fail."""
    with ThreadPoolExecutor(2) as pool:
        first = _hold(card, pool, "first")
        _until(lambda: _holding(card, "first"), first)
        second = _hold(card, pool, "second")
        asked = time.monotonic()
        while time.monotonic() - asked < _LOOKS_S and not _holding(card, "second"):
            time.sleep(0.05)
        overbooked = _holding(card, "second")
        _let_go(card, "first")
        _let_go(card, "second")
        one, other = first.result(), second.result()
    waited = not overbooked and other.start_s >= one.end_s
    return [
        Fact(
            f"two requests of {card.share_mib} MiB each, {card.gpu.total_mib} there",
            f"both done; the second began {other.start_s - one.end_s:.1f} s after the first ended",
            "the second waits, nothing fails",
            waited,
        )
    ]


def killed(card: Card) -> list[Fact]:
    """Kill a holder with -9 in mid-run: its memory and its lease must come back."""
    before_mib = memory(card.gpu.uuid).used_mib
    workers = set(_workers())
    with ThreadPoolExecutor(1) as pool:
        holder = _hold(card, pool, "killed")
        _until(lambda: _holding(card, "killed"), holder)
        (victim,) = set(_workers()) - workers
        victim.kill()
        died = time.monotonic()
        back: list[float] = []
        watcher = threading.Thread(
            target=lambda: back.append(seconds_until_free(card.gpu.uuid, before_mib))
        )
        watcher.start()
        card.broker.acquire(Wish("benchmark", card.share_mib)).release()
        leased_s = time.monotonic() - died
        watcher.join()
        crashed = isinstance(holder.exception(), EngineCrashed)
    return [
        Fact("killed with -9: memory free again after", f"{back[0]:.2f} s"),
        Fact(
            "killed with -9: the same lease granted again after",
            f"{leased_s:.2f} s; its call {'ended in EngineCrashed' if crashed else 'did not end'}",
            f"at most {BACK_S:.0f} s",
            leased_s <= BACK_S and crashed,
        ),
    ]


def _hold(card: Card, pool: ThreadPoolExecutor, name: str) -> Future[Span]:
    def work() -> Span:
        with card.host.engine("transcriber", card.spec(name)) as engine:
            (held,) = engine.voice_activity(card.folder / name)
            return held

    return pool.submit(work)


def _holding(card: Card, name: str) -> bool:
    return (card.folder / name).with_suffix(".holding").exists()


def _let_go(card: Card, name: str) -> None:
    (card.folder / name).touch()


def _workers() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it ended just now
            if "dubarr_watch.engines.worker" in child.cmdline():
                found.append(child)
    return found


def _until(true: Callable[[], bool], holder: Future[Span]) -> None:
    started = time.monotonic()
    while not true():
        if holder.done():
            holder.result()
        if time.monotonic() - started > _UNDER_WAY_S:
            raise EngineStuck("A holder of memory did not start.")
        time.sleep(0.02)
