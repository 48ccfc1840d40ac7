"""Who asks the page: requests at a rate and open streams, from a process of their own."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

PASSWORD = "made-up-password"
PATHS = ["/api/v1/status", "/health", "/api/v1/leases", "/api/v1/devices"]


@dataclass
class Load:
    """What was asked, and how soon it was answered."""

    seconds: list[float] = field(default_factory=list)
    wrong: int = 0
    heard_bytes: int = 0
    lasted_s: float = 0.0

    def figures(self) -> dict[str, float]:
        """Return requests a second, those answered wrongly, their times and what streams heard."""
        times = sorted(self.seconds) or [0.0]
        return {
            "rate": len(self.seconds) / max(1e-9, self.lasted_s),
            "wrong": self.wrong,
            "p50_ms": statistics.median(times) * 1e3,
            "p99_ms": times[int(0.99 * (len(times) - 1))] * 1e3,
            "heard_kb": self.heard_bytes / 1e3,
        }


def request(path: str) -> bytes:
    code = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {code}\r\n\r\n".encode()


async def ask(port: int, period_s: float, paths: Iterator[str], load: Load) -> None:
    """Ask over one connection, again and again."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    next_s = time.monotonic()
    try:
        while True:
            next_s += period_s
            began_s = time.monotonic()
            writer.write(request(next(paths)))
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            load.seconds.append(time.monotonic() - began_s)
            load.wrong += not head.startswith(b"HTTP/1.1 200")
            await asyncio.sleep(max(0.0, next_s - time.monotonic()))
    finally:
        writer.close()


async def listen(port: int, load: Load) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request("/api/v1/events"))
        while data := await reader.read(65536):
            load.heard_bytes += len(data)
    finally:
        writer.close()


async def bring(port: int, rate: float, streams: int, load: Load) -> None:
    """Bring a load until cancelled."""
    connections = 20
    paths = itertools.cycle(PATHS)
    async with asyncio.TaskGroup() as group:
        for _ in range(streams):
            group.create_task(listen(port, load))
        for _ in range(connections):
            group.create_task(ask(port, connections / rate, paths, load))
            await asyncio.sleep(1 / rate)


class Asker:
    """A process that asks whenever it is told to; as a context manager to its end.

    Others ask from other machines in truth: here it has cores of its own where there are more than
    two, or else takes only what the two leave over, and may leave out no request that is due.

    Args:
        told: A file that what it found is written to.
        port: Whom it asks, on this machine.
        rate: Requests a second.
        streams: That are held open meanwhile.
    """

    def __init__(self, told: Path, port: int, rate: float, streams: int) -> None:
        self._told = told
        self._pid = os.fork()
        if self._pid == 0:
            self._step_aside()
            with suppress(BaseException):
                asyncio.run(self._serve(port, rate, streams))
            os._exit(0)

    def ask(self, *, now: bool) -> None:
        """Begin to ask, or stop."""
        os.kill(self._pid, signal.SIGUSR1 if now else signal.SIGUSR2)

    def end(self) -> dict[str, float]:
        """End it, and return what it found; see `Load.figures`."""
        os.kill(self._pid, signal.SIGTERM)
        os.waitpid(self._pid, 0)
        self._pid = 0
        found: dict[str, float] = json.loads(self._told.read_text())
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)

    @staticmethod
    def _step_aside() -> None:
        others = sorted(os.sched_getaffinity(0))[2:]
        if others:
            os.sched_setaffinity(0, others)
        else:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))

    async def _serve(self, port: int, rate: float, streams: int) -> None:
        asked: asyncio.Queue[str] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        for number, word in ((signal.SIGUSR1, "ask"), (signal.SIGUSR2, "rest"),
                             (signal.SIGTERM, "end")):  # fmt: skip
            loop.add_signal_handler(number, asked.put_nowait, word)
        load, asking, began_s = Load(), None, 0.0
        while (word := await asked.get()) != "end":
            if word == "ask" and asking is None:
                began_s = time.monotonic()
                asking = asyncio.create_task(bring(port, rate, streams, load))
            elif word == "rest" and asking is not None:
                await _ended(asking)
                load.lasted_s += time.monotonic() - began_s
                asking = None
        if asking is not None:
            await _ended(asking)
            load.lasted_s += time.monotonic() - began_s
        self._told.write_text(json.dumps(load.figures()))


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
