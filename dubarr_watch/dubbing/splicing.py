"""Encoded sound that is joined at its packets, without decoding it.

A codec that transforms blocks of a fixed length needs, for each packet, nothing but the samples
around it. So a film can be encoded in shares side by side, and a stretch of a finished track can be
replaced. Each share is fed to its encoder from a little before it, by when the encoder has settled
on its block lengths and its bits, to a little behind it; of its packets those are taken that lie in
it. Where two shares meet a decoder adds the halves of two blocks of the same sound, as it does
everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from dubarr_watch.dubbing.timeline import BLOCK, SAMPLE_RATE
from dubarr_watch.errors import JobCancelled

FRAME_SAMPLES = {"aac": 1024, "ac3": 1536, "eac3": 1536}
"""Samples in a packet, by codec: ISO/IEC 13818-7; ETSI TS 102 366 (six blocks of 256)."""

_PADDING_SAMPLES = {"aac": 1024, "ac3": 256, "eac3": 256}
"""Samples that ffmpeg's encoders put before the first: half of what a block overlaps."""

GRID = 8 * SAMPLE_RATE
"""Samples between places where shares may meet: the least that is whole seconds, in which mixes are
made, and whole packets of each codec."""

LEAD_IN = GRID
"""Samples that an encoder is fed with before a share: rate control settles in a second or two."""

LEAD_OUT = BLOCK
"""Samples that it is fed with behind a share; an encoder looks ahead by a packet or two."""

_ASK_EVERY = 4096


@dataclass(frozen=True, slots=True)
class Share:
    """Part of a track.

    Attributes:
        path: A file with it.
        fed_from: Sample of the track that the file begins with.
        first: Sample at which the share begins, a multiple of `GRID`.
        last: Sample before which it ends, as well; nothing for what goes on to the end.
    """

    path: Path
    fed_from: int
    first: int
    last: int | None


def shares_of(total: int, count: int) -> list[tuple[int, int | None]]:
    """Return where shares of a track begin and end: as many of about the same length.

    Args:
        total: Samples of the track.
        count: How many; fewer where the track is too short for so many.
    """
    edges = sorted({round(total * number / count / GRID) * GRID for number in range(1, count)})
    inner = [edge for edge in edges if 0 < edge < total]
    return list(zip([0, *inner], [*inner, None], strict=True))


def join(
    shares: Sequence[Share],
    target: Path,
    codec: str,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Write a track from its shares.

    Args:
        shares: In order, from 0 to the end without a gap.
        target: The Matroska file to write.
        codec: A key of `FRAME_SAMPLES`.
        cancelled: Whether to stop.

    Raises:
        OSError: The file cannot be written.
        av.FFmpegError: A share cannot be read.
        JobCancelled: As `cancelled` says.
    """
    import av  # 15 MiB, which nothing else in the daemon wants

    # ffmpeg's own files have no reason for an error of the disk, Python's have.
    with target.open("wb") as file, av.open(file, "w", format="matroska") as joined:
        stream: Any = None
        for share in shares:
            with av.open(str(share.path)) as source:
                if stream is None:
                    stream = joined.add_stream_from_template(source.streams.audio[0])
                for number, packet in enumerate(_packets(source, share, codec)):
                    if number % _ASK_EVERY == 0 and cancelled():
                        raise JobCancelled("Cancelled.")
                    packet.stream = stream
                    joined.mux_one(packet)


def _packets(source: Any, share: Share, codec: str) -> Any:
    """Yield the packets of a share, at their times in the track."""
    frame = FRAME_SAMPLES[codec]
    first = share.first // frame
    last = None if share.last is None else share.last // frame
    place = share.fed_from // frame - 1
    for packet in source.demux(source.streams.audio[0]):
        if not packet.size:
            continue
        place += 1
        if place < first:
            continue
        if last is not None and place >= last:
            return
        at = Fraction(place * frame - _PADDING_SAMPLES[codec], SAMPLE_RATE)
        packet.pts = packet.dts = round(at / packet.time_base)
        yield packet
