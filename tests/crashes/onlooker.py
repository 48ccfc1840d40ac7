"""Looks at every file in the moment in which it gets its final name.

python -m tests.crashes.onlooker SECONDS VIDEOS REPORTS  says `looking` when it begins, then a line
of JSON for each file: [name, what is wrong with it or nothing]. It ends with its standard input.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from dubarr_watch.errors import DubarrError
from dubarr_watch.media import probe

_CREATED, _MOVED_HERE = 0x100, 0x80  # inotify(7): IN_CREATE, IN_MOVED_TO
_EVENT = struct.Struct("iIII")
_READ_BYTES = 65_536
_MOST_OFF_S = 0.5


def wrong_with(path: Path, kind: str, video_s: float) -> str:
    """Return what is wrong with a published file; nothing when it is whole.

    Args:
        path: The file.
        kind: The ending of its final name.
        video_s: How long videos are.
    """
    if kind == ".json":
        try:
            json.loads(path.read_bytes())
        except ValueError as error:
            return str(error)
        return ""
    if kind == ".srt":
        text = path.read_text(encoding="utf-8")
        return "" if "-->" in text and text.endswith("\n") else "not whole"
    try:
        length_s = probe(path).duration_s
    except DubarrError as error:
        return str(error)
    return "" if abs(length_s - video_s) <= _MOST_OFF_S else f"{length_s} s long"


def main() -> None:
    """Look until standard input ends."""
    video_s, folders = float(sys.argv[1]), [Path(folder) for folder in sys.argv[2:]]
    for path, moved in _appearing(folders):
        kind = path.suffix
        # A video is first copied here by whoever brings it; what replaces it is moved here.
        published = kind in (".mka", ".srt", ".json") or (kind == ".mkv" and moved)
        if not published or path.name.startswith("."):
            continue
        try:
            opened = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        wrong = wrong_with(Path(f"/proc/{os.getpid()}/fd/{opened}"), kind, video_s)
        os.close(opened)
        print(json.dumps([path.name, wrong]), flush=True)  # noqa: T201


def _appearing(folders: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """Yield names as they appear in folders, and whether something was moved there."""
    libc = ctypes.CDLL(None, use_errno=True)
    notify = libc.inotify_init1(os.O_CLOEXEC)
    watched = {
        libc.inotify_add_watch(notify, os.fsencode(folder), _CREATED | _MOVED_HERE): folder
        for folder in folders
    }
    if min(notify, *watched) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    print("looking", flush=True)  # noqa: T201
    while True:
        ready = select.select([notify, sys.stdin], [], [])[0]
        if notify not in ready:
            return
        data = os.read(notify, _READ_BYTES)
        while data:
            number, mask, _, length = _EVENT.unpack_from(data)
            name, data = data[_EVENT.size :][:length], data[_EVENT.size + length :]
            yield watched[number] / os.fsdecode(name.rstrip(b"\0")), bool(mask & _MOVED_HERE)


if __name__ == "__main__":
    main()
