"""What takes longer than a request: pulling a model, making a line anew."""

from __future__ import annotations

import itertools
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from pydantic import BaseModel, Field

from dubarr_watch.errors import DubarrError, IllegalTransition, JobCancelled, NotInStore
from dubarr_watch.settings import Settings

log = structlog.get_logger(__name__)

KEPT = 50
MOST_WAITING = 50
"""Of a kind; whoever asks for more is told to wait."""

_TOLD_STEP = 0.005

Report = Callable[[str, float], None]
"""Called with (what is being done, share done)."""

Work = Callable[[Report], None]
_UNDER_WAY = ("waiting", "running")


class Task(BaseModel):
    """Something under way, or how it ended."""

    id: int
    kind: str = Field(description="pull or redo")
    about: str = Field(description="the model's name, or `job/language/line`")
    state: str = Field(description="waiting, running, done or failed")
    ahead: int = Field(default=0, description="how many of its kind are done before it")
    step: str = Field(description="what is being done")
    progress: float = Field(description="0 to 1")
    error: str = ""
    hint: str = ""
    started_at: datetime
    finished_at: datetime | None = None


class Tasks:
    """Runs tasks, those of a kind one after another in a thread of their own.

    Args:
        settings: Their secrets are blotted out of errors.
        tell: Called with (`task`, JSON) when something changed.
        stopping: Whether the program was asked to stop: then nothing more is begun.
    """

    def __init__(
        self,
        settings: Settings,
        tell: Callable[[str, str], None],
        *,
        stopping: Callable[[], bool] = bool,
    ) -> None:
        self._settings = settings
        self._tell = tell
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._tasks: OrderedDict[int, Task] = OrderedDict()
        self._waiting: dict[str, deque[tuple[Task, Work]]] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._asked_to_stop = stopping
        self._closing = threading.Event()

    def start(
        self, kind: str, about: str, work: Work, *, first: Callable[[], None] = lambda: None
    ) -> Task:
        """Start something as soon as nothing else of its kind is being done.

        Args:
            kind: Of one kind, one is done at a time.
            about: What it is done to.
            work: Does it.
            first: Called before it can begin, once it is sure that it will.

        Raises:
            IllegalTransition: Somebody asked for the same already, or too much waits.
        """
        with self._lock:
            for other in self._tasks.values():
                if (other.kind, other.about) == (kind, about) and other.state in _UNDER_WAY:
                    raise IllegalTransition("This is being done already.", hint="Wait for it.")
            waiting = self._waiting.setdefault(kind, deque())
            if len(waiting) >= MOST_WAITING:
                raise IllegalTransition(f"{len(waiting)} of these wait already.", hint="Wait.")
            first()
            task = Task(id=next(self._numbers), kind=kind, about=about, state="waiting", step="",
                        progress=0, started_at=datetime.now(UTC))  # fmt: skip
            self._tasks[task.id] = task
            for old in [one for one in self._tasks.values()
                        if one.state not in _UNDER_WAY][:-KEPT]:  # fmt: skip
                del self._tasks[old.id]
            waiting.append((task, work))
            task.ahead = len(waiting) - 1 + (kind in self._threads)
            if kind not in self._threads:
                thread = threading.Thread(
                    target=self._work_off, args=(kind,), name=kind, daemon=True
                )
                self._threads[kind] = thread
                thread.start()
            return task.model_copy()

    def close(self, timeout_s: float) -> None:
        """Begin nothing more, and wait for the end of what heeds that the program stops."""
        self._closing.set()
        until_s = time.monotonic() + timeout_s
        with self._lock:
            threads = list(self._threads.values())
        for thread in threads:
            thread.join(max(0.0, until_s - time.monotonic()))

    def stop_if_closing(self) -> None:
        """Raise JobCancelled when the program stops."""
        if self._is_ending():
            raise JobCancelled("Stopped with the program.", hint="Ask for it again.")

    def get(self, task_id: int) -> Task:
        """Return a task.

        Raises:
            NotInStore: There is none with that id, or not any more.
        """
        with self._lock:
            if task_id not in self._tasks:
                raise NotInStore(f"There is no task {task_id}.")
            return self._tasks[task_id].model_copy()

    def all(self) -> list[Task]:
        """Return what is under way and what ended last, newest first."""
        with self._lock:
            return [task.model_copy() for task in reversed(self._tasks.values())]

    def _is_ending(self) -> bool:
        return self._closing.is_set() or self._asked_to_stop()

    def _work_off(self, kind: str) -> None:
        while True:
            with self._lock:
                waiting = self._waiting[kind]
                if not waiting or self._is_ending():
                    del self._threads[kind]
                    return
                task, work = waiting.popleft()
                task.state, task.ahead = "running", 0
                for place, (other, _) in enumerate(waiting, 1):
                    other.ahead = place
                moved = [task, *(other for other, _ in waiting)]
            for one in moved:
                self._told(one)
            self._run(task, work)

    def _run(self, task: Task, work: Work) -> None:
        def report(step: str, share: float) -> None:
            with self._lock:
                moved = abs(share - task.progress) >= _TOLD_STEP or step != task.step
                task.step, task.progress = step, share
            if moved:
                self._told(task)

        error = DubarrError("")
        try:
            work(report)
        except DubarrError as found:
            error = found
            log.warning("task failed", kind=task.kind, about=task.about, error=found)
        except Exception as found:
            error = DubarrError(f"Something unexpected went wrong: {type(found).__name__}.",
                                hint="The log holds the details; please report them.")  # fmt: skip
            log.exception("task failed", kind=task.kind, about=task.about)
        with self._lock:
            blot = self._settings.without_secrets
            task.error, task.hint = blot(error.message), blot(error.hint)
            task.state = "failed" if error.message else "done"
            task.progress = task.progress if error.message else 1.0
            task.finished_at = datetime.now(UTC)
        self._told(task)

    def _told(self, task: Task) -> None:
        with self._lock:
            data = task.model_dump_json()
        self._tell("task", data)
