"""The functions that Dask runs on a worker. Dask names them by module: all sides have this file."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from distributed import Worker, get_worker

from dubarr_watch.cluster.bench import Bench
from dubarr_watch.cluster.orders import Answer, Order

_TELL_EVERY_S = 0.25

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

    return _bench(worker).serve(order, unwanted=unwanted, tell=tell)


def keep_piece(key: str, name: str, at: int, piece: bytes, size: int) -> int:
    """Write a piece of a file that is sent; see `Bench.keep`."""
    return _bench(get_worker()).keep(key, name, at, piece, size)


def read_piece(path: Path, at: int, size: int) -> bytes:
    """Return a piece of a file; see `Bench.read`."""
    return _bench(get_worker()).read(path, at, size)


def drop_file(path: Path) -> None:
    """Forget a file that was fetched; see `Bench.drop`."""
    _bench(get_worker()).drop(path)


def _bench(worker: Worker) -> Bench:
    bench: Bench = getattr(worker, BENCH)
    return bench
