"""How files are named to ffmpeg and ffprobe, so that they read these and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

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

_MOST_PIXELS = "70000000"
"""Of a picture that is looked into: twice an 8K film's, and 8 bytes for each are 560 MB. A cover of
a few MB can say that it is larger, and be unpacked to that."""

RESTRICTED = [
    *("-protocol_whitelist", _PROTOCOLS, "-format_whitelist", _FORMATS),
    *("-max_pixels", _MOST_PIXELS),
]
"""Options before an input: local files only, in formats that hold their media themselves."""


def input_arguments(path: Path, *options: str) -> list[str]:
    """Return the arguments that open one input file, and no other file that it may name."""
    return [*RESTRICTED, *options, "-i", input_name(path)]


def output_name(path: Path) -> str:
    """Return the name under which ffmpeg writes a file, whatever characters it has."""
    return input_name(path)


def input_name(path: Path) -> str:
    """Return the name under which ffmpeg and ffprobe open a file."""
    return f"file:{os.path.abspath(path)}"  # noqa: PTH100 - keeps `..` handling to the kernel
