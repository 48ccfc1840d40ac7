"""The worker's side of a call: its files, its engine in a child process, and what it wrote.

An engine is opened by the first call of a job and stays open for a moment after the last one, under
the lease broker of this worker: whoever needs its memory sooner makes it leave.
"""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from dubarr_watch.cluster.orders import (
    OUTPUTS,
    SMALL_BYTES,
    Answer,
    Carried,
    Made,
    Mark,
    Order,
    Peaks,
    at_home,
    with_paths,
)
from dubarr_watch.engines.base import Progress
from dubarr_watch.engines.catalog import ModelList, ModelState, all_models, status
from dubarr_watch.engines.host import EngineHost, usable_threads
from dubarr_watch.errors import DubarrError, EngineCrashed, EngineError, JobCancelled
from dubarr_watch.neighbours.paths import rewritten
from dubarr_watch.settings import Settings

log = structlog.get_logger(__name__)

IDLE_S = 15.0
"""An engine without a call for so long is ended; its job has most likely gone on to another."""

_LOOK_EVERY_S = 1.0
_KEPT_S = 3600.0
"""Files that were sent and not asked for in so long are removed."""


@dataclass(eq=False, slots=True)
class _Open:
    seam: Any
    resources: ExitStack
    keep_s: float
    orders: dict[str, Callable[[], bool]] = field(default_factory=dict)
    left_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Bench:
    """Does what daemons order.

    Args:
        settings: This worker's: MODELS_DIR, CONFIG_DIR, PATH_MAP, THREADS, TTS_PORT, LLAMA_SERVER.
        host: Runs engines on this worker's device.
        peaks: What they were seen to need of it.
        worker: Tells the address of this worker.
        name: Of its machine.
        folder: For files that were sent and files to be fetched; emptied at the start.
    """

    def __init__(
        self,
        settings: Settings,
        host: EngineHost,
        peaks: Peaks,
        worker: Callable[[], str],
        name: str,
        folder: Path,
    ) -> None:
        self._settings = settings
        self._host = host
        self._peaks = peaks
        self._worker = worker
        self._name = name
        shutil.rmtree(folder, ignore_errors=True)
        self._sent, self._made = folder / "sent", folder / "made"
        for path in (self._sent, self._made):
            path.mkdir(parents=True)
        self._lock = threading.Lock()
        self._open: dict[tuple[Any, ...], _Open] = {}
        self._closing = threading.Event()
        self._tidier = threading.Thread(target=self._tidy, name="bench", daemon=True)
        self._tidier.start()

    def close(self) -> None:
        """End every engine and remove every file."""
        self._closing.set()
        self._tidier.join()
        self._end(lambda one: True)
        shutil.rmtree(self._sent.parent, ignore_errors=True)

    def serve(
        self, order: Order, *, unwanted: Callable[[], bool], tell: Callable[[float, float], None]
    ) -> Answer:
        """Carry an order out.

        Args:
            order: From a daemon.
            unwanted: Asked every 0.25 s; true ends it: nobody waits for the answer any more.
            tell: Told its progress.
        """
        here = {one.path: self._place(one) for one in order.files}
        lacks = [path for path, place in here.items() if place is None]
        if lacks:
            return Answer(self._worker(), self._name, lacks=lacks)
        shared = self.shares(order.mark)
        run = secrets.token_hex(8)
        log.debug("order", engine=order.kind, method=order.method, calls=len(order.calls),
                  job=order.job, shared=shared)  # fmt: skip
        calls = []
        outputs: dict[Path, Path] = {}
        for call in order.calls:
            calls.append(self._local(call, here, shared, run, outputs))
        with self._engine(order, unwanted, self._references(order, shared)) as seam:
            results = self._call(seam, order, calls, unwanted, tell)
        back = {ours: theirs for theirs, ours in outputs.items()}
        made = [
            file for theirs, ours in outputs.items() for file in self._files(theirs, ours, shared)
        ]
        results = [with_paths(one, lambda path: _renamed(path, back)) for one in results]
        return Answer(self._worker(), self._name, (), results, made, self._peaks.news())

    def shares(self, mark: Mark) -> bool:
        """Tell whether this machine sees the daemon's WORK_DIR."""
        mapped = Path(rewritten(str(mark.path), self._settings.path_map))
        try:
            return mapped.read_text(encoding="ascii") == mark.content
        except (OSError, ValueError):
            return False

    def lacks(self, models: Sequence[str]) -> tuple[str, ...]:
        """Return which models are not complete on this machine, without hashing them."""
        wanted = ModelList(tuple(all_models().select(models)))
        found = status(self._settings.models_dir, models=wanted)
        return tuple(one.model.name for one in found if one.state is not ModelState.READY)

    def keep(self, key: str, name: str, at: int, piece: bytes, size: int) -> int:
        """Write a piece of a file that a daemon sends; return what there is of it now."""
        folder = self._sent / key
        folder.mkdir(exist_ok=True)
        part = folder / f".{name}.part"
        with part.open("r+b" if at else "wb") as file:
            file.seek(at)
            file.write(piece)
        if at + len(piece) >= size:
            part.replace(folder / name)
        return at + len(piece)

    def read(self, path: Path, at: int, size: int) -> bytes:
        """Return a piece of a file that was written here for a daemon."""
        if not self._is_ours(path):
            raise EngineError(f"{path} was not written for anybody else.")
        with path.open("rb") as file:
            file.seek(at)
            return file.read(size)

    def settle(self, path: Path, key: str, name: str) -> None:
        """Keep a file that was fetched as if it had been sent: what reads it may well come here."""
        if self._is_ours(path):
            kept = self._sent / key
            kept.mkdir(exist_ok=True)
            path.replace(kept / name)

    def _is_ours(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self._made.resolve())

    def _place(self, file: Carried) -> Path | None:
        """Return where a file is on this machine, if it is."""
        mapped = Path(rewritten(str(file.path), self._settings.path_map))
        if file.is_at(mapped):
            return mapped
        kept = self._sent / file.key / file.path.name
        if file.content is not None and not kept.exists():
            self.keep(file.key, file.path.name, 0, file.content, file.size)
        if not kept.exists():
            return None
        kept.parent.touch()  # its folder's time tells when it was asked for last
        return kept

    def _references(self, order: Order, shared: bool) -> Path:
        """Return the folder that a voice's references must be in."""
        if not shared:
            return self._sent
        return Path(rewritten(str(order.mark.path.parent), self._settings.path_map))

    def _local(
        self,
        call: Mapping[str, Any],
        here: Mapping[Path, Path | None],
        shared: bool,
        run: str,
        outputs: dict[Path, Path],
    ) -> dict[str, Any]:
        """Return the arguments of a call for this machine; what it writes has a name of its own.

        Two runs of one call, one of which was thought lost, never write the same file.
        """
        local: dict[str, Any] = {}
        for name, value in call.items():
            if name in OUTPUTS and isinstance(value, Path):
                hidden = f".{run}.{value.name}"
                if shared:
                    ours = Path(rewritten(str(value.parent), self._settings.path_map)) / hidden
                else:
                    ours = self._made / f"{len(outputs)}{hidden}"
                outputs[value] = ours
                local[name] = ours
            else:
                local[name] = with_paths(value, lambda path: here.get(path) or path)
        return local

    @contextmanager
    def _engine(
        self, order: Order, unwanted: Callable[[], bool], references: Path
    ) -> Iterator[Any]:
        key = (order.kind, repr(order.spec), order.job, order.topic)
        with self._lock:
            engine = self._open.get(key)
            if engine is None:
                engine = self._open[key] = self._opened(order, references)
            engine.orders[order.id] = unwanted
        try:
            yield engine.seam
        finally:
            with self._lock:
                engine.orders.pop(order.id, None)
                engine.left_s = time.monotonic()

    def _opened(self, order: Order, references: Path) -> _Open:
        settings = self._settings
        own = {"models_dir": settings.models_dir, "port": settings.tts_port, "python": None,
               "program": settings.llama_server, "references_dir": references,
               "threads": usable_threads(settings)}  # fmt: skip
        spec = at_home(order.spec, settings.models_dir, own)
        resources = ExitStack()
        keep_s = max(IDLE_S, spec.need.keep_alive_s if spec.need else 0.0)
        engine = _Open(None, resources, keep_s)
        engine.seam = resources.enter_context(
            self._host.engine(
                order.kind,  # type: ignore[call-overload]
                spec,
                cancelled=lambda: any(one() for one in list(engine.orders.values())),
                stall_s=order.stall_s,
                priority=order.priority,
            )
        )
        return engine

    def _call(
        self, seam: Any, order: Order, calls: list[dict[str, Any]], unwanted: Callable[[], bool],
        tell: Progress,
    ) -> list[Any]:  # fmt: skip
        method = getattr(type(seam), order.method, None)
        if isinstance(method, property):
            return [getattr(seam, order.method)]

        def one(arguments: dict[str, Any]) -> Any:
            more = {"progress": tell} if order.wants_progress else {}
            try:
                return getattr(seam, order.method)(**arguments, **more)
            except JobCancelled as error:
                # Another order of this engine may be meant, which took the process with it.
                return error if unwanted() else EngineCrashed("Its engine was ended.")
            except DubarrError as error:
                return error

        if len(calls) == 1:
            return [one(calls[0])]
        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(one, calls))

    def _files(self, theirs: Path, ours: Path, shared: bool) -> Iterator[Made]:
        """Yield what was written for one output: a file, or the files of a folder."""
        found = [(theirs, ours)] if ours.is_file() else []
        if ours.is_dir():
            found = [(theirs / one.name, one) for one in sorted(ours.iterdir()) if one.is_file()]
        for path, here in found:
            size = here.stat().st_size
            if shared:
                seen = theirs.parent / ours.name
                yield Made(path, seen if here == ours else seen / here.name, True, size)
            elif size <= SMALL_BYTES:
                yield Made(path, here, False, size, here.read_bytes())
                here.unlink()
            else:
                yield Made(path, here, False, size)

    def _tidy(self) -> None:
        while not self._closing.wait(_LOOK_EVERY_S):
            self._end(lambda one: not one.orders and time.monotonic() - one.left_s > one.keep_s)
            for folder in self._sent.iterdir():
                if time.time() - folder.stat().st_mtime > _KEPT_S:
                    shutil.rmtree(folder, ignore_errors=True)

    def _end(self, which: Callable[[_Open], bool]) -> None:
        with self._lock:
            ending = {key: one for key, one in self._open.items() if which(one)}
            for key in ending:
                del self._open[key]
        for one in ending.values():
            one.resources.close()


def _renamed(path: Path, back: Mapping[Path, Path]) -> Path:
    """Return a path of this machine as the daemon knows it."""
    for ours, theirs in back.items():
        if path == ours:
            return theirs
        if path.is_relative_to(ours):
            return theirs / path.relative_to(ours)
    return path
