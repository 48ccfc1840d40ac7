"""Videos as people have them, made by ffmpeg once and copied from then on; whole and damaged."""

from __future__ import annotations

import atexit
import functools
import os
import random
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.composing import TONE_HZ, ffmpeg

SECONDS = 3.5
_PICTURE = f"testsrc2=s=64x48:r={{rate}}:d={SECONDS}"
_SOUND = f"sine=frequency={TONE_HZ}:sample_rate=48000:duration={SECONDS}"
_HEAD_BYTES = 64
"""What damage leaves alone, so that ffprobe looks further than at the first bytes."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a video is made of a test picture and a tone.

    Attributes:
        options: Of ffmpeg, behind both inputs.
        rate: Pictures a second.
        before: Options in front of the sound's input.
        inputs: Files to read besides, each of which `_helper` makes.
        form: Muxer, where the ending does not name the one that is meant.
    """

    options: str
    rate: int = 5
    before: str = ""
    inputs: tuple[str, ...] = ()
    form: str = ""


_MPEG4 = "-c:v mpeg4"
_ROUND = "-af aformat=channel_layouts={layout}"

RECIPES = {
    "h264-aac.mp4": Recipe("-c:v libx264 -c:a aac"),
    "pcm24.mov": Recipe(f"{_MPEG4} -c:a pcm_s24le"),
    "alac.m4v": Recipe(f"{_MPEG4} -c:a alac", form="mp4"),
    "mp3.avi": Recipe(f"{_MPEG4} -c:a libmp3lame"),
    "pcm.avi": Recipe(f"{_MPEG4} -c:a pcm_s16le -ar 22050"),
    "ac3-51.ts": Recipe(f"-c:v mpeg2video -c:a ac3 {_ROUND.format(layout='5.1')}", rate=25),
    "ac3.m2ts": Recipe("-c:v libx264 -c:a ac3 -mpegts_m2ts_mode 1", form="mpegts"),
    "mp2.mpg": Recipe("-c:v mpeg2video -c:a mp2", rate=25),
    "wma.wmv": Recipe("-c:v wmv2 -c:a wmav2"),
    "mp3.flv": Recipe("-c:v flv -c:a libmp3lame -ar 44100"),
    "opus.webm": Recipe("-c:v libvpx -c:a libopus"),
    "vorbis.webm": Recipe("-c:v libvpx -c:a vorbis -strict -2 -ac 2"),
    "eac3-51.mkv": Recipe(f"{_MPEG4} -c:a eac3 {_ROUND.format(layout='5.1(side)')}"),
    "dts.mkv": Recipe(f"{_MPEG4} -c:a dca -strict -2 {_ROUND.format(layout='5.1(side)')}"),
    "truehd.mkv": Recipe(f"{_MPEG4} -c:a truehd -strict -2 -ac 2"),
    "flac24-192khz.mkv": Recipe(f"{_MPEG4} -c:a flac -sample_fmt s32 -ar 192000"),
    "float-71.mkv": Recipe(f"{_MPEG4} -c:a pcm_f32le {_ROUND.format(layout='7.1')}"),
    "telephone-8khz.mkv": Recipe(f"{_MPEG4} -c:a pcm_s16le -ar 8000 -ac 1"),
    "quad-96khz.mov": Recipe(f"{_MPEG4} -c:a pcm_s24le -ar 96000 {_ROUND.format(layout='quad')}"),
    "float-wave.mkv": Recipe(f"{_MPEG4} -c:a pcm_f64le -ar 44100 {_ROUND.format(layout='2.1')}"),
    "five-16khz.mkv": Recipe(f"{_MPEG4} -c:a flac -ar 16000 {_ROUND.format(layout='5.0')}"),
    "six-one.mkv": Recipe(f"{_MPEG4} -c:a pcm_s16le {_ROUND.format(layout='6.1')}"),
    "aac-32khz.mp4": Recipe(f"{_MPEG4} -c:a aac -ar 32000 -ac 1"),
    "varying-rate.mkv": Recipe(
        f"{_MPEG4} -c:a aac -vf select=not(mod(n\\,3))+eq(mod(n\\,7)\\,1) -fps_mode vfr"
    ),
    "sound-before-picture.mkv": Recipe(
        f"{_MPEG4} -c:a aac -avoid_negative_ts disabled", before="-itsoffset -0.4"
    ),
    "late-sound.mp4": Recipe(f"{_MPEG4} -c:a aac", before="-itsoffset 0.7"),
    "commentary-first.mkv": Recipe(
        f"{_MPEG4} -c:a aac -map 0:v -map 1:a -map 1:a -map 1:a -metadata:s:a:0 title=Commentary "
        "-metadata:s:a:1 language=eng -metadata:s:a:2 language=fre -disposition:a:1 default"
    ),
    "poster.mp4": Recipe(
        f"{_MPEG4} -c:a aac -map 0:v -map 1:a -map 2:v -c:v:1 mjpeg -disposition:v:1 attached_pic",
        inputs=("poster.jpg",),
    ),
    "huge-subtitles.mkv": Recipe(
        f"{_MPEG4} -c:a aac -map 0:v -map 1:a -map 2:s -c:s srt -metadata:s:s:0 language=eng",
        inputs=("huge.srt",),
    ),
    "chapters.mkv": Recipe(
        f"{_MPEG4} -c:a aac -map 0:v -map 1:a -map_chapters 2 -map_metadata 2",
        inputs=("chapters.txt",),
    ),
    "really-matroska.avi": Recipe(f"{_MPEG4} -c:a aac", form="matroska"),
    "really-mp4.mkv": Recipe(f"{_MPEG4} -c:a aac", form="mp4"),
}
"""Name -> recipe, one for each container, codec and oddity; each of them can be dubbed."""


