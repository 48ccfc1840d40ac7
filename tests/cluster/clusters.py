"""A cluster of real processes on the loopback: scheduler and workers; the daemon's side is here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import psutil

from dubarr_watch.cluster.host import ClusterHost
from dubarr_watch.engines.crew import Member
from dubarr_watch.gpu.leases import LeaseBroker
from dubarr_watch.gpu.wishes import Rules
from dubarr_watch.settings import Settings, load_settings
from tests.composing import Shop, living_below, open_shop
from tests.programs import free_port
from tests.waiting import eventually

SECRET = "made-up-secret-of-a-test-cluster"
START_S = 60.0


class Cluster:
    """A scheduler and workers; as a context manager it ends what is left.

    Args:
        folder: Scratch.
        **environment: Settings of all processes.
    """

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.host = "127.0.0.1"
        self.port = free_port()
        self.environment = {
            "CLUSTER_SECRET": SECRET, "CLUSTER_LEASE_SECONDS": "5", "MOCK_MODE": "true",
            "PROFILE": "embedded", "THREADS": "1", "LOG_FORMAT": "json", "LOG_LEVEL": "debug",
            "MODELS_DIR": str(folder / "models"), **environment,
        }  # fmt: skip
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []

    @property
    def address(self) -> str:
        scheme = "tls" if "CLUSTER_CA" in self.environment else "tcp"
        return f"{scheme}://{self.host}:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        for process in [*self.workers, self.scheduler]:
            if process is not None:
                end_all(process)

    def start_scheduler(self) -> None:
        """Start it, and wait until it listens."""
        self.scheduler = self._start(
            "scheduler", "scheduler", "--host", self.host, "--port", str(self.port)
        )
        eventually(lambda: '"event": "scheduler"' in self.log("scheduler"), "scheduler", START_S)

    def start_worker(
        self,
        *,
        supervised: bool = False,
        wait: bool = True,
        prefix: Sequence[str] = (),
        **environment: str,
    ) -> subprocess.Popen[bytes]:
        """Start a worker, with what starts it again or without, and wait until it is registered."""
        name = f"worker-{len(self.workers)}"
        process = self._start(
            name,
            "worker",
            "--scheduler",
            self.address,
            *([] if supervised else ["--one"]),
            prefix=prefix,
            **environment,
        )
        self.workers.append(process)
        if wait:
            eventually(lambda: '"event": "worker"' in self.log(name), name, START_S)
        return process

    def log(self, name: str) -> str:
        """Return what a process has written."""
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def settings(self, **values: Any) -> dict[str, Any]:
        """Return the settings of a daemon of this cluster."""
        return {"executor": "dask", "scheduler": self.address, "cluster_secret": SECRET,
                "cluster_lease_seconds": 5, **values}  # fmt: skip

    def _start(
        self, name: str, *arguments: str, prefix: Sequence[str] = (), **environment: str
    ) -> subprocess.Popen[bytes]:
        config = self.folder / name
        config.mkdir(exist_ok=True)
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [*prefix, sys.executable, "-m", "dubarr_watch", *arguments],
                stdin=subprocess.PIPE, stdout=log, stderr=log,
                env={**os.environ, **self.environment, "CONFIG_DIR": str(config), **environment},
            )  # fmt: skip


@contextmanager
def open_cluster_shop(
    folder: Path,
    cluster: Cluster,
    *,
    on_lost: Callable[[Member], None] = lambda member: None,
    **values: Any,
) -> Iterator[Shop]:
    """Open a shop whose engines run in a cluster."""
    folder.mkdir(exist_ok=True)
    with open_shop(folder, **cluster.settings(**values)) as shop:
        host = ClusterHost(shop.settings, LeaseBroker((), Rules.of(shop.settings)))
        host.on_lost = on_lost
        shop.host = host
        try:
            yield shop
        finally:
            host.close()


@contextmanager
def open_host(folder: Path, cluster: Cluster, **values: Any) -> Iterator[ClusterHost]:
    """Open a daemon's host of a cluster, without a daemon."""
    folder.mkdir(exist_ok=True)
    settings: Settings = load_settings(
        config_dir=folder, models_dir=folder, **cluster.settings(**values)
    )
    host = ClusterHost(settings, LeaseBroker((), Rules.of(settings)))
    try:
        yield host
    finally:
        host.close()


def engines_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return the engine processes of a worker."""
    return living_below(psutil.Process(process.pid))


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process as a power cut would; not what it has started."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def end_all(process: subprocess.Popen[bytes]) -> None:
    """End a process and all below it."""
    try:
        below = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        below = []
    for one in below:
        if one.is_running():
            try:
                one.kill()
            except psutil.NoSuchProcess:
                continue
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()
