"""What takes longer than a request: pulling a model, making a line anew."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from pydantic import BaseModel, Field

from dubarr_watch.errors import DubarrError, IllegalTransition, NotInStore
from dubarr_watch.settings import Settings

log = structlog.get_logger(__name__)

KEPT = 50
_TOLD_STEP = 0.005

Report = Callable[[str, float], None]
"""Called with (what is being done, share done)."""


class Task(BaseModel):
    """Something under way, or how it ended; forgotten when the program ends."""

    id: int
    kind: str = Field(description="pull or redo")
    about: str = Field(description="the model's name, or `job/language/line`")
    state: str = Field(description="running, done or failed")
    step: str = Field(description="what is being done")
    progress: float = Field(description="0 to 1")
    error: str = ""
    hint: str = ""
    started_at: datetime
    finished_at: datetime | None = None


class Tasks:
    """Runs tasks in threads of their own.

    Args:
        settings: Their secrets are blotted out of errors.
        tell: Called with (`task`, JSON) when something changed.
    """

    def __init__(self, settings: Settings, tell: Callable[[str, str], None]) -> None:
        self._settings = settings
        self._tell = tell
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._tasks: OrderedDict[int, Task] = OrderedDict()

    def start(self, kind: str, about: str, work: Callable[[Report], None]) -> Task:
        """Start something, one at a time about the same thing.

        Raises:
            IllegalTransition: Somebody is at the same just now.
        """
        with self._lock:
            for other in self._tasks.values():
                if (other.kind, other.about, other.state) == (kind, about, "running"):
                    raise IllegalTransition("This is being done already.", hint="Wait for it.")
            task = Task(id=next(self._numbers), kind=kind, about=about, state="running", step="",
                        progress=0, started_at=datetime.now(UTC))  # fmt: skip
            self._tasks[task.id] = task
            for old in [one for one in self._tasks.values() if one.state != "running"][:-KEPT]:
                del self._tasks[old.id]
        thread = threading.Thread(target=self._run, args=(task, work), name=kind, daemon=True)
        thread.start()
        return task.model_copy()

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

    def _run(self, task: Task, work: Callable[[Report], None]) -> None:
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
