"""A job's work folder: checkpointed stages, kept takes, and what everything costs."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import TypeVar

import psutil
import structlog
from pydantic import TypeAdapter

from dubarr_watch.dubbing.fitting import Take
from dubarr_watch.engines.host import Watch
from dubarr_watch.errors import JobCancelled
from dubarr_watch.storage import write_atomically
from dubarr_watch.store.checkpoints import Checkpoints

log = structlog.get_logger(__name__)

T = TypeVar("T")

PIPELINE_VERSION = 1
"""Raised when a stage makes something else of the same input: old checkpoints lose their worth."""

_MEMORY_INTERVAL_S = 0.5
_WAV_HEADER_BYTES = 44


def content_key(*parts: object) -> str:
    """Return a content key: a hash of everything that a result is made from."""
    text = json.dumps([PIPELINE_VERSION, *parts], default=_plain, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _plain(value: object) -> object:
    """Return a value in a form that is the same in every process, sets in order."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: getattr(value, item.name) for item in fields(value)}
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no content that could be compared")


@dataclass(frozen=True, slots=True)
class JobControl:
    """How a running job is watched and stopped.

    Attributes:
        report: Called with (stage, share of the whole job done).
        cancelled: Whether to stop.
        stall_s: A stage without progress for this long is ended.
        job: Number of the job, for which its engines wait and stay warm.
        priority: Who goes first when several jobs wait for a device: higher sooner.
    """

    report: Callable[[str, float], None] = lambda stage, share: None
    cancelled: Callable[[], bool] = lambda: False
    stall_s: float = 600
    job: int | None = None
    priority: int = 0

    @property
    def watch(self) -> Watch:
        """How engines are watched for the job."""
        return {"cancelled": self.cancelled, "stall_s": self.stall_s, "job": self.job,
                "priority": self.priority}  # fmt: skip

    def stop_if_cancelled(self) -> None:
        """Raise JobCancelled when somebody asked to stop."""
        if self.cancelled():
            raise JobCancelled("Cancelled.")


class Workspace:
    """Where one job keeps its intermediate results.

    Args:
        folder: `CONFIG_DIR/work/<job>`; made when missing.
        job_id: The job.
        checkpoints: Which results are finished.
    """

    def __init__(self, folder: Path, job_id: int, checkpoints: Checkpoints) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._job_id = job_id
        self._checkpoints = checkpoints
        self._making_for_all = threading.Lock()

    def stage(self, name: str, language: str, key: str, kind: type[T], make: Callable[[], T]) -> T:
        """Return a stage's result: from its checkpoint when that is still good, else made now.

        It is no longer good when a file that the result names is gone. What all languages share
        is made once, by the first that needs it; others wait for it.

        Args:
            name: The stage.
            language: ISO 639-1 code, or empty for what all languages share.
            key: Content key of what it is made from.
            kind: Type of the result, a dataclass or a list of them, kept as JSON.
            make: Makes it.
        """
        with nullcontext() if language else self._making_for_all:
            return self._stage(name, language, key, kind, make)

    def _stage(self, name: str, language: str, key: str, kind: type[T], make: Callable[[], T]) -> T:
        adapter: TypeAdapter[T] = TypeAdapter(kind)
        kept = self._checkpoints.stage(self._job_id, name, language)
        if kept is not None and kept.key == key:
            try:
                result = adapter.validate_python(json.loads(kept.artifact.read_bytes()))
                if _files_are_there(result):
                    return result
                log.warning("files lost", stage=name, language=language, job=self._job_id)
            except (OSError, ValueError):
                log.warning("checkpoint lost", stage=name, language=language, job=self._job_id)
        started = time.monotonic()
        result = make()
        artifact = self.folder / f"{name}{f'.{language}' if language else ''}.json"
        # Not pydantic's own JSON: it has no form for a path that is no UTF-8.
        text = json.dumps(adapter.dump_python(result), default=_plain, indent=1)
        write_atomically(artifact, text.encode("ascii"))
        self._checkpoints.save_stage(
            self._job_id, name, language, key, artifact, time.monotonic() - started
        )
        return result

    def keep(self, name: str, kind: type[T], value: T) -> None:
        """Write a value down for whoever makes a line anew once the job is over."""
        text = json.dumps(TypeAdapter(kind).dump_python(value), default=_plain)
        write_atomically(self.folder / f"{name}.kept.json", text.encode("ascii"))

    def kept(self, name: str, kind: type[T]) -> T | None:
        """Return a value that was written down; nothing when it is not there or not whole."""
        try:
            text = (self.folder / f"{name}.kept.json").read_bytes()
            value = TypeAdapter(kind).validate_python(json.loads(text))
        except (OSError, ValueError):
            return None
        return value if _files_are_there(value) else None

    def stage_seconds(self, language: str) -> dict[str, float]:
        """Return what each finished stage took for one language, shared stages included."""
        return self._checkpoints.stage_seconds(self._job_id, language)

    def takes(self, language: str, engine: object = "") -> KeptTakes:
        """Return the takes kept for one language, of whatever decides how its engine speaks."""
        return KeptTakes(self._checkpoints, self._job_id, language, engine)

    def clear(self) -> None:
        """Remove the folder and its checkpoints: the job is over."""
        self._checkpoints.drop(self._job_id)
        shutil.rmtree(self.folder, ignore_errors=True)


