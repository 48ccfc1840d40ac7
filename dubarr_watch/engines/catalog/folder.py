"""Is a model's folder whole? Cheap and thorough answers, and the stamp that joins them.

Hashing all models takes seconds, too long for every start. So a stamp file records the hashes that
were verified; a later look compares the stamp with the list and the sizes on disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from dubarr_watch.engines.catalog.listing import MIB, Model, ModelFile

STAMP_NAME = ".verified.json"


def sha256_of(path: Path, watch: Callable[[int], None] = lambda _: None) -> str:
    """Return a file's SHA-256 in lower-case hex.

    Args:
        path: The file.
        watch: Called with the number of bytes hashed so far.
    """
    digest = hashlib.sha256()
    done = 0
    with path.open("rb") as stream:
        while chunk := stream.read(4 * MIB):
            digest.update(chunk)
            done += len(chunk)
            watch(done)
    return digest.hexdigest()


def has_size(file: ModelFile, path: Path) -> bool:
    """Tell whether a file is there with the length it must have."""
    try:
        return path.is_file() and path.stat().st_size == file.size_bytes
    except OSError:
        return False


def write_stamp(model: Model, folder: Path, left_out: tuple[str, ...] = ()) -> None:
    """Record that every file in the folder was verified, apart from optional ones left out."""
    stamp = {file.path: file.sha256 for file in model.files if file.path not in left_out}
    beside = folder / (STAMP_NAME + ".new")
    with beside.open("w", encoding="utf-8") as stream:
        json.dump(stamp, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(folder / STAMP_NAME)


def remove_stamp(folder: Path) -> None:
    """Forget that the folder was verified."""
    with contextlib.suppress(FileNotFoundError):
        (folder / STAMP_NAME).unlink()


def is_complete(model: Model, folder: Path) -> bool:
    """Tell, without hashing, whether the folder holds what a verification found whole."""
    stamp = _read_stamp(folder)
    if stamp is None:
        return False
    return all(
        (stamp.get(file.path) == file.sha256 and has_size(file, folder / file.path))
        or (file.optional and file.path not in stamp)
        for file in model.files
    )


def left_out(model: Model, folder: Path) -> tuple[str, ...]:
    """Return the optional files that a complete folder does without."""
    stamp = _read_stamp(folder) or {}
    return tuple(file.path for file in model.files if file.optional and file.path not in stamp)


def _read_stamp(folder: Path) -> dict[str, str] | None:
    try:
        stamp = json.loads((folder / STAMP_NAME).read_text("utf-8"))
    except (OSError, ValueError):
        return None  # no stamp, or a torn one: the folder counts as unverified
    return stamp if isinstance(stamp, dict) else None
