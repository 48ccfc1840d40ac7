"""Why ffmpeg or ffprobe failed: what it said last, or who ended it."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from dubarr_watch.errors import MediaError, MediaInterrupted, printable
from dubarr_watch.media.arguments import input_name
from dubarr_watch.media.holding import without_handles

_TAIL_BYTES = 4000

# What ffmpeg says at its end whatever the reason was; the reason stands before.
_SUMMARY = re.compile(r"^Conversion failed!|^(frame|size)=|\] ?video:\d|^video:\d")


def failed(code: int, stderr: bytes, path: Path) -> MediaError:
    """Return the error for an exit status of ffmpeg's that is not 0."""
    if code < 0:
        return was_ended("ffmpeg", code, path)
    return MediaError(f"ffmpeg failed: {last_words(stderr, path)}", path=path)


def was_ended(program: str, code: int, path: Path) -> MediaInterrupted:
    """Return the error for a program that a signal ended: its exit status is below 0."""
    name = signal.Signals(-code).name
    why = ", probably because the machine ran out of memory" if name == "SIGKILL" else ""
    return MediaInterrupted(f"{program} was ended by {name}{why}.", path=path)


def last_words(stderr: bytes, path: Path) -> str:
    """Return the line of standard error that tells most, as a sentence; the file is `it`."""
    text = stderr[-_TAIL_BYTES:].decode("utf-8", "replace")
    text = without_handles(text.replace(input_name(path), "it"))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if not _SUMMARY.search(line)] or lines
    if not telling:
        return "it said nothing."
    return f"{printable(telling[-1].removeprefix('it: ').rstrip('.')[:300])}."
