"""Subtitles: those in the target language that are there already, and those of our own lines.

Somebody who translated a film for reading did it better than a small model does, so their wording
is used where there is one.
"""

from __future__ import annotations

import math
import os
import re
import textwrap
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import structlog

from dubarr_watch.dubbing.subtitle_text import Cue, SubtitlesUnusable, read_cues
from dubarr_watch.errors import MediaError, UnknownLanguage
from dubarr_watch.languages import Language, parse_language, same_language
from dubarr_watch.media import Probe, Stream, input_arguments, output_name, run_ffmpeg

__all__ = ["MAX_LINE_CHARS", "Cue", "find_cues", "write_srt"]

MAX_LINE_CHARS = 42
"""Width of a subtitle line that broadcasters and streaming services agree on."""

MAX_LINES = 2
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

_OURS = re.compile(r"\.dubarr\.", re.IGNORECASE)
_PARTIAL_TITLE = re.compile(r"\b(forced|foreign|signs?|songs?|lyrics|commentary)\b", re.IGNORECASE)

_log = structlog.get_logger(__name__)


def find_cues(
    video: Probe,
    language: Language,
    work: Path,
    *,
    cancelled: Callable[[], bool] | None = None,
    stall_s: float = 600,
) -> list[Cue]:
    """Return the subtitles in a language that lie beside a video or in it; empty when none do.

    Files come before streams, full subtitles before those for the deaf; forced ones (signs only)
    and our own are left out. What cannot be used is logged with its reason.

    Args:
        video: The video.
        language: The language wanted.
        work: The job's work folder, where a stream is written to.
        cancelled: True ends the reading of a stream.
        stall_s: Seconds without progress after which it is ended.

    Raises:
        JobCancelled: `cancelled` said so.
    """
    for path in _side_files(video.path, language):
        cues = _read(path, language)
        if cues:
            _log.info("subtitles used", path=path, language=language.code, cues=len(cues))
            return cues
    for stream in _streams(video, language):
        path = work / f"subtitles.{language.code}.{stream.index}.{_TEXT_CODECS[stream.codec]}"
        try:
            _extract(video.path, stream, path, cancelled, stall_s)
        except MediaError as error:
            _log.warning("subtitles unusable", path=video.path, stream=stream.index,
                         reason=error.message)  # fmt: skip
            continue
        cues = _read(path, language)
        if cues:
            _log.info("subtitles used", path=video.path, stream=stream.index,
                      language=language.code, cues=len(cues))  # fmt: skip
            return cues
    return []


def write_srt(lines: Sequence[Cue], path: Path) -> None:
    """Write lines as a SubRip file: UTF-8, at most two lines of about 42 characters at a time.

    A longer text is split in time by its length; a cue ends at the latest where the next starts.

    Args:
        lines: In order of start.
        path: The file to write.
    """
    cues = [shown for line in _without_overlaps(lines) for shown in _split(line)]
    blocks = [
        f"{number}\n{_clock(cue.start_s)} --> {_clock(cue.end_s)}\n{cue.text}\n"
        for number, cue in enumerate(cues, start=1)
    ]
    path.write_bytes("\n".join(blocks).encode("utf-8", "replace"))


def _read(path: Path, language: Language) -> list[Cue]:
    try:
        return read_cues(path, language.code)
    except SubtitlesUnusable as error:
        _log.warning("subtitles unusable", path=path, reason=str(error))
        return []


def _side_files(video: Path, language: Language) -> list[Path]:
    """Return files beside the video that hold full subtitles in the language, best first."""
    try:
        names = sorted(os.listdir(video.parent))
    except OSError as error:
        _log.warning("subtitles not looked for", path=video.parent, reason=error.strerror)
        return []
    found: list[tuple[bool, int, Path]] = []
    for name in names:
        words = _words_after(video.stem, name)
        if words is None or _OURS.search(name) or _FORCED & set(words):
            continue
        if _means(words, language):
            ending = Path(name).suffix.lower()
            rank = SIDE_FILE_ENDINGS.index(ending)
            found.append((bool(_FOR_DEAF & set(words)), rank, video.parent / name))
    return [path for _, _, path in sorted(found, key=lambda entry: entry[:2])]