class KeptTakes:
    """The checkpoint within synthesis: a `TakeKeeper` in the database."""

    def __init__(
        self, checkpoints: Checkpoints, job_id: int, language: str, engine: object = ""
    ) -> None:
        self._checkpoints = checkpoints
        self._job_id = job_id
        self._language = language
        self._engine = engine
        self._kept = checkpoints.lines(job_id, language)

    def load(self, index: int, key: str) -> tuple[Take, bool] | None:
        """Return a line's take and whether it is settled, if made from the same key."""
        record = self._kept.get(index)
        if record is None or record.key != content_key(self._engine, key):
            return None
        try:
            data = json.loads(record.data)
            take = TypeAdapter(Take).validate_python(data["take"])
            settled = bool(data["settled"])
            # After a power cut a file may be there and empty.
            return (take, settled) if take.path.stat().st_size > _WAV_HEADER_BYTES else None
        except (OSError, ValueError, KeyError):
            log.warning("take lost", line=index, language=self._language, job=self._job_id)
            return None

    def save(self, key: str, take: Take, *, settled: bool) -> None:
        """Remember a take."""
        data = json.dumps({"take": asdict(take), "settled": settled}, default=str)
        made_from = content_key(self._engine, key)
        self._checkpoints.save_line(self._job_id, self._language, take.index, made_from, data)


@dataclass
class MemoryMeter:
    """Watches the resident memory of this process and all its children together."""

    peak_mib: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def watching(self) -> Iterator[MemoryMeter]:
        """Sample for the length of a `with` block."""
        thread = threading.Thread(target=self._watch, name="memory-meter", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while True:
            self.peak_mib = max(self.peak_mib, round(_tree_rss(me) / 2**20))
            if self._stop.wait(_MEMORY_INTERVAL_S):
                return


def _files_are_there(result: object) -> bool:
    if isinstance(result, Path):
        return result.exists()
    if isinstance(result, (list, tuple)):
        return all(map(_files_are_there, result))
    if is_dataclass(result):
        return all(_files_are_there(getattr(result, item.name)) for item in fields(result))
    return True


def _tree_rss(root: psutil.Process) -> int:
    """Return the resident bytes of a process and all below it.

    A child that has not become its program yet has its parent's memory, which is counted there.
    """
    total, words = root.memory_info().rss, root.cmdline()
    for process in root.children(recursive=True):
        try:
            if process.cmdline() != words:
                total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue  # it ended between listing and looking
    return total
