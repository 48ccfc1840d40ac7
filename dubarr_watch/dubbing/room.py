"""How much space a job takes in its work folder, estimated before anything is decoded."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from dubarr_watch.dubbing.codecs import most_bytes
from dubarr_watch.dubbing.extraction import MIX_RATE, MODEL_RATE
from dubarr_watch.dubbing.publishing_errors import in_words
from dubarr_watch.dubbing.video import Video
from dubarr_watch.errors import DiskFull, PublishError
from dubarr_watch.media import Probe
from dubarr_watch.storage import lack_of_space

_SAMPLE_BYTES = 2

_FLAC_SHARE = 0.75
"""Loud music compresses to about this by FLAC's fastest level; film sound to about half."""

_TAKES_BYTES_PER_S = 24_000 * _SAMPLE_BYTES * 1.3
"""Takes of a film that talks without a pause, 24 kHz mono, with 1.3 takes a line."""

_STEMS_BYTES_PER_S = 2 * 2 * 44_100 * 4
"""Two stereo stems in 32-bit float while they are converted."""

_SPARE_BYTES = 32 * 2**20


def work_bytes(video: Probe, *, languages: int, stereo: bool, separated: bool) -> int:
    """Return how much space a job's intermediate files take at most.

    Args:
        video: The video.
        languages: How many it is dubbed into.
        stereo: STEREO.
        separated: Whether its voices are taken out of its sound.
    """
    channels = 2 if stereo else max((s.channels for s in video.of_kind("audio")), default=2)
    models = MODEL_RATE * _SAMPLE_BYTES
    bed = MIX_RATE * _SAMPLE_BYTES * max(channels, 1) * _FLAC_SHARE
    taken_apart = models + bed + 24_000 * _SAMPLE_BYTES + _STEMS_BYTES_PER_S if separated else 0
    per_s = models + bed + taken_apart + languages * _TAKES_BYTES_PER_S
    return round(per_s * video.duration_s) + languages * most_bytes(video, stereo=stereo)


def check_room(folder: Path, needs_bytes: int) -> None:
    """Find out, before anything is decoded, whether the intermediate files will have space.

    What an earlier run of the job left in its folder is counted as there already.

    Args:
        folder: The job's work folder.
        needs_bytes: See `work_bytes`.

    Raises:
        DiskFull: There is too little space now.
        PublishError: The disk is too small even when it is empty.
    """
    usage = shutil.disk_usage(folder)
    there = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    needed = max(0, needs_bytes - there) + _SPARE_BYTES
    if 0 < usage.total < needed:
        raise PublishError(
            f"The disk is too small for this video: about {in_words(needed)} of space needed, "
            f"{in_words(usage.total)} in all.",
            hint="Let CONFIG_DIR be on a larger disk.",
            path=folder,
        )
    if usage.total > 0 and usage.free < needed:
        raise DiskFull(
            f"There is not enough space for intermediate files: about {in_words(needed)} needed, "
            f"{in_words(usage.free)} free.",
            hint="Free some space there, or let CONFIG_DIR be on a larger disk.",
            path=folder,
        )


def refuse_full_disk(error: Exception, work: Path, video: Video) -> None:
    """Say that the disk is full when that is what an error of a job comes of.

    Args:
        error: What ended the job, or one of its languages.
        work: The job's work folder.
        video: What it dubs.

    Raises:
        DiskFull: It is; the queue waits for space instead of failing the job.
    """
    places = (work, Path(tempfile.gettempdir()), video.record.path.parent)
    if full := lack_of_space(error, *places):
        raise full from error
