"""Folders: may they be written to, how much space is left, and what are they on?"""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from dubarr_watch.doctor.result import CheckResult, failed, missing, ok, skipped, warning
from dubarr_watch.errors import printable
from dubarr_watch.library.mounts import filesystem_kind, locks_are_shared_late, tells_changes
from dubarr_watch.library.naming import is_ignored_folder
from dubarr_watch.settings import OutputMode, Settings, WatchMode

GB = 1_000_000_000

# Two hours of film as the pipeline keeps them: 16 kHz mono and 48 kHz stereo sound, takes, mix.
_WORK_NEEDED, _WORK_WANTED = 1 * GB, 5 * GB
# A track of two hours takes about 0.2 GB; a video that is muxed is written anew beside the old one.
_VIDEOS_NEEDED, _VIDEOS_WANTED, _MUX_WANTED = GB // 5, 2 * GB, 20 * GB

_SAMPLE = 50
_LARGE_LIBRARY = 1_000_000

_WATCHES = Path("/proc/sys/fs/inotify/max_user_watches")


def check_videos_writable(name: str, settings: Settings) -> CheckResult:
    """Write a hidden file into VIDEOS_DIR and a sample of the folders in it, and remove it."""
    root = settings.videos_dir
    if not root.is_dir():
        return missing(
            name,
            f"VIDEOS_DIR {printable(root)} is not there, or is no folder.",
            "Create it, or set VIDEOS_DIR to the folder that holds your videos.",
        )
    sample = [root, *itertools.islice(_folders_below(root), _SAMPLE)]
    refused = {folder: why for folder in sample if (why := _why_not_writable(folder))}
    if not refused:
        inside = f", and in it {len(sample) - 1} of its folders" if len(sample) > 1 else ""
        return ok(name, f"{printable(root)}{inside}.")
    told = ", ".join(f"{printable(folder)} ({why})" for folder, why in list(refused.items())[:3])
    more = f" and {len(refused) - 3} more" if len(refused) > 3 else ""
    return missing(name, f"Tracks cannot be put into {told}{more}.", _permission())


def check_writable(name: str, settings: Settings, *, setting: str) -> CheckResult:
    """Write a hidden file into CONFIG_DIR or MODELS_DIR, and remove it."""
    folder: Path = getattr(settings, setting.lower())
    there = existing_part(folder)
    why = _why_not_writable(there)
    if why:
        return missing(
            name,
            f"{setting} {printable(folder)} cannot be written to: {why}.",
            f"{_permission()} Or set {setting} to another folder.",
        )
    if there != folder:
        return ok(name, f"{printable(folder)} is not there yet, and can be made.")
    return ok(name, f"{printable(folder)}.")


def check_videos_space(name: str, settings: Settings) -> CheckResult:
    """Compare the space beside the videos with what tracks take."""
    wanted = _VIDEOS_WANTED if settings.output_mode is OutputMode.SIDECAR else _MUX_WANTED
    return space_result(
        name, "VIDEOS_DIR", settings.videos_dir, needed=_VIDEOS_NEEDED, wanted=wanted
    )


def check_config_space(name: str, settings: Settings) -> CheckResult:
    """Compare the space for intermediate files with what a long film takes."""
    return space_result(
        name, "CONFIG_DIR", settings.config_dir, needed=_WORK_NEEDED, wanted=_WORK_WANTED
    )


def space_result(name: str, setting: str, folder: Path, *, needed: int, wanted: int) -> CheckResult:
    """Return what the free space of a folder's disk means.

    Args:
        name: Of the check.
        setting: Which setting names the folder.
        folder: It, there or not.
        needed: Bytes without which it fails.
        wanted: Bytes below which it is a warning.
    """
    free = shutil.disk_usage(existing_part(folder)).free
    found = f"{free / GB:.1f} GB free in {setting} {printable(folder)}"
    if free < needed:
        advice = f"At least {needed / GB:.1f} GB are needed: free some, or set {setting} elsewhere."
        return missing(name, f"{found}.", advice)
    if free < wanted:
        return warning(name, f"{found}.", f"{wanted / GB:.0f} GB or more are safe for long films.")
    return ok(name, f"{found}.")