def make(name: str, folder: Path) -> Path:
    """Put a video of `RECIPES` into a folder, under its name."""
    return Path(shutil.copyfile(_made(name), folder / name))


def damaged(name: str, folder: Path, seed: int) -> Path:
    """Put a video with random bytes in random places into a folder; the same for one seed."""
    path = folder / f"damaged-{seed}-{name}"
    data = bytearray(_made(name).read_bytes())
    dice = random.Random(f"{name}{seed}")
    for _ in range(dice.choice([1, 10, 100, len(data) // 50])):
        data[dice.randrange(_HEAD_BYTES, len(data))] = dice.randrange(256)
    path.write_bytes(data)
    return path


def cut(name: str, folder: Path, share: float) -> Path:
    """Put the first part of a video into a folder."""
    path = folder / f"cut-{share:g}-{name}"
    shutil.copyfile(_made(name), path)
    os.truncate(path, int(path.stat().st_size * share))
    return path


def live(folder: Path) -> Path:
    """Put a Matroska file that says no length into a folder, as a recorder writes it."""
    path = folder / "no-length.mkv"
    path.write_bytes(ffmpeg("-i", _made("really-mp4.mkv"), "-c", "copy", "-f", "matroska", "-"))
    return path


def far_apart(folder: Path) -> Path:
    """Put a file that says a few seconds, and whose sound jumps by 20 hours, into a folder."""
    path = folder / "time-bomb.mkv"
    jump = "asetpts=PTS+gt(T\\,1.5)*72000/TB"
    made = _folder() / "jump.mkv"
    ffmpeg("-i", f"file:{_made('really-matroska.avi')}", "-c:v", "copy", "-af", jump,
           "-c:a", "pcm_s16le", f"file:{made}")  # fmt: skip
    data = bytearray(made.read_bytes())
    at = data.index(b"\x44\x89\x88")  # Duration, eight bytes (RFC 9559)
    import struct

    data[at + 3 : at + 11] = struct.pack(">d", SECONDS * 1000)
    # The lengths of the streams are tags, 00:01:02.345000000.
    data = bytearray(bytes(data).replace(b"20:00:0", b"00:00:0"))
    path.write_bytes(data)
    return path


@functools.cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="dubarr-watch-corpus-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def _made(name: str) -> Path:
    recipe, path = RECIPES[name], _folder() / name
    more = [word for named in recipe.inputs for word in ("-i", f"file:{_helper(named)}")]
    form = ["-f", recipe.form] if recipe.form else []
    ffmpeg("-f", "lavfi", "-i", _PICTURE.format(rate=recipe.rate), *recipe.before.split(),
           "-f", "lavfi", "-i", _SOUND, *more, *recipe.options.split(), *form,
           f"file:{path}")  # fmt: skip
    return path


def _helper(name: str) -> Path:
    path = _folder() / name
    if name == "poster.jpg":
        ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:d=1", "-frames:v", "1", f"file:{path}")
    elif name == "huge.srt":
        cues = (
            f"{n}\n00:00:0{n % 3},{n % 1000:03} --> 00:00:03,000\n<script>{n} {'word ' * 20}\n\n"
            for n in range(1, 10_001)
        )
        path.write_text("".join(cues))
    else:
        entries = (
            f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={n}\nEND={n + 1}\ntitle={'Long ' * 20}{n}\n"
            for n in range(3000)
        )
        path.write_text(";FFMETADATA1\n" + "".join(entries))
    return path
