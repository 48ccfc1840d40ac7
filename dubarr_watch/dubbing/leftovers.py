"""Temporary files that an ended process left, and their removal."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import structlog

from dubarr_watch.library.naming import writing_job
from dubarr_watch.settings import Settings
from dubarr_watch.storage import plain_os_errors
from dubarr_watch.store.records import JobRecord

_log = structlog.get_logger(__name__)


def remove_leftovers(folder: Path, job: int | None = None) -> list[Path]:
    """Remove temporary files that an ended process left in a folder.

    Args:
        folder: The folder to look at; folders below are not.
        job: Only this job's; nothing: every job's.

    Returns:
        What was removed. A folder that is gone or cannot be read has nothing to remove.
    """
    removed: list[Path] = []
    try:
        names = os.listdir(folder)
    except OSError as error:
        _log.info("leftovers not looked for", folder=folder, reason=error.strerror)
        return removed
    for name in names:
        writer = writing_job(name)
        if writer is None or (job is not None and writer != job):
            continue
        path = folder / name
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                continue
            path.unlink()
        except OSError as error:
            _log.warning("leftover not removed", path=path, reason=error.strerror)
        else:
            removed.append(path)
    return removed


def remove_leftovers_of(job: JobRecord) -> None:
    """Remove what a job whose process died was writing beside its video, and beside its target."""
    video = job.video.path
    for folder in {video.parent, Path(os.path.realpath(video)).parent}:
        remove_leftovers(folder, job.id)


def remove_work(settings: Settings, job: int, *, reports: bool) -> None:
    """Remove what a forgotten job keeps in CONFIG_DIR.

    Args:
        settings: CONFIG_DIR.
        job: The job.
        reports: Its quality reports, too.

    Raises:
        NotWritable: It may not be removed.
    """
    work = settings.work_dir / str(job)
    with plain_os_errors(work):
        if work.is_dir() and not work.is_symlink():
            shutil.rmtree(work)
        for report in settings.reports_dir.glob(f"{job}.*.json") if reports else ():
            report.unlink(missing_ok=True)
