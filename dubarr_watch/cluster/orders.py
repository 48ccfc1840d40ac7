"""What crosses between a daemon and its workers: one call of an engine, and what came of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from dubarr_watch.engines.base import EngineSpec

SMALL_BYTES = 2**20
"""Files up to this size go along with a call; larger ones are sent in pieces, once to a worker."""

OUTPUTS = ("target", "folder")
"""Arguments of the seams that name what is to be written; every other path is read."""


@dataclass(frozen=True, slots=True)
class Carried:
    """A file that a call reads.

    Attributes:
        path: As the daemon knows it.
        size: In bytes.
        mtime_ns: When it was changed last; a file of that size and time is the same one.
        content: All of it where it is small.
    """

    path: Path
    size: int
    mtime_ns: int
    content: bytes | None = None

    @classmethod
    def of(cls, path: Path) -> Carried:
        """Return a file as it is now."""
        known = path.stat()
        small = known.st_size <= SMALL_BYTES
        return cls(path, known.st_size, known.st_mtime_ns, path.read_bytes() if small else None)

    def is_at(self, path: Path) -> bool:
        """Tell whether this very file is seen at a path."""
        try:
            known = path.stat()
        except OSError:
            return False
        return (known.st_size, known.st_mtime_ns) == (self.size, self.mtime_ns)

    @property
    def key(self) -> str:
        """What a worker keeps it under."""
        told = f"{self.path}\0{self.size}\0{self.mtime_ns}".encode("utf-8", "surrogateescape")
        return hashlib.sha256(told).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Mark:
    """How a worker finds out whether it shares the daemon's WORK_DIR.

    Attributes:
        path: A file in it.
        content: What it says: nobody else's does.
    """

    path: Path
    content: str


@dataclass(frozen=True, slots=True)
class Order:
    """Calls of one method of an engine, to be made at a time.

    Attributes:
        id: Unique.
        topic: Progress is told under this name.
        kind: Which seam.
        spec: Which engine, as `portable`.
        method: Which method; a property is read.
        calls: Keyword arguments of each call.
        files: What they read.
        mark: Of the daemon's WORK_DIR.
        wants_progress: Of the only call.
        job: Who it is for.
        priority: Of the job.
        stall_s: Seconds without progress after which it is given up.
    """

    id: str
    topic: str
    kind: str
    spec: EngineSpec
    method: str
    calls: Sequence[Mapping[str, Any]]
    files: Sequence[Carried]
    mark: Mark
    wants_progress: bool = False
    job: int | None = None
    priority: int = 0
    stall_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Made:
    """A file that a call has written.

    Attributes:
        path: Where the daemon wants it.
        here: Where it is: as the daemon sees it when it shares the folder, else on the worker.
        shared: Whether the daemon can see it.
        size: In bytes.
        content: All of it where it is small and not shared.
    """

    path: Path
    here: Path
    shared: bool
    size: int
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an order.

    Attributes:
        worker: Address of who did it.
        host: Its machine.
        lacks: Files that it has to be sent first; nothing was done then.
        results: What each call returned, paths as the daemon knows them, or the error it raised.
        made: What was written.
        peaks: (engine and model, name of the GPU, most MiB that it held), where that is new.
    """

    worker: str
    host: str
    lacks: Sequence[Path] = ()
    results: Sequence[Any] = ()
    made: Sequence[Made] = ()
    peaks: Sequence[tuple[str, str, int]] = ()


@dataclass(frozen=True, slots=True)
class InModels:
    """Stands for a path in MODELS_DIR, which is another on each machine."""

    name: Path


@dataclass(frozen=True, slots=True)
class Own:
    """Stands for what each machine knows for itself: threads, ports, folders of its own."""


_OWN = frozenset({"models_dir", "port", "program", "python", "references_dir", "threads"})


def stays(spec: EngineSpec) -> bool:
    """Tell whether an engine runs in the daemon: whoever holds a key is not sent anywhere."""
    return "api_key" in spec.options


def portable(spec: EngineSpec, models_dir: Path) -> EngineSpec:
    """Return an engine without what is true of the daemon's machine only."""
    options: dict[str, Any] = {}
    for name, value in spec.options.items():
        if name in _OWN:
            options[name] = Own()
        elif isinstance(value, Path) and value.is_relative_to(models_dir):
            options[name] = InModels(value.relative_to(models_dir))
        else:
            options[name] = value
    need = None if spec.need is None else replace(spec.need, gpu=None)
    return replace(spec, options=options, need=need)


def at_home(spec: EngineSpec, models_dir: Path, own: Mapping[str, Any]) -> EngineSpec:
    """Return a portable engine with what is true of this machine.

    Args:
        spec: As `portable` made it.
        models_dir: MODELS_DIR here.
        own: Values of the options that each machine knows for itself.
    """
    options: dict[str, Any] = {}
    for name, value in spec.options.items():
        if isinstance(value, Own):
            options[name] = own[name]
        elif isinstance(value, InModels):
            options[name] = models_dir / value.name
        else:
            options[name] = value
    return replace(spec, options=options)


def with_paths(value: Any, change: Callable[[Path], Path]) -> Any:
    """Return arguments or results with every path in them changed."""
    if isinstance(value, Path):
        return change(value)
    if isinstance(value, tuple | list):
        return type(value)(with_paths(one, change) for one in value)
    if isinstance(value, dict):
        return {key: with_paths(one, change) for key, one in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        found = {one.name: getattr(value, one.name) for one in fields(value)}
        paths = {name: one for name, one in found.items() if _may_hold_paths(one)}
        changed = {name: with_paths(one, change) for name, one in paths.items()}
        return replace(value, **changed) if changed else value
    return value


def read_paths(call: Mapping[str, Any]) -> list[Path]:
    """Return the files that a call reads."""
    found: list[Path] = []

    def note(path: Path) -> Path:
        found.append(path)
        return path

    with_paths({name: value for name, value in call.items() if name not in OUTPUTS}, note)
    return found


def _may_hold_paths(value: Any) -> bool:
    if isinstance(value, Path):
        return True
    return isinstance(value, tuple | list) and bool(value) and _may_hold_paths(value[0])


@dataclass(slots=True)
class Peaks:
    """What engines were seen to hold on the GPUs of this worker; a `Needs` of the broker."""

    _known: dict[tuple[str, str], int] = field(default_factory=dict)
    _new: list[tuple[str, str, int]] = field(default_factory=list)

    def peak_mib(self, model: str, gpu: str) -> int | None:
        """Return the most MiB that was seen, if any was."""
        return self._known.get((model, gpu))

    def keep(self, model: str, gpu: str, mib: int) -> None:
        """Remember it, and tell it with the next answer."""
        if mib > self._known.get((model, gpu), 0):
            self._known[model, gpu] = mib
            self._new.append((model, gpu, mib))

    def news(self) -> list[tuple[str, str, int]]:
        """Return what was not told yet."""
        new, self._new = self._new, []
        return new
