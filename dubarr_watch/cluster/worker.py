"""One Dask worker: one device, the engines on it, and what it announces."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import structlog
from distributed import Worker

from dubarr_watch.cluster.bench import Bench
from dubarr_watch.cluster.joining import join
from dubarr_watch.cluster.orders import Peaks
from dubarr_watch.cluster.tasks import BENCH
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.placing import offered_devices
from dubarr_watch.gpu.inventory import Inventory
from dubarr_watch.gpu.opening import open_broker
from dubarr_watch.settings import Settings

log = structlog.get_logger(__name__)

GOODBYE = "dubarr-goodbye"
"""Topic under which a worker says that it leaves on purpose."""

_START_S = 60.0
"""Longer than this nobody waits for a scheduler: whoever started this process starts another."""

_FILE_THREADS = 4
_GPU_THREADS = 8
"""Calls of engines that share a GPU; their `vram_mib` bounds them, not their threads."""


def resources_of(settings: Settings, inventory: Inventory) -> dict[str, float]:
    """Return what a worker announces: MiB of GPU memory to be leased, and turns on the CPU."""
    cpu = {"cpu": float(settings.cpu_slots)}
    mib = sum(gpu.total_mib - settings.gpu_margin_mib for gpu in inventory.gpus)
    return {"vram_mib": float(mib), **cpu} if mib > 0 else cpu


def run_worker(settings: Settings, *, scheduler: str) -> bool:
    """Work until the scheduler is gone, SIGTERM comes, or standard input ends.

    Args:
        settings: This worker's.
        scheduler: Its address; SCHEDULER when empty.

    Returns:
        Whether it was asked to end.

    Raises:
        UserMustProvide: A setting is missing.
        DeviceError: DEVICE asks for a GPU that is not there.
    """
    address, security = join(settings, scheduler)
    inventory = offered_devices(settings)
    peaks = Peaks()
    base = settings.config_dir / "run" / "cluster"
    base.mkdir(parents=True, exist_ok=True)
    _remove_left(base)
    folder = Path(tempfile.mkdtemp(dir=base))
    lock = (folder / "lock").open("a")
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        with open_broker(settings, inventory=inventory, needs=peaks) as broker:
            host = EngineHost(settings, broker)
            try:
                return asyncio.run(
                    _work(settings, address, security, inventory, host, peaks, folder)
                )
            finally:
                host.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()


async def _work(
    settings: Settings, address: str, security: Any, inventory: Inventory, host: EngineHost,
    peaks: Peaks, folder: Path,
) -> bool:  # fmt: skip
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    threading.Thread(target=_heed_end, args=(loop, stop), name="stdin", daemon=True).start()
    gpus = [{"uuid": gpu.uuid, "name": gpu.name, "total_mib": gpu.total_mib, "index": gpu.index}
            for gpu in inventory.gpus]  # fmt: skip
    machine = socket.gethostname()
    device = inventory.gpus[0].uuid if inventory.gpus else "cpu"
    worker = Worker(
        address,
        nthreads=settings.cpu_slots + _FILE_THREADS + (_GPU_THREADS if inventory.gpus else 0),
        name=f"{machine}-{device}-{os.getpid()}",
        resources=resources_of(settings, inventory),
        security=security or {},
        local_directory=str(folder / "dask"),
        memory_limit=0,
        dashboard=False,
        dashboard_address="127.0.0.1:0",
        startup_information={"dubarr": lambda _: {"machine": machine, "gpus": gpus}},
        death_timeout=_START_S,
    )
    bench = Bench(settings, host, peaks, lambda: worker.address, machine, folder / "bench")
    setattr(worker, BENCH, bench)  # before it is known to the scheduler
    async with worker:
        log.info("worker", address=worker.address, scheduler=address, device=device,
                 resources=worker.state.total_resources)  # fmt: skip
        try:
            closed = asyncio.ensure_future(worker.finished())
            stopped = asyncio.ensure_future(stop.wait())
            await asyncio.wait([closed, stopped], return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                worker.log_event(GOODBYE, {"worker": worker.address})
                await asyncio.sleep(0.05)  # it goes out with the next batch of messages
            stopped.cancel()
        finally:
            await asyncio.to_thread(bench.close)
    return stop.is_set()


def _heed_end(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """End when whoever started this process is gone: its end of standard input closes then."""
    with contextlib.suppress(OSError):
        while os.read(sys.stdin.fileno(), 1024):
            pass
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(stop.set)


def _remove_left(base: Path) -> None:
    """Remove the files of workers that were killed: they hold no lock any more.

    Containers that share CONFIG_DIR do not see each other's processes, so pids would not tell.
    """
    for lock in base.glob("*/lock"):
        with contextlib.suppress(OSError), lock.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)
