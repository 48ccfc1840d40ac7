"""Small real media files, made with ffmpeg."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from dubarr_watch.media import ffmpeg_path

SECONDS = 2

_SRT = "1\n00:00:00,200 --> 00:00:00,900\nHello\n\n2\n00:00:01,000 --> 00:00:01,800\nBye\n"
_META = """;FFMETADATA1
title=My Film
comment=Kept as it is
[CHAPTER]
TIMEBASE=1/1000
START=0
END=1000
title=One
[CHAPTER]
TIMEBASE=1/1000
START=1000
END=2000
title=Two
"""


def ffmpeg(*arguments: str | Path) -> bytes:
    """Run ffmpeg and return its standard output."""
    command = [ffmpeg_path(), "-v", "error", "-nostdin", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True).stdout


def make_dub(path: Path, seconds: float = SECONDS, frequency: int = 880) -> Path:
    """Write a finished track as the mix stage does."""
    ffmpeg("-f", "lavfi", "-i", f"sine={frequency}:r=48000:d={seconds}", "-ac", "2", "-c:a", "aac",
           "-f", "matroska", f"file:{path}")  # fmt: skip
    return path


def make_video(path: Path) -> Path:
    """Write a video with two audio tracks, and all that its container can hold besides."""
    folder = path.parent
    srt, meta, cover = folder / "s.srt", folder / "meta.txt", folder / "cover.jpg"
    srt.write_text(_SRT)
    meta.write_text(_META)
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:d=1", "-frames:v", "1", cover)
    (folder / "font.ttf").write_bytes(bytes(range(256)) * 8)
    sources: list[str | Path] = [
        "-f", "lavfi", "-i", f"testsrc2=s=64x48:r=10:d={SECONDS}",
        "-f", "lavfi", "-i", f"sine=440:d={SECONDS}", "-f", "lavfi", "-i", f"sine=660:d={SECONDS}",
        "-i", srt, "-i", meta, "-i", cover, "-map_metadata", "4", "-map_chapters", "4",
        "-map", "0", "-map", "1", "-map", "2",
    ]  # fmt: skip
    tags = [
        "-metadata:s:a:0", "language=eng", "-metadata:s:a:0", "title=Main",
        "-metadata:s:a:1", "language=fra", "-metadata:s:a:1", "title=Commentary",
    ]  # fmt: skip
    fonts: list[str | Path] = [
        "-attach",
        folder / "font.ttf",
        "-metadata:s:t:0",
        "mimetype=font/ttf",
    ]
    picture: list[str | Path] = ["-attach", cover, "-metadata:s:t:1", "mimetype=image/jpeg"]
    per_kind: dict[str, list[str | Path]] = {
        ".mkv": ["-map", "3", "-c:v", "libx264", "-c:a", "ac3", "-metadata", "CUSTOM=yes",
                 "-disposition:s:0", "forced", *fonts, *picture],
        ".mp4": ["-map", "3", "-map", "5", "-c:v", "libx264", "-c:v:1", "copy", "-c:a", "aac",
                 "-c:s", "mov_text", "-disposition:v:1", "attached_pic",
                 "-movflags", "+faststart", "-timecode", "01:00:00:00"],
        ".mov": ["-c:v", "libx264", "-c:a", "pcm_s16le", "-movflags", "use_metadata_tags",
                 "-metadata", "com.example.camera=X1"],
        ".ts": ["-c:v", "libx264", "-c:a", "mp2"],
        ".m2ts": ["-c:v", "libx264", "-c:a", "ac3"],
        ".webm": ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8",
                  "-c:a", "libopus"],
        ".avi": ["-c:v", "mpeg4", "-c:a", "libmp3lame"],
        ".mpg": ["-c:v", "mpeg2video", "-r", "25", "-c:a", "mp2"],
    }  # fmt: skip
    ffmpeg(*sources, *tags, *per_kind[path.suffix], f"file:{path}")
    return path


def packets(path: Path, stream: int) -> str:
    """Return a hash of the data and the times of one stream's packets."""
    lines = ffmpeg("-copyts", "-i", f"file:{path}", "-map", f"0:{stream}", "-c", "copy",
                   "-f", "framemd5", "-")  # fmt: skip
    body = [line for line in lines.splitlines() if not line.startswith(b"#")]
    return hashlib.sha256(b"\n".join(line.split(b",", 1)[1] for line in body)).hexdigest()


def stream_hash(path: Path, stream: int) -> bytes:
    """Return a hash of the data of one stream, whatever its times."""
    lines = ffmpeg("-i", f"file:{path}", "-map", f"0:{stream}", "-c", "copy", "-f", "streamhash",
                   "-")  # fmt: skip
    return lines.split(b",", 1)[1]
