"""Paths between neighbours: each sees the same folder under a name of its own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from dubarr_watch.errors import WrongUsage, printable
from dubarr_watch.library.confines import Confines
from dubarr_watch.library.naming import NAME_MAX_BYTES

_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")


class OutsideLibrary(WrongUsage):
    """A path leads to no place in VIDEOS_DIR."""


def rewritten(path: str, rules: Iterable[tuple[str, str]]) -> str:
    """Return a path with the longest prefix that a rule knows replaced.

    Prefixes end at a folder: `/tv` is none of `/tv2/a.mkv`. On a Windows path, case and the kind
    of slash make no difference; the rest of it then has the slashes of the new prefix.

    Args:
        path: Any path.
        rules: (prefix, new prefix).
    """
    for prefix, new in sorted(rules, key=lambda rule: len(rule[0].rstrip("/\\")), reverse=True):
        rest = behind(path, prefix)
        if rest is not None:
            slash = "\\" if _WINDOWS.match(new) else "/"
            return new.rstrip("/\\") + rest.replace("/", slash) if rest else new
    return path


def library_path(path: str, rules: Sequence[tuple[str, str]], confines: Confines) -> Path:
    """Return where a path that a neighbour named is for us.

    Args:
        path: As the neighbour sees it.
        rules: PATH_MAP.
        confines: VIDEOS_DIR, and whether links may lead out of it.

    Raises:
        OutsideLibrary: It is not in VIDEOS_DIR, or a folder on the way leads out of it.
    """
    ours, root = rewritten(path, rules), confines.root
    here = Path(ours)
    if not all(map(_can_be_a_name, here.parts)):
        raise OutsideLibrary("The path holds what no file name can.")
    if not here.is_absolute() or ".." in here.parts or not (here == root or root in here.parents):
        raise OutsideLibrary(
            f"{printable(path)} is not in VIDEOS_DIR {printable(root)}.",
            hint="When the sender sees the library under another path, set PATH_MAP, e.g. "
            f"PATH_MAP={_guess(path)}={printable(root)}.",
        )
    if confines.follow_links:
        return here
    # A link to a file counts as that file, as everywhere in the library; one to a folder does not.
    folder = here if here == root else here.parent
    real_root = Path(os.path.realpath(root))
    real = Path(os.path.realpath(folder))
    if real != real_root and real_root not in real.parents:
        raise OutsideLibrary(
            f"{printable(path)} leads out of VIDEOS_DIR {printable(root)} over a link.",
            hint="Only what really lies in VIDEOS_DIR is dubbed, unless FOLLOW_LINKS=true.",
        )
    return here


def behind(path: str, prefix: str) -> str | None:
    """Return what follows a folder in a path, with plain slashes; nothing when it is another."""
    known = prefix.rstrip("/\\")
    if _WINDOWS.match(prefix):
        path, known = path.replace("\\", "/"), known.replace("\\", "/")
        same = path[: len(known)].lower() == known.lower()
    else:
        same = path.startswith(known)
    rest = path[len(known) :]
    return rest if same and (not rest or rest.startswith("/")) else None


def _can_be_a_name(part: str) -> bool:
    try:
        return "\0" not in part and len(os.fsencode(part)) <= NAME_MAX_BYTES
    except UnicodeEncodeError:
        return False


def _guess(path: str) -> str:
    """Return the beginning of a path that most likely is the other's name of the library."""
    first = re.match(r"(?:[A-Za-z]:)?[\\/]+[^\\/]+(?=[\\/])", path)
    return printable(first[0]) if first else "/their/folder"
