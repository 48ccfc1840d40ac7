"""libgomp, which llama.cpp's wheel needs and a minimal Debian does not have.

CTranslate2's wheel brings a copy under another name. Where the system has none, model processes
find that copy through a link.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from pathlib import Path

from dubarr_watch.errors import ToolMissing

_NAME = "libgomp.so.1"


def library_folder(folder: Path) -> Path | None:
    """Return the folder to add to LD_LIBRARY_PATH; nothing when the system has libgomp itself.

    Args:
        folder: Where the link is made; made itself when missing.

    Raises:
        ToolMissing: Neither the system nor CTranslate2 has a libgomp.
    """
    if _system_has_it():
        return None
    copy = _bundled()
    if copy is None:
        raise ToolMissing(
            f"{_NAME} is not installed, and translation needs it.",
            hint="On Debian and Ubuntu: apt install libgomp1.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / _NAME
    if not link.is_symlink() or link.resolve() != copy:
        beside = folder / f".{_NAME}.new"
        beside.unlink(missing_ok=True)
        beside.symlink_to(copy)
        beside.replace(link)
    return folder


@functools.cache
def _system_has_it() -> bool:
    try:
        ctypes.CDLL(_NAME)
    except OSError:
        return False
    return True


def _bundled() -> Path | None:
    found = importlib.util.find_spec("ctranslate2")  # found, not imported: it is large
    if found is None or found.origin is None:
        return None
    libraries = Path(found.origin).parents[1] / "ctranslate2.libs"
    return next((path.resolve() for path in sorted(libraries.glob("libgomp-*.so*"))), None)
