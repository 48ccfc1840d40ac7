"""Disks of a test's own: small ones, and one with shared blocks and quotas."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def command(*words: str | Path) -> bool:
    """Run a program of the system, and tell whether it was there and succeeded."""
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@contextmanager
def tmpfs(folder: Path, size: str) -> Iterator[Path]:
    """Mount a file system of a size over a new folder for a `with` block, or skip the test.

    Args:
        folder: It.
        size: Bytes with a suffix, like `64k`.
    """
    folder.mkdir(exist_ok=True)
    if not command("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder):
        pytest.skip("this user may not mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextmanager
def btrfs(folder: Path) -> Iterator[None]:
    """Mount a new one over a folder for the length of a `with` block, or skip the test.

    It is 400 MB, in a file of zeros that takes hardly any room.
    """
    image = folder.with_name(f"{folder.name}.img")
    with image.open("wb") as zeros:
        zeros.truncate(400 << 20)
    if not (command("mkfs.btrfs", image) and command("mount", "-o", "loop", image, folder)):
        pytest.skip("this system has no btrfs, or this user may not mount it")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        image.unlink()


def limit(folder: Path, mib: int) -> None:
    """Make a new folder in a btrfs whose files may take so much; free space does not tell of it."""
    above = folder.parent
    for words in (
        ("quota", "enable", above),
        ("subvolume", "create", folder),
        ("qgroup", "limit", f"{mib}M", folder),
    ):
        subprocess.run(["btrfs", *words], capture_output=True, check=True)
