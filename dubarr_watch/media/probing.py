"""What is in a media file, as ffprobe tells it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dubarr_watch.errors import MediaError, NotAVideo
from dubarr_watch.media.arguments import RESTRICTED, input_name
from dubarr_watch.media.asking import TooMuchSaid, ask
from dubarr_watch.media.tools import ffprobe_path
from dubarr_watch.media.words import last_words, was_ended

PROBE_TIMEOUT_S = 60.0
PROBE_BYTES = 32_000_000
"""What ffprobe may tell about one file; 3,000 chapters are about one million."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream of a media file, as ffprobe tells it.

    Attributes:
        index: Index in the container.
        kind: `video`, `audio`, `subtitle`, `attachment` or `data`.
        codec: ffmpeg's codec name.
        language: Language tag as written in the file, lower case, or empty.
        title: Title tag, or empty.
        channels: Audio channels, 0 for other kinds.
        sample_rate: Hz, 0 for other kinds.
        start_s: Start offset on the container's time line.
        duration_s: Own duration, or nothing when the container does not say.
        dispositions: Names of the set dispositions, e.g. `default`, `attached_pic`.
        codec_tag: The container's own four-letter name of the codec, e.g. `tmcd`.
        layout: ffmpeg's name of the channel layout, empty for other kinds and when unknown.
        tags: Every tag, names in lower case.
    """

    index: int
    kind: str
    codec: str
    language: str
    title: str
    channels: int
    sample_rate: int
    start_s: float
    duration_s: float | None
    dispositions: frozenset[str]
    codec_tag: str = ""
    layout: str = ""
    tags: dict[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Probe:
    """What ffprobe finds in a file."""

    path: Path
    format_name: str
    duration_s: float
    start_s: float
    size_bytes: int
    streams: tuple[Stream, ...]
    chapters: int = 0
    tags: dict[str, str] = field(default_factory=dict)

    def of_kind(self, kind: str) -> list[Stream]:
        """Return the streams of one kind, in container order."""
        return [stream for stream in self.streams if stream.kind == kind]


def probe(path: Path, name: Path | None = None) -> Probe:
    """Return what is in a media file.

    Args:
        path: The file.
        name: The name that it is held open by, see `holding`; nothing: its path.

    Raises:
        NotAVideo: ffprobe does not understand it, or finds no stream in it.
        MediaError: ffprobe does not answer within a minute; MediaInterrupted: a signal ended it.
    """
    command = [
        ffprobe_path(), "-v", "error", *RESTRICTED, "-print_format", "json",
        "-show_format", "-show_streams", "-show_chapters", input_name(name or path),
    ]  # fmt: skip
    try:
        answer = ask(command, within_s=PROBE_TIMEOUT_S, most_bytes=PROBE_BYTES)
    except TimeoutError:
        raise MediaError(
            f"ffprobe did not answer within {PROBE_TIMEOUT_S:g} s.",
            hint="The file is probably damaged, or its disk does not answer.",
            path=path,
        ) from None
    except TooMuchSaid:
        raise MediaError(
            f"ffprobe tells more than {PROBE_BYTES / 1e6:.0f} MB about this file.",
            hint="The file is probably damaged.",
            path=path,
        ) from None
    if answer.code < 0:
        raise was_ended("ffprobe", answer.code, path)
    if answer.code != 0:
        raise NotAVideo(
            f"This is no media file that ffprobe understands: {last_words(answer.words, path)}",
            hint="If it is still being copied, it is looked at again when it has grown.",
            path=path,
        )
    try:
        return _parse_probe(path, json.loads(answer.out.decode("utf-8", "replace")))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise MediaError(
            "ffprobe answered what cannot be understood.",
            hint="`ffprobe -version` should name version 5.1 or newer.",
            path=path,
        ) from error


def _parse_probe(path: Path, found: dict[str, Any]) -> Probe:
    container = found.get("format", {})
    streams = tuple(_parse_stream(entry) for entry in found.get("streams", []))
    if not streams:
        raise NotAVideo("This file holds no media stream.", path=path)
    durations = [stream.duration_s for stream in streams if stream.duration_s]
    duration_s = _number(container.get("duration")) or max(durations, default=0.0)
    tags = {str(k).lower(): str(v) for k, v in container.get("tags", {}).items()}
    return Probe(
        path=path,
        format_name=str(container.get("format_name", "")),
        duration_s=duration_s,
        start_s=_number(container.get("start_time")) or 0.0,
        size_bytes=int(container.get("size", 0)),
        streams=streams,
        chapters=len(found.get("chapters", [])),
        tags=tags,
    )


def _parse_stream(entry: dict[str, Any]) -> Stream:
    tags = {str(key).lower(): str(value) for key, value in entry.get("tags", {}).items()}
    return Stream(
        index=int(entry["index"]),
        kind=str(entry.get("codec_type", "data")),
        codec=str(entry.get("codec_name", "")),
        language=tags.get("language", "").lower().replace("und", ""),
        title=tags.get("title") or tags.get("handler_name", ""),
        channels=int(entry.get("channels", 0)),
        sample_rate=int(entry.get("sample_rate", 0)),
        start_s=_number(entry.get("start_time")) or 0.0,
        duration_s=_number(entry.get("duration")) or _clock(tags.get("duration", "")),
        dispositions=frozenset(k for k, v in entry.get("disposition", {}).items() if v),
        codec_tag=str(entry.get("codec_tag_string", "")),
        layout=str(entry.get("channel_layout", "")),
        tags=tags,
    )


def _number(text: object) -> float | None:
    try:
        number = float(str(text))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _clock(text: str) -> float | None:
    # Matroska keeps a stream's length as a tag such as 00:01:02.345000000.
    parts = text.split(":")
    if len(parts) != 3:
        return None
    values = [_number(part) for part in parts]
    if None in values:
        return None
    hours, minutes, seconds = (value or 0.0 for value in values)
    return hours * 3600 + minutes * 60 + seconds
