"""One child process: the only place that starts a process for a model."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import structlog

log = structlog.get_logger(__name__)

_ASK_S = 3.0
_TERMINATE_S = 2.0
_LAST_LINES = 8


@dataclass(frozen=True, slots=True)
class EngineUsage:
    """What one process cost.

    Attributes:
        kind: Which seam it served.
        load_s: Seconds from its start until the engine was ready; 0 when it never was.
        lived_s: Seconds from its start to its end.
        peak_rss_mib: Most memory it held at once, in MiB.
        peak_gpu_mib: Most GPU memory it held at once, in MiB; 0 on the CPU.
        left_gpu_mib: GPU memory that did not come back when it had ended, in MiB.
    """

    kind: str
    load_s: float
    lived_s: float
    peak_rss_mib: float
    peak_gpu_mib: int = 0
    left_gpu_mib: int = 0


class ChildProcess:
    """A process of ours: its words go to our log, its end is certain.

    It leads a process group of its own, so that Ctrl-C in a terminal reaches only the daemon and
    that ending it ends its children too. Its standard input is a pipe that nothing is written to:
    it ends when the daemon does, however that dies.

    Args:
        name: What it is, for the log and for messages.
        command: Program and arguments.
        environment: Its whole environment.
        pass_fds: File descriptors that it inherits.
        on_line: Called with each line of its output.
        scratch: Its folder for temporary files, removed when it has ended.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        pass_fds: Sequence[int] = (),
        on_line: Callable[[str], None] | None = None,
        scratch: Path | None = None,
    ) -> None:
        self.name = name
        self.started = time.monotonic()
        self.load_s = 0.0
        self.peak_rss_mib = 0.0
        self._on_line = on_line
        self._scratch = scratch
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._process = subprocess.Popen(
            command,
            env=dict(environment),
            # `python -m` imports from its working directory first: never from a library's folder,
            # where anybody's download may be called numpy.py.
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=pass_fds,
            start_new_session=True,
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
        )
        self._reader = threading.Thread(
            target=self._read_output, name=f"{name}-output", daemon=True
        )
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def running(self) -> bool:
        """Tell whether it lives, and note how much memory it has held."""
        self._note_memory()
        return self._process.poll() is None

    def usage(self) -> EngineUsage:
        """Return what it has cost so far."""
        lived_s = time.monotonic() - self.started
        return EngineUsage(self.name, self.load_s, lived_s, self.peak_rss_mib)

    def how_it_ended(self) -> str:
        """Return how it ended and its last words, as the rest of a sentence."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_TERMINATE_S)
        self._reader.join(_TERMINATE_S)
        code = self._process.returncode
        if code is None:
            how = "closed its connection"
        elif code >= 0:
            how = f"ended with exit code {code}"
        else:
            how = f"was ended by {signal.Signals(-code).name}"
            if -code == signal.SIGKILL:
                how += ", probably because the machine ran out of memory"
        words = " | ".join(self._last)
        return f"{how}. Its last words: {words}" if words else f"{how}."

    def end(self, *, ask: Callable[[], None] | None = None, at_once: bool = False) -> None:
        """End it and wait until it is gone.

        Args:
            ask: Called first, to ask politely; it then has a few seconds.
            at_once: Skip asking and terminating: kill.
        """
        self._note_memory()
        if not at_once:
            self._process.stdin.close() if self._process.stdin else None
            if ask is not None:
                with contextlib.suppress(OSError, ValueError):
                    ask()
                self._wait(_ASK_S)
            if self._process.poll() is None:
                self._signal(signal.SIGTERM)
                self._wait(_TERMINATE_S)
        self._signal(signal.SIGKILL)  # also whatever it has started itself
        self._process.wait()
        self._reader.join(_TERMINATE_S)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError, ValueError):
                    stream.close()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _wait(self, seconds: float) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _read_output(self) -> None:
        stream = self._process.stdout
        if stream is None:
            return
        for line in stream:
            if text := line.rstrip():
                self._last.append(text[:500])
                log.debug("engine output", engine=self.name, pid=self.pid, line=text[:2000])
                if self._on_line is not None:
                    self._on_line(text)

    def _note_memory(self) -> None:
        if self._process.returncode is None:
            self.peak_rss_mib = max(self.peak_rss_mib, _peak_rss_mib(self._process.pid))


def _peak_rss_mib(pid: int) -> float:
    """Return the most memory a process has held, in MiB (0 when it is gone).

    Linux keeps the high-water mark as VmHWM; rusage's ru_maxrss would start at the size of the
    process that forked it. Elsewhere it is the memory held right now.
    """
    try:
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        return float(psutil.Process(pid).memory_info().rss) / 2**20
    except (OSError, ValueError, psutil.Error):
        return 0.0