def check_videos_file_system(name: str, settings: Settings) -> CheckResult:
    """Say how the library is watched, from what it is on."""
    kind = filesystem_kind(settings.videos_dir)
    seconds = f"every {settings.scan_interval:.0f} s"
    if tells_changes(kind) or settings.watch_mode is WatchMode.POLL:
        how = "polled" if settings.watch_mode is WatchMode.POLL else "changes are seen at once"
        return ok(name, f"{kind or 'unknown kind'}: {how}.")
    if settings.watch_mode is WatchMode.AUTO:
        return ok(name, f"{kind} tells no changes: it is polled, {seconds}.")
    return warning(
        name,
        f"{kind} tells no changes, but WATCH_MODE=events relies on them: new videos are seen "
        f"{seconds} only.",
        "Set WATCH_MODE=auto.",
    )


def check_config_file_system(name: str, settings: Settings) -> CheckResult:
    """Say whether a database is safe where CONFIG_DIR is."""
    return config_file_system_result(name, filesystem_kind(settings.config_dir))


def config_file_system_result(name: str, kind: str) -> CheckResult:
    """Return what a kind of file system means for the database."""
    advice = "Let CONFIG_DIR be on a disk of this machine."
    if locks_are_shared_late(kind):
        return failed(name, f"{kind}: on a network mount the database can be damaged.", advice)
    if not tells_changes(kind):
        return warning(name, f"{kind}: a database is slow there, and may be damaged.", advice)
    if kind in ("tmpfs", "ramfs"):
        return warning(name, f"{kind}: everything in it is lost with the power.", advice)
    if kind == "overlay":
        return warning(
            name,
            "overlay: it is inside the container, and lost when that is made anew.",
            "Mount a volume at CONFIG_DIR.",
        )
    return ok(name, f"{kind or 'unknown kind'}.")


def check_inotify(name: str, settings: Settings) -> CheckResult:
    """Compare the kernel's limit of watches with the number of folders."""
    if settings.watch_mode is WatchMode.POLL or (
        settings.watch_mode is WatchMode.AUTO
        and not tells_changes(filesystem_kind(settings.videos_dir))
    ):
        return skipped(name, "The library is polled.")
    try:
        limit = int(_WATCHES.read_text(encoding="ascii"))
    except OSError:
        return skipped(name, "This system has no inotify.")
    # Watched are all folders, ignored ones too.
    count = sum(1 for _ in itertools.islice(os.walk(settings.videos_dir), _LARGE_LIBRARY))
    return inotify_result(name, count, limit)


def inotify_result(name: str, folders: int, limit: int) -> CheckResult:
    """Return whether a number of folders can be watched; other programs watch some, too."""
    found = f"{folders} folders, {limit} watches allowed"
    if folders <= limit * 0.8:
        return ok(name, f"{found}.")
    enough = max(524_288, 2 ** (2 * folders - 1).bit_length())
    return warning(
        name,
        f"{found}: what cannot be watched is only scanned.",
        f"On the host: sudo sysctl fs.inotify.max_user_watches={enough} (and write it into "
        "/etc/sysctl.d/60-dubarr.conf to keep it), or set WATCH_MODE=poll.",
    )


def existing_part(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that is there."""
    return next(one for one in (folder, *folder.parents) if one.exists())


def _folders_below(root: Path) -> Iterator[Path]:
    """Yield the folders in which tracks may be put, nearest first."""
    level: Iterable[Path] = [root]
    while level := [child for folder in level for child in _folders_in(folder)]:
        yield from level


def _folders_in(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                Path(entry.path)
                for entry in entries
                if entry.is_dir(follow_symlinks=False) and not is_ignored_folder(entry.name)
            )
    except OSError:
        return []  # that it cannot be read shows when it is written to


def _why_not_writable(folder: Path) -> str:
    """Return why no file can be made in a folder; nothing when one can."""
    probe = folder / f".dubarr-doctor-{secrets.token_hex(4)}.tmp"
    try:
        with probe.open("xb") as file:
            file.write(b"written by dubarr-watch doctor")
        probe.unlink()
    except OSError as error:
        return str(error.strerror)
    return ""


def _permission() -> str:
    user = f"user {os.geteuid()}, group {os.getegid()}"
    return f"Let the user that dubarr-watch runs as ({user}) write there."
