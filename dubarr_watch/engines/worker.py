"""The inside of an engine's process: build the engine, answer calls, end with the daemon.

Started by host.py as `python -m dubarr_watch.engines.worker FD`, where FD is one end of a socket
pair. Over it come `("load", spec, place)`, `("call", method, arguments)` and `("end",)`; back go
`("begun",)`, `("progress", done, total)`, then `("result", value)`, `("error", DubarrError)` or
`("failed", summary)`. The engine works in the main thread. A second thread only reads, so that it
sees the daemon's death (end of file) even while the engine is deep in native code.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from dubarr_watch.engines.base import EngineSpec, Place, Progress
from dubarr_watch.errors import DubarrError, OutOfMemory

_ORPHANED = 3
_PROGRESS_EVERY_S = 0.1


def main() -> int:
    """Serve one engine until the daemon says end or is gone."""
    _offer_to_be_killed_first()
    connection = Connection(int(sys.argv[1]))
    inbox: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(connection, inbox), daemon=True).start()
    engine: Any = None
    while True:
        kind, *rest = inbox.get()
        if kind == "end":
            break
        connection.send(("begun",))
        if kind == "load":
            told = {"spec": rest[0], "place": rest[1]}
            engine = _answer(connection, _load, told, hide_result=True)
        else:
            method, arguments, wants_progress = rest
            if wants_progress:
                arguments["progress"] = _progress_sender(connection)
            _answer(connection, getattr(engine, method), arguments)
    close = getattr(engine, "close", None)
    if close is not None:
        close()
    return 0


def build(spec: EngineSpec, **more: Any) -> Any:
    """Import and construct the engine that a spec names."""
    module, _, name = spec.target.partition(":")
    return getattr(importlib.import_module(module), name)(**spec.options, **more)


def _load(spec: EngineSpec, place: Place) -> Any:
    if place.kind == "cuda":
        from dubarr_watch.gpu.identity import assert_gpu  # the driver's library, only where needed

        assert_gpu(place.uuid)
    return build(spec) if spec.need is None else build(spec, place=place)


def _answer(
    connection: Connection,
    work: Callable[..., Any],
    arguments: Mapping[str, Any],
    *,
    hide_result: bool = False,
) -> Any | None:
    try:
        result = work(**arguments)
        connection.send(("result", None if hide_result else result))
        return result
    except DubarrError as error:
        connection.send(("error", error))
    except Exception as error:  # noqa: BLE001 - the far end turns it into an EngineError
        traceback.print_exc()
        sys.stderr.flush()
        if _is_out_of_memory(error):
            first_line = str(error).partition("\n")[0][:300]
            connection.send(("error", OutOfMemory(f"The engine ran out of memory: {first_line}")))
        else:
            connection.send(("failed", f"{type(error).__name__}: {error}"))
    return None


def _is_out_of_memory(error: Exception) -> bool:
    """Tell whether a device had no memory left; libraries share no exception for it.

    torch raises OutOfMemoryError or says "CUDA error: out of memory"; CTranslate2 says "CUDA
    failed with error out of memory"; cuBLAS and cuDNN say ALLOC_FAILED.
    """
    named = any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__)
    words = str(error).lower()
    return named or "out of memory" in words or "alloc_failed" in words


def _read(connection: Connection, inbox: queue.SimpleQueue[tuple[Any, ...]]) -> None:
    while True:
        try:
            inbox.put(connection.recv())
        except (EOFError, OSError):
            os._exit(_ORPHANED)


def _progress_sender(connection: Connection) -> Progress:
    """Return a callback that forwards progress, a few times a second at most."""
    last_sent = -_PROGRESS_EVERY_S

    def send(done: float, total: float) -> None:
        nonlocal last_sent
        now = time.monotonic()
        if now - last_sent >= _PROGRESS_EVERY_S or done >= total:
            last_sent = now
            connection.send(("progress", float(done), float(total)))

    return send


def _offer_to_be_killed_first() -> None:
    """Ask Linux to take this process, not the daemon, when memory runs out."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")


if __name__ == "__main__":
    sys.exit(main())
