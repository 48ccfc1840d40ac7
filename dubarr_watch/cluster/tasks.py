"""The functions that Dask runs on a worker. Dask names them by module: all sides have this file."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

import distributed
from distributed import Worker, get_worker
from distributed.protocol import serialize_bytes

from dubarr_watch import __version__
from dubarr_watch.cluster.bench import Bench
from dubarr_watch.cluster.handshake import strangers
from dubarr_watch.cluster.orders import Answer, Mark, Order

_TELL_EVERY_S = 0.25
_TOLD_BYTES = 16 * 1024
"""The scheduler keeps the last hundred of what is told to each daemon."""

BENCH = "dubarr_bench"
"""Attribute of the Dask worker that holds its bench."""


def serve(order: Order) -> Answer:
    """Carry an order out; see `Bench.serve`."""
    worker = get_worker()
    key = worker.get_current_task()

    def unwanted() -> bool:
        # Dask forgets a task that was cancelled, or whose daemon is gone; its thread runs on.
        task = worker.state.tasks.get(key)
        return task is None or task.state not in ("executing", "long-running")

    told_s, lock = 0.0, threading.Lock()

    def tell(done: float, total: float) -> None:
        nonlocal told_s
        with lock:
            now = time.monotonic()
            if now - told_s < _TELL_EVERY_S and done < total:
                return
            told_s = now
        news = {"order": order.id, "done": float(done), "total": float(total)}
        worker.loop.add_callback(worker.log_event, order.topic, news)

    answer = _bench(worker).serve(order, unwanted=unwanted, tell=tell)
    if sum(len(one.content or b"") for one in answer.made) < _TOLD_BYTES:
        told = serialize_bytes(answer)
        if len(told) < _TOLD_BYTES:
            # It is there before Dask says that the task is done, and need not be fetched.
            heard = {"order": order.id, "task": key, "answer": told}
            worker.loop.add_callback(worker.log_event, order.topic, heard)
    return answer


def keep_piece(key: str, name: str, at: int, piece: bytes, size: int) -> int:
    """Write a piece of a file that is sent; see `Bench.keep`."""
    return _bench(get_worker()).keep(key, name, at, piece, size)


def read_piece(path: Path, at: int, size: int) -> bytes:
    """Return a piece of a file; see `Bench.read`."""
    return _bench(get_worker()).read(path, at, size)


def keep_made(path: Path, key: str, name: str) -> None:
    """Keep a file that was fetched; see `Bench.settle`."""
    _bench(get_worker()).settle(path, key, name)


@dataclass(frozen=True, slots=True)
class About:
    """What a process of a cluster says of itself.

    Attributes:
        version: Of dubarr-watch.
        dask: Of Dask's distributed.
        shares: A worker sees the daemon's WORK_DIR.
        lacks: Models that a worker does not have.
        strangers: Hosts that called lately with another CLUSTER_SECRET.
    """

    version: str
    dask: str
    shares: bool = False
    lacks: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()


def about(mark: Mark, models: tuple[str, ...], dask_worker: Worker | None = None) -> About:
    """Tell about this process.

    Args:
        mark: Of the daemon's WORK_DIR.
        models: What it is asked for.
        dask_worker: Filled in by Dask on a worker.
    """
    bench: Bench | None = getattr(dask_worker, BENCH, None)
    return About(
        __version__,
        distributed.__version__,
        bench is not None and bench.shares(mark),
        () if bench is None else bench.lacks(models),
        tuple(strangers()),
    )


def _bench(worker: Worker) -> Bench:
    bench: Bench = getattr(worker, BENCH)
    return bench
