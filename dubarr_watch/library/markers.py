"""Markers: small files beside a video, or in a folder, that ask for something.

`Film.mkv.dub`, `Film.dub` and `Film.mkv.de+fr.dub` ask for one video, `.dub` for every video in
its folder and below; `.nodub` and `Film.mkv.nodub` forbid. What stands in one: languages,
separated by commas, spaces, semicolons, plus signs or lines; `#` comments; and options, a line
each, such as `mode: mux`. Nothing in one is a path or a command.
"""

from __future__ import annotations

import codecs
import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dubarr_watch.errors import UnknownLanguage, WrongUsage, printable
from dubarr_watch.languages import Language, parse_languages
from dubarr_watch.library.naming import VIDEO_EXTENSIONS, is_extra, is_ignored_file, is_video_name
from dubarr_watch.store.records import JobOptions, Priority, RequestRecord

MARKER_MAX_BYTES = 64 * 1024

_YES = {"yes", "true", "on", "1"}
_NO = {"no", "false", "off", "0"}
_CHOICES = {
    "mode": ("sidecar", "mux", "both"),
    "style": ("dub", "voiceover"),
    "again": ("yes", "no"),
    "priority": tuple(Priority),
}
_OPTION = re.compile(r"^\s*([A-Za-z_-]+)\s*[:=]\s*(.*?)\s*$")
_VIDEO_THEN_WORDS = re.compile(
    rf"^(?P<video>.+\.(?:{'|'.join(ending[1:] for ending in sorted(VIDEO_EXTENSIONS))}))"
    r"\.(?P<words>[^.]+)$",
    re.IGNORECASE | re.DOTALL,
)
_STEM_THEN_WORDS = re.compile(r"^(?P<video>.+)\.(?P<words>[^.\s]+)$", re.DOTALL)


class MarkerKind(StrEnum):
    """What a marker file says by its name."""

    DUB = "dub"
    NODUB = "nodub"
    SETTLED = "settled"  # .dub.done or .dub.failed: the answer to one


@dataclass(frozen=True, slots=True)
class MarkerName:
    """A marker as its file name tells it.

    Attributes:
        kind: See `MarkerKind`.
        base: `Film.mkv` or `Film` that it belongs to; empty when it is for the whole folder.
        words: Languages that stand in the name, unparsed; empty when there are none.
    """

    kind: MarkerKind
    base: str
    words: str = ""

    @property
    def for_folder(self) -> bool:
        """Whether it speaks of every video in its folder and below."""
        return not self.base


@dataclass(frozen=True, slots=True)
class Wish:
    """What a marker asks for.

    Attributes:
        languages: In the order asked for; empty means TARGET_LANGS.
        options: See `JobOptions`.
    """

    languages: tuple[Language, ...]
    options: JobOptions


def parse_marker_name(name: str, siblings: Collection[str] = ()) -> MarkerName | None:
    """Return what a file name says as a marker, or nothing when it is none.

    Args:
        name: The file's name.
        siblings: Names of the files beside it. Only they tell whether `Film.de.dub` belongs to
            `Film.de.mkv` or asks for German of `Film.mkv`.
    """
    lowered = name.lower()
    for ending, kind in (
        (".nodub", MarkerKind.NODUB),
        (".dub", MarkerKind.DUB),
        (".dub.done", MarkerKind.SETTLED),
        (".dub.failed", MarkerKind.SETTLED),
    ):
        if lowered.endswith(ending):
            return _split_base(kind, name[: -len(ending)], siblings)
    return None


def names_video(base: str, video: str) -> bool:
    """Tell whether `Film.mkv` or `Film` names the video `Film.mkv`."""
    return base == video or base == Path(video).stem


def speaks_of(request: RequestRecord, video: Path) -> bool:
    """Tell whether a request is for a video: for the video itself, or for a folder above it."""
    if request.for_folder:
        return request.target in video.parents
    return request.target.parent == video.parent and names_video(request.target.name, video.name)


