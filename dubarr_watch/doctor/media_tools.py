"""ffmpeg and ffprobe: there, new enough, and able to do what a dub needs."""

from __future__ import annotations

import re

from dubarr_watch import media
from dubarr_watch.doctor.result import CheckResult, missing, ok
from dubarr_watch.errors import printable

OLDEST = (5, 1)
"""Debian 12's; older ones are not tested with."""

FILTERS = ("aresample", "atempo", "ebur128", "volume", "alimiter")
ENCODERS = ("aac", "flac", "pcm_s16le")
_INSTALL = "Install ffmpeg 5.1 or newer with its usual parts (on Debian: apt install ffmpeg)."


def check_ffmpeg(name: str, settings: object) -> CheckResult:
    """Look at ffmpeg's version, filters and encoders."""
    path = media.ffmpeg_path()
    said = media.tool_listing(path, "-version")
    too_old = _too_old(name, path, said)
    if too_old is not None:
        return too_old
    lacks = lacking(FILTERS, media.tool_listing(path, "-filters"))
    lacks += lacking(ENCODERS, media.tool_listing(path, "-encoders"))
    if lacks:
        return missing(name, f"{printable(path)} lacks {', '.join(lacks)}.", _INSTALL)
    return ok(name, f"{version_of(said)} with all filters and encoders needed ({printable(path)}).")


def check_ffprobe(name: str, settings: object) -> CheckResult:
    """Look at ffprobe's version."""
    path = media.ffprobe_path()
    said = media.tool_listing(path, "-version")
    return _too_old(name, path, said) or ok(name, f"{version_of(said)} ({printable(path)}).")


def version_of(said: str) -> str:
    """Return the version that `ffmpeg -version` tells, such as `5.1.6-0+deb12u1`."""
    found = re.search(r"^ff\w+ version (\S+)", said)
    return found[1] if found else "unknown version"


def is_too_old(version: str) -> bool:
    """Tell whether a version is below `OLDEST`; builds between releases count as new."""
    found = re.match(r"n?(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) < OLDEST


def lacking(wanted: tuple[str, ...], listing: str) -> list[str]:
    """Return which names `ffmpeg -filters` or `-encoders` does not list."""
    listed = {words[1] for words in map(str.split, listing.splitlines()) if len(words) > 1}
    return [one for one in wanted if one not in listed]


def _too_old(name: str, path: str, said: str) -> CheckResult | None:
    version = version_of(said)
    if is_too_old(version):
        return missing(name, f"{printable(path)} is of version {version}.", _INSTALL)
    return None
