"""`dubarr-watch worker`: one process for each GPU, started again when it ends by itself."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from dubarr_watch.cluster.joining import join
from dubarr_watch.engines.placing import offered_devices
from dubarr_watch.engines.process import ChildProcess
from dubarr_watch.gpu.devices import child_environment
from dubarr_watch.gpu.inventory import Gpu
from dubarr_watch.settings import Settings, whole_environment

log = structlog.get_logger(__name__)

_LOOK_EVERY_S = 0.25
_WAITS_S = (0.5, 1.0, 2.0, 5.0, 10.0)
_WELL_S = 60.0
"""A process that lived for so long was well: the next one need not wait."""


@dataclass(slots=True)
class _Post:
    """A device, and the process that works there."""

    device: str
    environment: Mapping[str, str]
    process: ChildProcess | None = None
    started_s: float = 0.0
    ended: int = 0
    not_before_s: float = 0.0


def run_workers(settings: Settings, *, scheduler: str) -> None:
    """Keep one worker for each GPU, or one without, until SIGTERM or SIGINT.

    Each sees its GPU alone, by UUID. Its models run in processes below it, so what goes wrong in
    one device's driver does not take the others along.

    Args:
        settings: This machine's.
        scheduler: Address of the scheduler; SCHEDULER when empty.

    Raises:
        UserMustProvide: A setting is missing.
        DeviceError: DEVICE asks for a GPU that is not there.
    """
    address, _ = join(settings, scheduler)
    inventory = offered_devices(settings)
    # It starts in another folder, where a relative path would mean another one.
    inherited = whole_environment() | {
        "CONFIG_DIR": str(settings.config_dir),
        "MODELS_DIR": str(settings.models_dir),
    }
    posts = posts_of(inventory.gpus, inherited)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    log.info("workers", scheduler=address, devices=[post.device for post in posts])
    try:
        while not stopping.wait(_LOOK_EVERY_S):
            for post in posts:
                _look_after(post, address)
    finally:
        for post in posts:
            if post.process is not None:
                post.process.end()


def posts_of(gpus: Sequence[Gpu], inherited: Mapping[str, str]) -> list[_Post]:
    """Return a post for each GPU, which sees that one alone; without any, one that sees none."""
    seen = [_Post(gpu.uuid, {**inherited, **child_environment(gpu.uuid)}) for gpu in gpus]
    return seen or [_Post("cpu", {**inherited, "CUDA_VISIBLE_DEVICES": ""})]


def _look_after(post: _Post, address: str) -> None:
    now = time.monotonic()
    if post.process is not None:
        if post.process.running():
            return
        how = post.process.how_it_ended()
        post.process.end(at_once=True)
        post.process = None
        post.ended = 0 if now - post.started_s > _WELL_S else post.ended + 1
        wait_s = _WAITS_S[min(post.ended, len(_WAITS_S) - 1)]
        post.not_before_s = now + wait_s
        log.warning("worker ended", device=post.device, how=how, again_in_s=wait_s)
    if now < post.not_before_s:
        return
    post.started_s = now
    post.process = ChildProcess(
        f"worker {post.device}",
        [sys.executable, "-m", "dubarr_watch", "worker", "--scheduler", address, "--one"],
        environment=post.environment,
        on_line=lambda line: print(line, file=sys.stderr, flush=True),  # noqa: T201 - its log
    )
