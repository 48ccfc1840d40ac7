"""Running ffmpeg to its end, or to its death when it makes no progress."""

from __future__ import annotations

import contextlib
import functools
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dubarr_watch.errors import DubarrError, JobCancelled, MediaInterrupted
from dubarr_watch.media.asking import end_group
from dubarr_watch.media.holding import handles_in
from dubarr_watch.media.tools import ffmpeg_path
from dubarr_watch.media.words import failed
from dubarr_watch.settings import child_environment

_FEEDER_END_S = 10
_PIPE_BYTES = 2**20
_PIECE_BYTES = 65_536
_LINE_BYTES = 4096
_KEPT_WORDS_BYTES = 1_000_000
"""How much of what ffmpeg says is kept; a damaged film makes it say hundreds of megabytes."""


def run_ffmpeg(
    arguments: Sequence[str | Path],
    *,
    path: Path,
    duration_s: float = 0,
    progress: Callable[[float, float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    stall_s: float = 600,
    stdin: Callable[[Any], None] | None = None,
) -> str:
    """Run ffmpeg to its end and return the end of what it wrote to standard error.

    Args:
        arguments: Everything after `ffmpeg`; name inputs with `input_arguments`.
        path: The file to name in errors.
        duration_s: Length of the media, for progress.
        progress: Called with (done seconds, total seconds).
        cancelled: Asked four times a second; true ends ffmpeg and raises.
        stall_s: Seconds without progress after which it is ended.
        stdin: Called with ffmpeg's standard input in a thread of its own, to feed samples.

    Raises:
        MediaError: ffmpeg failed; MediaInterrupted when a signal ended it, or it made no progress
            for `stall_s`.
        JobCancelled: `cancelled` said so.
        Exception: Whatever `progress` or `stdin` raised; ffmpeg is ended.
    """
    command = _command(arguments, fed=stdin is not None)
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=child_environment(),
        pass_fds=handles_in(command),
        start_new_session=True,  # Ctrl-C is for us: it is we who end ffmpeg
    )
    said = _Words(process)
    watch = _Watch(process, duration_s, progress)
    feeder = _Feeder(process, stdin) if stdin else None
    try:
        early_end = watch.wait(cancelled or (lambda: False), stall_s)
    finally:
        _end(process, watch, feeder)
        words = said.all()
    if isinstance(early_end, DubarrError) and early_end.path is None:
        early_end.path = path
    if early_end is not None:
        raise early_end
    if feeder and feeder.error:
        raise feeder.error
    if process.returncode != 0:
        raise failed(process.returncode, words, path)
    return words.decode("utf-8", "replace")


def widen_pipe(pipe: Any) -> None:
    """Let a pipe hold more at a time, where the system can: fewer switches of processes."""
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _command(arguments: Sequence[str | Path], *, fed: bool) -> list[str]:
    no_keys = [] if fed else ["-nostdin"]
    return [
        *ends_with_us(), ffmpeg_path(), "-hide_banner", *no_keys, "-y", "-loglevel", "info",
        "-nostats", "-progress", "pipe:1", *map(str, arguments),
    ]  # fmt: skip


def _end(process: subprocess.Popen[bytes], watch: _Watch, feeder: _Feeder | None) -> None:
    end_group(process)
    process.wait()
    watch.join()
    if feeder:
        feeder.join()


@functools.cache
def ends_with_us() -> list[str]:
    """Return the command that lets Linux end a process with its parent, however that dies.

    A ffmpeg that outlives a killed daemon would go on writing what the next one writes.
    """
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


class _Watch:
    """Reads ffmpeg's progress and notices when it stops."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        duration_s: float,
        progress: Callable[[float, float], None] | None,
    ) -> None:
        self._process = process
        self._duration_s = duration_s
        self._progress = progress
        self._positions: dict[str, str] = {}
        self._error: Exception | None = None
        self._moved_at = time.monotonic()
        self._thread = threading.Thread(target=self._read, name="ffmpeg-progress", daemon=True)
        self._thread.start()

    def wait(self, cancelled: Callable[[], bool], stall_s: float) -> Exception | None:
        """Wait for the end; return the error to raise when it must be ended early."""
        while True:
            try:
                self._process.wait(timeout=0.25)
            except subprocess.TimeoutExpired:
                if self._error is not None:
                    return self._error
                if cancelled():
                    return JobCancelled("Cancelled.")
                if time.monotonic() - self._moved_at > stall_s:
                    return MediaInterrupted(f"ffmpeg made no progress for {stall_s:g} s.")
            else:
                self.join()
                return self._error

    def join(self) -> None:
        """Wait until everything that ffmpeg said is read."""
        self._thread.join()

    def _read(self) -> None:
        stdout = self._process.stdout
        if stdout is None:
            return
        with stdout:
            for raw in iter(lambda: stdout.readline(_LINE_BYTES), b""):
                name, _, value = raw.decode("ascii", "replace").strip().partition("=")
                # ffmpeg repeats both twice a second for as long as it lives, moving or not.
                if name in {"out_time_us", "total_size"} and value != self._positions.get(name):
                    self._positions[name] = value
                    self._moved_at = time.monotonic()
                    if name == "out_time_us" and value.lstrip("-").isdigit():
                        self._tell(max(0.0, int(value) / 1e6))

    def _tell(self, done_s: float) -> None:
        if self._progress is None or self._error is not None:
            return
        try:
            self._progress(min(done_s, self._duration_s or done_s), self._duration_s)
        except Exception as error:  # noqa: BLE001 - handed to the caller, who raises it
            self._error = error


class _Words:
    """Keeps the end of what ffmpeg says."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._pipe = process.stderr
        self._kept = bytearray()
        self._thread = threading.Thread(target=self._read, name="ffmpeg-words", daemon=True)
        self._thread.start()

    def all(self) -> bytes:
        """Wait for the last of it and return it."""
        self._thread.join()
        return bytes(self._kept)

    def _read(self) -> None:
        if self._pipe is None:
            return
        with self._pipe as pipe:
            while piece := pipe.read(_PIECE_BYTES):
                self._kept += piece
                del self._kept[:-_KEPT_WORDS_BYTES]


class _Feeder:
    """Writes samples into ffmpeg's standard input from a thread."""

    def __init__(self, process: subprocess.Popen[bytes], write: Callable[[Any], None]) -> None:
        self.error: Exception | None = None
        self._process = process
        self._write = write
        self._thread = threading.Thread(target=self._feed, name="ffmpeg-feed", daemon=True)
        self._thread.start()

    def join(self) -> None:
        # Without its reader the next write fails; only a disk that does not answer keeps it.
        self._thread.join(timeout=_FEEDER_END_S)

    def _feed(self) -> None:
        stdin = self._process.stdin
        if stdin is None:
            return
        try:
            with stdin:
                self._write(stdin)
        except BrokenPipeError:
            return  # ffmpeg ended first; its own exit status and words tell why
        except Exception as error:  # noqa: BLE001 - handed to the caller, who raises it
            self.error = error
