"""Which file systems tell about changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubarr_watch.library.mounts import (
    filesystem_kind,
    locks_are_shared_late,
    mount_point,
    tells_changes,
)

TABLE = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:50 / /mnt/nas rw - nfs4 nas:/export rw
31 22 0:51 / /mnt/nas2 rw - cifs //nas/share rw
32 22 0:52 / /mnt/with\040space rw,nosuid shared:5 master:2 - fuse.sshfs me@host: rw
33 30 8:2 / /mnt/nas/local rw - btrfs /dev/sdb rw
34 33 0:53 / /mnt/nas/local rw - 9p share rw
broken line
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text(TABLE, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("path", "kind", "point"),
    [
        ("/home/me/Videos", "ext4", "/"),
        ("/mnt/nas", "nfs4", "/mnt/nas"),
        ("/mnt/nas/films/a", "nfs4", "/mnt/nas"),
        ("/mnt/nas2/films", "cifs", "/mnt/nas2"),
        ("/mnt/nasty", "ext4", "/"),
        ("/mnt/with space/films", "fuse.sshfs", "/mnt/with space"),
        ("/mnt/nas/local/films", "9p", "/mnt/nas/local"),
    ],
)
def test_the_longest_and_latest_mount_above_a_path_counts(
    table: Path, path: str, kind: str, point: str
) -> None:
    assert filesystem_kind(Path(path), mountinfo=table) == kind
    assert mount_point(Path(path), mountinfo=table) == Path(point)


def test_this_machines_own_table_is_understood(tmp_path: Path) -> None:
    assert filesystem_kind(tmp_path)
    assert tmp_path.is_relative_to(mount_point(tmp_path))
    assert filesystem_kind(Path("/proc")) == "proc"


def test_without_a_table_nothing_is_known(tmp_path: Path) -> None:
    assert filesystem_kind(tmp_path, mountinfo=tmp_path / "none") == ""
    assert mount_point(tmp_path, mountinfo=tmp_path / "none") == Path("/")


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs", "fuseblk", ""])
def test_local_disks_tell(kind: str) -> None:
    assert tells_changes(kind)


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "fuse.sshfs", "fuse.mergerfs", "fuse"]
)
def test_networks_and_foreign_mounts_do_not(kind: str) -> None:
    assert not tells_changes(kind)


@pytest.mark.parametrize(
    ("kind", "late"),
    [("nfs4", True), ("cifs", True), ("fuse.sshfs", True), ("ext4", False), ("fuseblk", False),
     ("overlay", False), ("", False)],
)  # fmt: skip
def test_locks_of_network_file_systems_are_not_relied_on(kind: str, late: bool) -> None:
    assert locks_are_shared_late(kind) is late
