"""Running ffprobe and ffmpeg: the only room that starts them.

Every call reads local files only (`-protocol_whitelist file,pipe`) and only in formats that hold
their media themselves (a playlist dressed up as a video could read any file of this machine), names
files through `file:` so that a leading dash or a colon in a name is harmless, never goes through a
shell, and is ended when it makes no progress.
"""

from __future__ import annotations

from dubarr_watch.media.arguments import input_arguments, output_name
from dubarr_watch.media.decoding import decode_samples
from dubarr_watch.media.holding import Opener, held, readable
from dubarr_watch.media.probing import Probe, Stream, probe
from dubarr_watch.media.running import run_ffmpeg, widen_pipe
from dubarr_watch.media.tools import ffmpeg_path, ffprobe_path, tool_listing

__all__ = [
    "Opener",
    "Probe",
    "Stream",
    "decode_samples",
    "ffmpeg_path",
    "ffprobe_path",
    "held",
    "input_arguments",
    "output_name",
    "probe",
    "readable",
    "run_ffmpeg",
    "tool_listing",
    "widen_pipe",
]
