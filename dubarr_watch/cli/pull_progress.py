"""How far a pull is: a bar on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from dubarr_watch.engines.catalog import PullProgress

LINE_EVERY_S = 5.0

Report = Callable[[PullProgress], None]


@contextmanager
def shown_progress(
    console: Console, *, clock: Callable[[], float] = time.monotonic
) -> Iterator[Report]:
    """Show progress for the length of a `with` block.

    Args:
        console: Where; bars when it is a terminal.
        clock: Seconds, to space lines out.
    """
    if not console.is_terminal:
        yield _Lines(console, clock)
        return
    columns = (
        TextColumn("{task.fields[model]}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False, style="dim"),
    )
    with Progress(*columns, console=console) as progress:
        yield _Bars(progress)


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, now: PullProgress) -> None:
        if now.model not in self._tasks:
            self._tasks[now.model] = self._progress.add_task("", model=now.model)
        self._progress.update(
            self._tasks[now.model],
            description=now.what,
            completed=now.done_bytes,
            total=now.total_bytes,
        )


class _Lines:
    """One line at a model's start and end, and one every few seconds in between."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._model = ""
        self._next_s = 0.0
        self._before: tuple[float, int] = (0.0, 0)

    def __call__(self, now: PullProgress) -> None:
        at_s = self._clock()
        new = now.model != self._model
        over = now.done_bytes >= now.total_bytes and self._before[1] < now.total_bytes
        if not (new or over or at_s >= self._next_s):
            return
        rate = "" if new else self._rate(at_s, now)
        share = now.done_bytes / max(1, now.total_bytes)
        self._console.print(
            f"{now.model}: {share:.0%} of {now.total_bytes / 1e6:.0f} MB{rate}  {now.what}",
            markup=False,
        )
        self._model, self._next_s = now.model, at_s + LINE_EVERY_S
        self._before = (at_s, now.done_bytes)

    def _rate(self, at_s: float, now: PullProgress) -> str:
        then_s, then_bytes = self._before
        passed_s, came = at_s - then_s, now.done_bytes - then_bytes
        if passed_s <= 0 or came <= 0:
            return ""
        per_s = came / passed_s
        left_s = (now.total_bytes - now.done_bytes) / per_s
        return f"  {per_s / 1e6:.1f} MB/s" + (f"  about {left_s:.0f} s left" if left_s else "")
