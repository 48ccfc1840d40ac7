"""Subtitles that are there already, beside a video or in it.

Somebody who translated a film for reading did it better than a small model does, so their wording
is used where there is one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog

from dubarr_watch.dubbing.subtitle_text import (
    MAX_BYTES,
    Cue,
    Subtitles,
    SubtitlesUnusable,
    read_subtitles,
)
from dubarr_watch.errors import MediaError, UnknownLanguage
from dubarr_watch.languages import Language, parse_language, same_language
from dubarr_watch.media import (
    Opener,
    Probe,
    Stream,
    held,
    input_arguments,
    output_name,
    readable,
    run_ffmpeg,
)

SIDE_FILE_ENDINGS = (".srt", ".ass", ".ssa", ".vtt")

_TEXT_CODECS = {
    "subrip": "srt", "srt": "srt", "text": "srt", "mov_text": "srt", "webvtt": "srt",
    "ass": "ass", "ssa": "ass",
}  # fmt: skip

# Words in a file's name that say what kind of subtitles it holds. Two of them are codes of
# languages too (hi, sdh); they mean the kind unless they stand alone.
_FORCED = frozenset({"forced", "foreign", "signs", "songs"})
_FOR_DEAF = frozenset({"sdh", "cc", "hi"})
_KINDS = _FORCED | _FOR_DEAF | {"default", "full"}

_PICTURES = {
    "hdmv_pgs_subtitle": "PGS", "dvd_subtitle": "VobSub", "dvb_subtitle": "DVB", "xsub": "XSUB",
}  # fmt: skip
_PICTURE_FILES = {".sup": "PGS", ".idx": "VobSub"}

_OURS = re.compile(r"\.dubarr\.", re.IGNORECASE)
_PARTIAL_TITLE = re.compile(r"\b(forced|foreign|signs?|songs?|lyrics|commentary)\b", re.IGNORECASE)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FoundSubtitles:
    """The subtitles in a language that there are.

    Attributes:
        cues: What is said; empty when no file or stream tells.
        songs: What is sung, as far as any of them tells.
        notes: What a listener should know, e.g. that they are pictures.
    """

    cues: list[Cue] = field(default_factory=list)
    songs: list[Cue] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_subtitles(
    video: Probe,
    language: Language,
    work: Path,
    *,
    cancelled: Callable[[], bool] | None = None,
    stall_s: float = 600,
    opened: Opener = held,
) -> FoundSubtitles:
    """Return the subtitles in a language that lie beside a video or in it.

    Files come before streams, full subtitles before those for the deaf; forced ones (signs only)
    and our own are left out. What cannot be used is logged with its reason; pictures are noted
    where there is nothing else.

    Args:
        video: The video.
        language: The language wanted.
        work: The job's work folder, where a stream is written to.
        cancelled: True ends the reading of a stream.
        stall_s: Seconds without progress after which it is ended.
        opened: Opens the video and what lies beside it.

    Raises:
        JobCancelled: `cancelled` said so.
    """
    cues: list[Cue] = []
    songs: list[Cue] = []
    extract = partial(_extract, video.path, work, cancelled, stall_s, opened)
    for source, for_deaf, read in _candidates(video, language, extract, opened):
        # Songs are marked in those for the deaf, if anywhere.
        if cues and (songs or not for_deaf):
            continue
        found = read()
        if found is None:
            continue
        songs = songs or found.songs
        if not cues and found.cues:
            cues = found.cues
            _log.info("subtitles used", path=video.path, source=source, language=language.code,
                      cues=len(cues))  # fmt: skip
    return FoundSubtitles(cues, songs, [] if cues else _notes_on_pictures(video, language))


def _candidates(
    video: Probe,
    language: Language,
    extract: Callable[[Stream, Language], Subtitles | None],
    opened: Opener,
) -> Iterator[tuple[str, bool, Callable[[], Subtitles | None]]]:
    """Yield what may be read, best first: its name, whether it is for the deaf, and how."""
    for path in _side_files(video.path, language):
        for_deaf = _is_for_deaf(video.path, path)
        yield path.name, for_deaf, partial(_read, path, language, opened)
    for stream in _streams(video, language):
        for_deaf = "hearing_impaired" in stream.dispositions
        yield f"stream {stream.index}", for_deaf, partial(extract, stream, language)


def _notes_on_pictures(video: Probe, language: Language) -> list[str]:
    """Say which subtitles in the language nobody can read, because they are pictures."""
    kinds = [
        _PICTURES.get(stream.codec, stream.codec)
        for stream in _full_streams(video, language)
        if stream.codec not in _TEXT_CODECS
    ]
    kinds += [_PICTURE_FILES[path.suffix.lower()] for path in _named(
        video.path, language, tuple(_PICTURE_FILES))]  # fmt: skip
    if not kinds:
        return []
    told = " and ".join(dict.fromkeys(kinds))
    _log.info("subtitles are pictures", path=video.path, language=language.code, kinds=told)
    return [
        f"The {language.name} subtitles are pictures ({told}), which cannot be read; a .srt file "
        "beside the video would be used."
    ]


def _read(path: Path, language: Language, opened: Opener = held) -> Subtitles | None:
    try:
        return read_subtitles(path, language.code, opened)
    except SubtitlesUnusable as error:
        _log.warning("subtitles unusable", path=path, reason=str(error))
        return None


def _side_files(video: Path, language: Language) -> list[Path]:
    """Return files beside the video that hold full subtitles in the language, best first."""
    found = _named(video, language, SIDE_FILE_ENDINGS)
    rank = {ending: number for number, ending in enumerate(SIDE_FILE_ENDINGS)}
    return sorted(found, key=lambda path: (_is_for_deaf(video, path), rank[path.suffix.lower()]))


def _is_for_deaf(video: Path, path: Path) -> bool:
    return not _FOR_DEAF.isdisjoint(_words_after(video.stem, path.name) or ())


def _named(video: Path, language: Language, endings: Sequence[str]) -> list[Path]:
    """Return files beside the video whose names say the language, and no part of the subtitles."""
    try:
        names = sorted(os.listdir(video.parent))
    except OSError as error:
        _log.warning("subtitles not looked for", path=video.parent, reason=error.strerror)
        return []
    found: list[Path] = []
    for name in names:
        words = _words_after(video.stem, name)
        if words is None or not name.lower().endswith(tuple(endings)):
            continue
        if _OURS.search(name) or _FORCED & set(words):
            continue
        if _means(words, language):
            found.append(video.parent / name)
    return found


def _words_after(stem: str, name: str) -> list[str] | None:
    """Return the words between a video's stem and a subtitle ending, or nothing if it has none."""
    base, ending = os.path.splitext(name)  # noqa: PTH122 - a name may be hidden or hold any bytes
    if ending.lower() not in (*SIDE_FILE_ENDINGS, *_PICTURE_FILES):
        return None
    if not base.lower().startswith(f"{stem.lower()}."):
        return None
    return [word for word in re.split(r"[.\s]+", base[len(stem) + 1 :].lower()) if word]