def parse_marker(name: MarkerName, content: bytes) -> Wish:
    """Return what a marker asks for, from its name and its content.

    Args:
        name: From `parse_marker_name`.
        content: The file's bytes; UTF-8 or, with a byte order mark, UTF-16.

    Raises:
        UnknownLanguage: A word names no language; the hint names the nearest known ones.
        WrongUsage: It is too large, is no text, or has an option that does not exist.
    """
    options: dict[str, str] = {}
    rest: list[str] = [name.words]
    for line in decode_marker(content).splitlines():
        line = line.split("#", 1)[0]
        option = _OPTION.match(line)
        if option:
            _take_option(options, option[1].lower(), option[2].lower())
        else:
            rest.append(line)
    return Wish(tuple(parse_languages("\n".join(rest))), _job_options(options))


def parse_options(values: Mapping[str, str]) -> JobOptions:
    """Return options that were given one by one, under the names and values of a marker's.

    Raises:
        WrongUsage: One of them, or its value, does not exist.
    """
    options: dict[str, str] = {}
    for name, value in values.items():
        _take_option(options, name.strip().lower(), value.strip().lower())
    return _job_options(options)


def decode_marker(content: bytes) -> str:
    """Return a marker's text.

    Raises:
        WrongUsage: It is larger than 64 KiB, or no text.
    """
    if len(content) > MARKER_MAX_BYTES:
        raise WrongUsage(
            f"The marker is larger than {MARKER_MAX_BYTES // 1024} KiB.",
            hint="A marker holds a few languages, such as 'de, fr', or nothing.",
        )
    text = _decode(content)
    if any(ord(ch) < 32 and ch not in "\t\n\r\f\v" for ch in text):
        raise WrongUsage(
            "The marker holds something that is not text.",
            hint="Write a few languages into it, such as 'de, fr', or leave it empty.",
        )
    return text


def _split_base(kind: MarkerKind, base: str, siblings: Collection[str]) -> MarkerName | None:
    if not base:
        return MarkerName(kind, "")
    if base.startswith("."):
        return _folder_with_words(kind, base[1:])
    if is_ignored_file(base) and not is_extra(base):
        return None
    if kind is MarkerKind.NODUB:
        return MarkerName(kind, base)
    found = _VIDEO_THEN_WORDS.match(base)
    if found:
        return MarkerName(kind, found["video"], found["words"])
    found = _STEM_THEN_WORDS.match(base)
    videos = [sibling for sibling in siblings if is_video_name(sibling)]
    if found and not any(names_video(base, video) for video in videos):
        stem, words = found["video"], found["words"]
        beside = len(words) == 2 and any(names_video(stem, video) for video in videos)
        if ("+" in words or beside) and _known(words):
            return MarkerName(kind, stem, words)
    return MarkerName(kind, base)


def _folder_with_words(kind: MarkerKind, words: str) -> MarkerName | None:
    # `.de+fr.dub` in a folder; every other hidden name is none of ours.
    if kind is not MarkerKind.NODUB and _known(words):
        return MarkerName(kind, "", words)
    return None


def _known(words: str) -> bool:
    try:
        return bool(parse_languages(words))
    except UnknownLanguage:
        return False


def _decode(content: bytes) -> str:
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        # Old Windows editors; a comment with an umlaut must not spoil the marker.
        return content.decode("cp1252", "replace")


def _take_option(options: dict[str, str], name: str, value: str) -> None:
    if name not in _CHOICES:
        near = difflib.get_close_matches(name, _CHOICES, n=1)
        raise WrongUsage(
            f"'{printable(name)}' is no option of a marker.",
            hint=f"Did you mean {near[0]}?" if near else f"There are {', '.join(_CHOICES)}.",
        )
    if name == "again":
        value = "yes" if value in _YES else "no" if value in _NO else value
    if value not in _CHOICES[name]:
        raise WrongUsage(
            f"'{name}' cannot be '{printable(value[:40])}'.",
            hint=f"It can be {' or '.join(_CHOICES[name])}.",
        )
    options[name] = value


def _job_options(options: dict[str, str]) -> JobOptions:
    return JobOptions(
        mode=options.get("mode", ""),
        style=options.get("style", ""),
        again=options.get("again") == "yes",
        priority=Priority(options.get("priority", Priority.NORMAL)),
    )
