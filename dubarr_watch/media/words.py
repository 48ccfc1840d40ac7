"""What ffmpeg and ffprobe say last: the reason why they failed."""

from __future__ import annotations

import re
from pathlib import Path

from dubarr_watch.media.arguments import input_name

_TAIL_BYTES = 4000

# What ffmpeg says at its end whatever the reason was; the reason stands before.
_SUMMARY = re.compile(r"^Conversion failed!|^(frame|size)=|\] ?video:\d|^video:\d")


def last_words(stderr: bytes, path: Path) -> str:
    """Return the line of standard error that tells most, as a sentence; the file is `it`."""
    text = stderr[-_TAIL_BYTES:].decode("utf-8", "replace").replace(input_name(path), "it")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if not _SUMMARY.search(line)] or lines
    if not telling:
        return "it said nothing."
    return f"{telling[-1].removeprefix('it: ').rstrip('.')[:300]}."