def _means(words: Sequence[str], language: Language) -> bool:
    """Tell whether the rightmost word that names a language names this one."""
    spoken = [word for word in words if word not in _KINDS] or words
    for word in reversed(spoken):
        if same_language(word, language):
            return True
        if _names_language(word):
            return False
    return False


def _names_language(word: str) -> bool:
    try:
        parse_language(word)
    except UnknownLanguage:
        return False
    return True


def _streams(video: Probe, language: Language) -> list[Stream]:
    """Return the text streams with full subtitles in the language, best first."""
    usable = [one for one in _full_streams(video, language) if one.codec in _TEXT_CODECS]
    return sorted(usable, key=lambda stream: "hearing_impaired" in stream.dispositions)


def _full_streams(video: Probe, language: Language) -> list[Stream]:
    return [
        stream
        for stream in video.of_kind("subtitle")
        if same_language(stream.language, language)
        and "forced" not in stream.dispositions
        and not _PARTIAL_TITLE.search(stream.title)
    ]


def _extract(
    video: Path,
    work: Path,
    cancelled: Callable[[], bool] | None,
    stall_s: float,
    opened: Opener,
    stream: Stream,
    language: Language,
) -> Subtitles | None:
    form = _TEXT_CODECS[stream.codec]
    path = work / f"subtitles.{language.code}.{stream.index}.{form}"
    try:
        with readable(video, opened) as name:
            run_ffmpeg(
                [*input_arguments(name), "-map", f"0:{stream.index}", "-c:s", form,
                 "-fs", str(2 * MAX_BYTES), "-f", form, output_name(path)],
                path=video,
                cancelled=cancelled,
                stall_s=stall_s,
            )  # fmt: skip
    except MediaError as error:
        _log.warning("subtitles unusable", path=video, stream=stream.index, reason=error.message)
        return None
    return _read(path, language)
