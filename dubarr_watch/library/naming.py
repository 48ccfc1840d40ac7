"""Names: which files are videos, which are left alone, and what our own files are called."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from dubarr_watch.errors import PublishError

# Containers that carry pictures. Audio-only files are no input: there is nothing to dub onto.
VIDEO_EXTENSIONS = frozenset({
    ".3g2", ".3gp", ".asf", ".avi", ".divx", ".f4v", ".flv", ".m2ts", ".m2v", ".m4v", ".mk3d",
    ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogm", ".ogv", ".rm", ".rmvb", ".ts",
    ".vob", ".webm", ".wmv",
})  # fmt: skip

FINGERPRINT_BYTES = 64 * 1024
NAME_MAX_BYTES = 255  # of ext4, XFS, Btrfs, ZFS, NTFS and SMB, for one part of a path

# What NAS systems, synchronizers and unpackers keep beside the user's files.
_SYSTEM_FOLDERS = frozenset({
    "@eadir", "#recycle", "@recycle", "#snapshot", "@sharebin", "@tmp", "lost+found",
    "$recycle.bin", "recycler", "system volume information",
})  # fmt: skip

# Folder names of Radarr's and Jellyfin's extras that mean nothing else. Both also know
# `interviews`, `shorts`, `scenes`, `clips` and `other`; a library may well be sorted by such
# words, and a film that is silently never dubbed is worse than a dubbed extra.
_EXTRAS_FOLDERS = frozenset({
    "sample", "samples", "trailer", "trailers", "extra", "extras", "extrafanart", "featurette",
    "featurettes", "backdrops", "theme-music", "behind the scenes", "deleted scenes",
})  # fmt: skip

_EXTRAS_SUFFIX = re.compile(
    r"(?:^|[-._])(?:trailer|sample)$"
    r"|-(?:behindthescenes|deleted|deletedscene|featurette|extra)$"
    r"|^sample-",
    re.IGNORECASE,
)

# Endings of half-written files of browsers, torrent clients and copy tools; those that stand
# behind the video's own ending are no video's ending anyway, these catch the others.
_UNFINISHED = (
    ".part", ".partial", ".partial~", ".backup~", ".tmp", ".!qb", ".!ut", ".crdownload",
    ".download", ".aria2", ".unmanic",
)  # fmt: skip

_OUR_OUTPUT = re.compile(r".\.Dubarr\.[a-z]{2,3}\.(?:mka|srt)$")
_OUR_TEMPORARY = re.compile(r"^\..*\.dubarr-(\d+)(?:-\d+)?\.tmp$", re.DOTALL)
_SHORTENED_HASH_CHARS = 8


def is_video_name(name: str) -> bool:
    """Tell whether a file's name says that it is a video which may be dubbed."""
    return Path(name).suffix.lower() in VIDEO_EXTENSIONS and not is_ignored_file(name)


def has_video_ending(name: str) -> bool:
    """Tell whether a name ends as videos do, ignored or not."""
    return Path(name).suffix.lower() in VIDEO_EXTENSIONS


def is_ignored_file(name: str) -> bool:
    """Tell whether a file is left alone: hidden, half-written, an extra, or our own."""
    lowered = name.lower()
    if name.startswith(".") or lowered.endswith(_UNFINISHED) or is_our_output(name):
        return True
    return lowered.startswith("~syncthing~") or is_extra(name)


def is_extra(name: str) -> bool:
    """Tell whether a file is a sample, a trailer or another extra by its name."""
    return bool(_EXTRAS_SUFFIX.search(Path(name).stem))


def is_ignored_folder(name: str) -> bool:
    """Tell whether a folder, and all below it, is left alone."""
    lowered = name.lower()
    return (
        name.startswith((".", "_UNPACK_", "_FAILED_"))
        or lowered in _SYSTEM_FOLDERS
        or lowered in _EXTRAS_FOLDERS
    )


