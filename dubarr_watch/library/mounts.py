"""What kind of file system a path is on, and whether it tells about changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_MOUNTINFO = Path("/proc/self/mountinfo")

# Changes that another machine, or the far side of a FUSE mount, makes raise no event here.
SILENT_KINDS = frozenset({
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "virtiofs", "vboxsf", "prl_fs", "vmhgfs", "afs",
    "ceph", "glusterfs", "lustre", "beegfs", "ocfs2", "gfs2", "davfs", "drvfs", "fakeowner",
    "ncpfs", "coda",
})  # fmt: skip

# FUSE in general is taken for silent; these are local disks, and their own changes are seen.
_LOCAL_FUSE = frozenset({"fuseblk", "fuse.ntfs", "fuse.ntfs-3g", "fuse.exfat", "fuse.ext4"})

# Locks of these reach other machines late or never, which SQLite relies on.
_NETWORK = frozenset({
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre", "beegfs",
    "ocfs2", "gfs2", "davfs", "ncpfs", "coda", "fuse.sshfs", "fuse.rclone", "fuse.glusterfs",
    "fuse.s3fs",
})  # fmt: skip


def filesystem_kind(path: Path, *, mountinfo: Path = _MOUNTINFO) -> str:
    """Return the kind of file system that a path is on, such as `ext4`, or empty when unknown.

    Args:
        path: A path that exists, or will.
        mountinfo: The kernel's table of mounts, as in proc_pid_mountinfo(5).
    """
    return _mount_of(path, mountinfo)[1]


def mount_point(path: Path, *, mountinfo: Path = _MOUNTINFO) -> Path:
    """Return the folder at which the file system of a path is mounted; `/` when unknown."""
    return Path(_mount_of(path, mountinfo)[0] or "/")


def mounts_below(folder: Path, *, mountinfo: Path = _MOUNTINFO) -> set[Path]:
    """Return the folders below a folder at which other file systems are mounted."""
    base = os.fsencode(os.path.realpath(folder))
    points = (point for point, _ in _mounts(mountinfo))
    return {
        Path(os.fsdecode(point)) for point in points if point != base and _is_below(point, base)
    }


def identity_of(path: Path) -> tuple[int, int] | None:
    """Return device and inode of what is at a path now, or nothing when nothing can be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _mount_of(path: Path, mountinfo: Path) -> tuple[str, str]:
    target = os.fsencode(os.path.realpath(path))
    best, kind = b"", b""
    for point, its_kind in _mounts(mountinfo):
        # Of two mounts on one point the later one is on top.
        if _is_below(target, point) and len(point) >= len(best):
            best, kind = point, its_kind
    return os.fsdecode(best), os.fsdecode(kind)


def _mounts(mountinfo: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield where each file system is mounted, and its kind."""
    try:
        lines = mountinfo.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        before, _, after = line.partition(b" - ")
        fields = before.split(b" ")
        if len(fields) >= 5 and after:
            yield _unescape(fields[4]), after.split(b" ")[0]


def tells_changes(kind: str) -> bool:
    """Tell whether a file system of this kind raises an event for every change."""
    if kind.startswith("fuse") and kind not in _LOCAL_FUSE:
        return False
    return kind not in SILENT_KINDS


def locks_are_shared_late(kind: str) -> bool:
    """Tell whether a database can be damaged on a file system of this kind: it is a network's."""
    return kind in _NETWORK


def _is_below(path: bytes, point: bytes) -> bool:
    return path == point or path.startswith(point.rstrip(b"/") + b"/")


def _unescape(field: bytes) -> bytes:
    for code, character in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n")):
        field = field.replace(code, character)
    return field.replace(b"\\134", b"\\")