def _words_after(stem: str, name: str) -> list[str] | None:
    """Return the words between a video's stem and a subtitle ending, or nothing if it has none."""
    base, ending = os.path.splitext(name)  # noqa: PTH122 - a name may be hidden or hold any bytes
    if ending.lower() not in SIDE_FILE_ENDINGS:
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
    found = [
        stream
        for stream in video.of_kind("subtitle")
        if same_language(stream.language, language)
        and "forced" not in stream.dispositions
        and not _PARTIAL_TITLE.search(stream.title)
    ]
    for stream in found:
        if stream.codec not in _TEXT_CODECS:
            _log.info("subtitles are pictures", path=video.path, stream=stream.index,
                      codec=stream.codec)  # fmt: skip
    usable = [stream for stream in found if stream.codec in _TEXT_CODECS]
    return sorted(usable, key=lambda stream: "hearing_impaired" in stream.dispositions)


def _extract(
    video: Path,
    stream: Stream,
    path: Path,
    cancelled: Callable[[], bool] | None,
    stall_s: float,
) -> None:
    form = _TEXT_CODECS[stream.codec]
    run_ffmpeg(
        [*input_arguments(video), "-map", f"0:{stream.index}", "-c:s", form, "-f", form,
         output_name(path)],
        path=video,
        cancelled=cancelled,
        stall_s=stall_s,
    )  # fmt: skip


def _without_overlaps(lines: Sequence[Cue]) -> Iterator[Cue]:
    for position, line in enumerate(lines):
        text = _plain(line.text)
        until_s = lines[position + 1].start_s if position + 1 < len(lines) else math.inf
        end_s = min(line.end_s, until_s)
        if text and _ms(end_s) > _ms(line.start_s):
            yield Cue(line.start_s, end_s, text)


def _plain(text: str) -> str:
    """Return a text on one line without what would end a cue or be taken for markup."""
    text = "".join(ch if unicodedata.category(ch)[0] != "C" else " " for ch in text)
    return " ".join(text.split()).replace("-->", "→").replace("<", "‹").replace(">", "›")


def _split(line: Cue) -> Iterator[Cue]:
    """Split a cue in time when its text needs more than two lines."""
    width = _width(line.text)
    rows = textwrap.wrap(line.text, width, break_on_hyphens=False)
    parts = [rows[at : at + MAX_LINES] for at in range(0, len(rows), MAX_LINES)]
    sizes = [sum(map(len, part)) for part in parts]
    seconds, start_s, said = line.end_s - line.start_s, line.start_s, 0
    for part, size in zip(parts, sizes, strict=True):
        said += size
        end_s = line.start_s + seconds * said / sum(sizes)
        if _ms(end_s) > _ms(start_s):
            yield Cue(start_s, end_s, _balanced(" ".join(part), width))
        start_s = end_s


def _width(text: str) -> int:
    # Han characters and kana are twice as wide as letters.
    wide = sum(unicodedata.east_asian_width(ch) in "WF" for ch in text)
    return MAX_LINE_CHARS // 2 if wide > len(text) / 2 else MAX_LINE_CHARS


def _balanced(text: str, width: int) -> str:
    """Break a text that fits two lines so that they are about equally long."""
    if len(text) <= width:
        return text
    for narrow in range(math.ceil(len(text) / MAX_LINES), width):
        rows = textwrap.wrap(text, narrow, break_on_hyphens=False, break_long_words=False)
        if len(rows) <= MAX_LINES and max(map(len, rows)) <= width:
            return "\n".join(rows)
    return "\n".join(textwrap.wrap(text, width, break_on_hyphens=False))


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))


def _clock(seconds: float) -> str:
    minutes, ms = divmod(_ms(seconds), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{ms // 1000:02},{ms % 1000:03}"