def is_ignored_path(path: Path, root: Path) -> bool:
    """Tell whether any folder between the root and the file is left alone."""
    try:
        parts = path.relative_to(root).parts
    except ValueError:
        return True
    return any(is_ignored_folder(part) for part in parts[:-1])


def is_our_output(name: str) -> bool:
    """Tell whether a name is one that we give: a sidecar, its subtitles, or a temporary file."""
    return bool(_OUR_OUTPUT.search(name)) or writing_job(name) is not None


def sidecar_path(video: Path, language: str, *, taken_by_other: bool = False) -> Path:
    """Return where the finished track goes: `Film.Dubarr.pl.mka` beside `Film.mkv`.

    Jellyfin and Kodi ask for exactly the video's stem, a dot, and a language. When another
    video of the same stem (`Film.mp4`) already owns that name, the later one keeps its ending in
    the name (`Film.mkv.Dubarr.pl.mka`): players offer it beside both, and nothing is overwritten.

    Args:
        video: The video.
        language: ISO 639-1 code, or ISO 639-3 where there is none.
        taken_by_other: Whether the plain name belongs to another video or to the user.

    Raises:
        PublishError: The name would be longer than a file system allows.
    """
    return _beside(video, f".Dubarr.{language}.mka", taken_by_other=taken_by_other)


def subtitles_path(video: Path, language: str, *, taken_by_other: bool = False) -> Path:
    """Return where the translated lines go: `Film.Dubarr.pl.srt`; otherwise as `sidecar_path`."""
    return _beside(video, f".Dubarr.{language}.srt", taken_by_other=taken_by_other)


ANSWERING = 0
"""Number in the temporary name of a marker's answer; no job has it."""


def temporary_name(name: str, job: int, token: int = 0) -> str:
    """Return the hidden name, without a media extension, under which a file is written.

    A name too long to carry the additions is cut, and told from others by a hash.

    Args:
        name: The final name.
        job: Who writes.
        token: Of the claim of the job's worker, so that no two workers write the same file.
    """
    ending = f".dubarr-{job}-{token}.tmp" if token else f".dubarr-{job}.tmp"
    room = NAME_MAX_BYTES - len(ending) - 1
    raw = os.fsencode(name)
    if len(raw) > room:
        digest = hashlib.sha256(raw).hexdigest()[:_SHORTENED_HASH_CHARS]
        room -= len(digest) + 1
        # Cut between characters: some file systems refuse a name that is broken UTF-8.
        kept = raw[:room]
        while kept and (raw[len(kept)] & 0xC0) == 0x80:
            kept = kept[:-1]
        name = f"{os.fsdecode(kept)}.{digest}"
    return f".{name}{ending}"


def writing_job(name: str) -> int | None:
    """Return the job that writes under a temporary name, or nothing when it is another name."""
    match = _OUR_TEMPORARY.match(name) if name.startswith(".") else None
    return int(match[1]) if match else None


def fingerprint(path: Path) -> str:
    """Return what a video is known by when its path changes: SHA-256 of size, head and tail.

    Reads at most 128 KiB, so that a library of thousands is recorded in minutes over a network.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest = hashlib.sha256(f"{size}:".encode())
        digest.update(file.read(FINGERPRINT_BYTES))
        if size > FINGERPRINT_BYTES:
            file.seek(max(FINGERPRINT_BYTES, size - FINGERPRINT_BYTES))
            digest.update(file.read(FINGERPRINT_BYTES))
    return digest.hexdigest()


def _beside(video: Path, ending: str, *, taken_by_other: bool) -> Path:
    stem = video.name if taken_by_other else video.stem
    name = f"{stem}{ending}"
    too_long = len(os.fsencode(name)) - NAME_MAX_BYTES
    if too_long > 0:
        raise PublishError(
            f"The video's name is too long: with '{ending}' it would pass the {NAME_MAX_BYTES} "
            "bytes that a file name may have.",
            hint=f"Shorten it by {too_long} bytes or more.",
            path=video,
        )
    return video.with_name(name)
