"""The usual way to mix a dub, which the mix is compared with: filters of ffmpeg and files between.

Takes go in batches of 50 through adelay and amix, each batch up to its last take; the batches are
summed; the bed is ducked by sidechaincompress, and loudnorm in one pass makes the loudness. One
existing dubber sends the bed and each take through loudnorm, whose output is at 192 kHz, and so are
its batches, their sum and its last pass, which ends in alimiter.

Two hours of it would run for hours, so parts are run and multiplied. A batch lasts from the film's
start to its own last take: the one in the middle is run and counted once for each. The sum and the
last pass are run for some minutes and scaled by the length; as on average half of the batches have
ended, half of the sum is counted.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.film import Film
from benchmarks.spent import Spent, spent
from dubarr_watch.dubbing.codecs import track_codec
from dubarr_watch.dubbing.timeline import SAMPLE_RATE
from dubarr_watch.media import ffmpeg_path

BATCH = 50
_LOUDNORM = "loudnorm=I=-23:TP=-1.5"


@dataclass(frozen=True, slots=True)
class Usual:
    """What the usual way costs for a whole film.

    Attributes:
        batches_s: All batches.
        sum_s: Their sum.
        end_s: Ducking, loudness, encoding.
        cpu_s: Processor time of all three.
        scratch_mib: Batches and their sum.
    """

    batches_s: float
    sum_s: float
    end_s: float
    cpu_s: float
    scratch_mib: float

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.batches_s + self.sum_s + self.end_s


def usual_way(film: Film, folder: Path, *, part_s: float, each_take: bool) -> Usual:
    """Run parts of the usual way and return what the whole takes.

    Args:
        film: The programme.
        folder: For what lies between; some GiB for a long film.
        part_s: Length of the parts of the sum and of the last pass.
        each_take: Whether each take goes through loudnorm.
    """
    part_s = min(part_s, film.duration_s)
    count = -(-len(film.lines) // BATCH)
    batch, speech = folder / "batch.wav", folder / "speech.wav"
    longer = film.duration_s / part_s
    end = _end(film, speech, part_s, folder / "usual.mka", each_take=each_take)
    batches = times(count, _batch(film, count // 2, batch, each_take=each_take))
    summed, last = times(longer / 2, _sum(batch, count, part_s, speech)), times(longer, end)
    scratch_mib = speech.stat().st_size * longer * (1 + (count + 1) / 2) / 2**20
    for path in (batch, speech):
        path.unlink()
    cpu_s = batches.cpu_s + summed.cpu_s + last.cpu_s
    return Usual(batches.wall_s, summed.wall_s, last.wall_s, cpu_s, scratch_mib)


def times(count: float, command: list[str]) -> Spent:
    """Return what it takes to run a command so often, by running it once."""
    once = spent(lambda: subprocess.run(command, check=True))
    return Spent(count * once.wall_s, count * once.cpu_s)


def ffmpeg(*arguments: str | Path) -> list[str]:
    """Return a command of ffmpeg."""
    return [ffmpeg_path(), "-v", "error", "-nostdin", "-y", *map(str, arguments)]


def _batch(film: Film, number: int, target: Path, *, each_take: bool) -> list[str]:
    some = [line.take for line in film.lines[number * BATCH : (number + 1) * BATCH]]
    louder = "loudnorm=I=-16:TP=-1.5," if each_take else ""
    delayed = "".join(
        f"[{i}]aformat=sample_rates={SAMPLE_RATE}:channel_layouts=stereo,{louder}"
        f"adelay={round(take.start_s * 1000)}:all=1[d{i}];"
        for i, take in enumerate(some)
    )
    labels = "".join(f"[d{i}]" for i in range(len(some)))
    graph = f"{delayed}{labels}amix=inputs={len(some)}:normalize=0"
    inputs = [word for take in some for word in ("-i", take.path)]
    return ffmpeg(*inputs, "-filter_complex", graph, "-rf64", "auto", target)


def _sum(batch: Path, count: int, part_s: float, target: Path) -> list[str]:
    """One file stands for all batches."""
    inputs = [word for _ in range(count) for word in ("-t", str(part_s), "-i", batch)]
    labels = "".join(f"[{number}]" for number in range(count))
    graph = f"{labels}amix=inputs={count}:normalize=0"
    return ffmpeg(*inputs, "-filter_complex", graph, "-rf64", "auto", target)


def _end(film: Film, speech: Path, part_s: float, target: Path, *, each_take: bool) -> list[str]:
    layout = f"aformat=channel_layouts={film.layout.name}"
    before, after = ("loudnorm=I=-24:TP=-2", "alimiter") if each_take else ("anull", _LOUDNORM)
    graph = (
        f"[1]{layout},asplit[key][voice];[0]{before}[music];"
        "[music][key]sidechaincompress=threshold=0.02:ratio=12:attack=50:release=400[bed];"
        f"[bed][voice]amix=inputs=2:normalize=0,{after},aresample={SAMPLE_RATE}"
    )
    return ffmpeg(
        "-t", str(part_s), "-i", film.bed, "-i", speech, "-filter_complex", graph,
        "-t", str(part_s), *track_codec(film.layout).arguments, target,
    )  # fmt: skip
