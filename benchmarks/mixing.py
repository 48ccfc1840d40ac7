"""Mix and encode of a long programme, against ffmpeg decoding and encoding the same sound alone.

    python -m benchmarks.mixing [--minutes 120] [--rounds 2] [--usual-minutes 5] [--save]

Stereo and 5.1, 12.5 lines a minute (1,500 in two hours). Goals: wall time at most 1.5 times that of
ffmpeg alone, peak memory of all processes under 300 MB, scratch space no more than the speech, and
at least 30 times faster than the usual way (`usual_way`, parts of which are run and multiplied).

ffmpeg alone runs before and after each round; a round's ratio is to the mean of both, so that other
work on the machine slows both down. Processor time is told beside it: that of all processes.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.film import LINE_EVERY_S, Film, make_film
from benchmarks.spent import Spent, spent
from benchmarks.usual_way import BATCH, Usual, ffmpeg, usual_way
from dubarr_watch.dubbing.codecs import track_codec
from dubarr_watch.dubbing.levels import sound_levels
from dubarr_watch.dubbing.mixing import mix
from dubarr_watch.dubbing.programme import Programme
from dubarr_watch.dubbing.timeline import SAMPLE_RATE
from dubarr_watch.dubbing.workspace import MemoryMeter

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Row:
    """One layout's figures; ratios are to ffmpeg alone."""

    layout: str
    plain_s: float
    levels_s: float
    mix_s: float
    cpu_s: float
    ratios: list[Spent]
    peak_mib: int
    scratch_mib: float
    speech_mib: float
    usual: Usual
    dubber: Usual

    @property
    def ratio(self) -> float:
        return statistics.median(ratio.wall_s for ratio in self.ratios)

    @property
    def first_ratio(self) -> float:
        return self.ratio + self.levels_s / self.plain_s

    @property
    def cpu_ratio(self) -> float:
        return statistics.median(ratio.cpu_s for ratio in self.ratios)

    def faster(self, usual: Usual) -> str:
        """Tell how much faster than another way all of it is, and how much less it computes."""
        by_clock = usual.seconds / (self.levels_s + self.mix_s)
        return f"{by_clock:.1f}x ({usual.cpu_s / self.cpu_s:.1f}x)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--usual-minutes", type=float, default=5)
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="dubarr-bench-") as name:
        for channels in (2, 6):
            folder = Path(name) / str(channels)
            folder.mkdir()
            film = make_film(channels, arguments.minutes * 60, folder)
            rows.append(measure(film, folder, arguments.rounds, arguments.usual_minutes * 60))
            film.bed.unlink()
    table = as_table(rows, arguments)
    print(table)
    if arguments.save:
        (RESULTS / "mixing.md").write_text(table + "\n", "utf-8")


def measure(film: Film, folder: Path, rounds: int, part_s: float) -> Row:
    programme = Programme(film.bed, film.bed, film.lines, film.duration_s)
    levels = spent(lambda: sound_levels(film.bed))
    before = set(folder.iterdir())
    plains, mixes = [spent(lambda: plain(film, folder / "plain.mka"))], []
    meters = [MemoryMeter() for _ in range(rounds)]
    for meter in meters:
        with meter.watching():
            mixes.append(spent(lambda: mix(programme, folder / "dub.mka")))
        plains.append(spent(lambda: plain(film, folder / "plain.mka")))
    scratch = [path for path in folder.iterdir() if path not in before and path.suffix != ".mka"]
    return Row(
        layout=film.layout.name,
        plain_s=statistics.median(plain.wall_s for plain in plains),
        levels_s=levels.wall_s,
        mix_s=statistics.median(mixed.wall_s for mixed in mixes),
        cpu_s=levels.cpu_s + statistics.median(mixed.cpu_s for mixed in mixes),
        ratios=[
            mixed.over(plains[number], plains[number + 1]) for number, mixed in enumerate(mixes)
        ],
        peak_mib=max(meter.peak_mib for meter in meters),
        scratch_mib=sum(path.stat().st_size for path in scratch) / 2**20,
        speech_mib=film.duration_s * SAMPLE_RATE * 2 / 2**20,
        usual=usual_way(film, folder, part_s=part_s, each_take=False),
        dubber=usual_way(film, folder, part_s=part_s, each_take=True),
    )


def plain(film: Film, target: Path) -> None:
    """Decode and encode the bed, nothing else."""
    subprocess.run(ffmpeg("-i", film.bed, *track_codec(film.layout).arguments, target), check=True)


def as_table(rows: list[Row], arguments: argparse.Namespace) -> str:
    names: list[tuple[str, Callable[[Row], str], str]] = [
        ("ffmpeg decodes and encodes the same, s", lambda r: f"{r.plain_s:.1f}", ""),
        ("levels, once for all languages of a video, s", lambda r: f"{r.levels_s:.1f}", ""),
        ("mix, encode, check, s", lambda r: f"{r.mix_s:.1f}", ""),
        (
            "times ffmpeg alone (each round)",
            lambda r: f"{r.ratio:.2f} ({', '.join(f'{one.wall_s:.2f}' for one in r.ratios)})",
            "at most 1.5",
        ),
        ("the same with levels", lambda r: f"{r.first_ratio:.2f}", ""),
        ("processor time, times ffmpeg alone", lambda r: f"{r.cpu_ratio:.2f}", ""),
        ("peak memory of all processes, MiB", lambda r: f"{r.peak_mib}", "under 300"),
        (
            "scratch space, MiB (the speech alone)",
            lambda r: f"{r.scratch_mib:.1f} ({r.speech_mib:.0f})",
            "the speech",
        ),
        *usual_rows("the usual way at 48 kHz", lambda r: r.usual),
        *usual_rows("the usual way with loudnorm on each take", lambda r: r.dubber),
    ]
    head = (
        f"Mixing benchmark, {datetime.now(UTC):%Y-%m-%d}: {arguments.minutes:g} min, "
        f"{round(arguments.minutes * 60 / LINE_EVERY_S)} lines, {os.cpu_count()} processors, load "
        f"{os.getloadavg()[2]:.1f}; {platform.machine()}, Python {platform.python_version()}. The "
        f"usual way: batches of {BATCH} through adelay and amix, sidechaincompress, loudnorm in "
        f"one pass; not run whole, but its middle batch times their number, and "
        f"{arguments.usual_minutes:g} min of its sum and last pass, scaled. Faster: than levels, "
        "mix, encoding and check together, whose shares run side by side. In brackets: the same by "
        "processor time, which other work on the machine changes less.\n\n"
    )
    lines = [f"| | {' | '.join(row.layout for row in rows)} | goal |"]
    lines += ["|---|" + "---|" * (len(rows) + 1)]
    lines += [
        f"| {name} | {' | '.join(value(row) for row in rows)} | {goal} |"
        for name, value, goal in names
    ]
    return head + "\n".join(lines)


def usual_rows(
    name: str, chosen: Callable[[Row], Usual]
) -> list[tuple[str, Callable[[Row], str], str]]:
    return [
        (
            f"{name}: batches, sum, end, s",
            lambda r: " + ".join(
                f"{part:.0f}" for part in (chosen(r).batches_s, chosen(r).sum_s, chosen(r).end_s)
            ),
            "",
        ),
        (
            f"{name}: times ffmpeg alone; scratch, MiB",
            lambda r: f"{chosen(r).seconds / r.plain_s:.1f}; {chosen(r).scratch_mib:.0f}",
            "",
        ),
        (f"faster than {name} (processor time)", lambda r: r.faster(chosen(r)), "at least 30x"),
    ]


if __name__ == "__main__":
    main()
