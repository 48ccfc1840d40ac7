"""Mix and encode of a long programme, against ffmpeg decoding and encoding the same sound alone.

    python -m benchmarks.mixing [--minutes 120] [--usual-minutes 5] [--save]

Stereo and 5.1, 12.5 lines a minute (1,500 in two hours). Goals: wall time at most 1.5 times that of
ffmpeg alone, peak memory of all processes under 300 MB, scratch space no more than the speech, and
at least 30 times faster than the usual way: batches of 50 takes through adelay and amix, stereo and
as long as the film, their sum, then sidechaincompress and one-pass loudnorm. That is too slow to be
run whole, and grows with the square of the length: the batch in the film's middle is run at full
length and counted once for each batch; the last pass, over as many batches as there are, is run for
some minutes and scaled by the length.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import butter, sosfilt

from dubarr_watch.dubbing.balance import MixLine
from dubarr_watch.dubbing.codecs import track_codec
from dubarr_watch.dubbing.layouts import Layout, layout_of
from dubarr_watch.dubbing.levels import sound_levels
from dubarr_watch.dubbing.mixing import Programme, mix
from dubarr_watch.dubbing.timeline import SAMPLE_RATE, PlacedTake
from dubarr_watch.dubbing.workspace import MemoryMeter
from dubarr_watch.engines.base import Span
from dubarr_watch.media import ffmpeg_path

RESULTS = Path(__file__).parent / "results"
LINE_EVERY_S, TAKE_S, TAKES = 4.8, 3.0, 25
BATCH = 50


@dataclass(frozen=True, slots=True)
class Film:
    """A synthetic programme: its bed and the lines of its dub."""

    bed: Path
    layout: Layout
    duration_s: float
    lines: list[MixLine]


@dataclass(frozen=True, slots=True)
class Row:
    """One layout's figures; the ratio is to ffmpeg alone."""

    layout: str
    plain_s: float
    levels_s: float
    mix_s: float
    peak_mib: int
    scratch_mib: float
    speech_mib: float
    usual_ratio: float

    @property
    def ratio(self) -> float:
        return self.mix_s / self.plain_s

    @property
    def first_ratio(self) -> float:
        return (self.mix_s + self.levels_s) / self.plain_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--usual-minutes", type=float, default=5)
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="dubarr-bench-") as name:
        for channels in (2, 6):
            folder = Path(name) / str(channels)
            folder.mkdir()
            rows.append(measure(channels, arguments.minutes, arguments.usual_minutes, folder))
    table = as_table(rows, arguments.minutes, arguments.usual_minutes)
    print(table)
    if arguments.save:
        (RESULTS / "mixing.md").write_text(table + "\n", "utf-8")


def measure(channels: int, minutes: float, usual_minutes: float, folder: Path) -> Row:
    film = make_film(channels, minutes * 60, folder)
    plain_s = timed(lambda: plain(film, folder / "plain.mka"))
    levels_s = timed(lambda: sound_levels(film.bed))
    before = set(folder.iterdir())
    with MemoryMeter().watching() as meter:
        programme = Programme(film.bed, film.bed, film.lines, film.duration_s)
        mix_s = timed(lambda: mix(programme, folder / "dub.mka"))
    scratch = [path for path in folder.iterdir() if path not in before and path.suffix != ".mka"]
    (folder / "short").mkdir()
    short = make_film(channels, usual_minutes * 60, folder / "short")
    batches = -(-len(film.lines) // BATCH)
    usual_s = batches * timed(lambda: usual_batch(film, batches // 2, folder))
    usual_s += timed(lambda: usual_end(short, batches, folder)) * film.duration_s / short.duration_s
    return Row(
        layout=film.layout.name,
        plain_s=plain_s,
        levels_s=levels_s,
        mix_s=mix_s,
        peak_mib=meter.peak_mib,
        scratch_mib=sum(path.stat().st_size for path in scratch) / 2**20,
        speech_mib=film.duration_s * SAMPLE_RATE * 2 / 2**20,
        usual_ratio=usual_s / plain_s,
    )


def make_film(channels: int, duration_s: float, folder: Path) -> Film:
    """Write a bed of music-like noise that swells, with a voice in its centre at each line."""
    rng = np.random.default_rng(channels)
    takes = [voice(folder / f"take{number}.wav", rng) for number in range(TAKES)]
    count = int((duration_s - TAKE_S) / LINE_EVERY_S)
    lines = [
        MixLine(
            PlacedTake(takes[number % TAKES], start_s, TAKE_S),
            Span(start_s, start_s + TAKE_S),
            number % 4,
        )
        for number, start_s in enumerate(np.arange(count) * LINE_EVERY_S + 0.5)
    ]
    layout, bed = layout_of(channels), folder / "bed.flac"
    spoken = soundfile.read(takes[0], dtype="float32")[0].repeat(2)
    minute = rng.standard_normal((60 * SAMPLE_RATE, channels)).astype(np.float32)
    # Pink rather than white, without the deepest notes.
    tilt = butter(1, [80, 800], "bandpass", fs=SAMPLE_RATE, output="sos")
    minute = 0.06 * sosfilt(tilt, minute, axis=0).astype(np.float32) + 0.003 * minute
    minute *= (0.6 + 0.4 * np.sin(np.linspace(0, 40, len(minute), dtype=np.float32)))[:, None]
    with soundfile.SoundFile(bed, "w", SAMPLE_RATE, channels, "PCM_16") as file:
        for start_s in np.arange(0, duration_s, 60):
            part = minute[: round(min(60, duration_s - start_s) * SAMPLE_RATE)].copy()
            for line in lines:
                at = round((line.span.start_s - start_s) * SAMPLE_RATE)
                if at >= 0 and at + len(spoken) <= len(part):
                    sides = [0, 1] if layout.centre is None else [layout.centre]
                    part[at : at + len(spoken), sides] += spoken[:, None]
            file.write(np.clip(part, -0.9, 0.9))
    return Film(bed, layout, duration_s, lines)


def voice(path: Path, rng: np.random.Generator) -> Path:
    times = np.arange(round(TAKE_S * 24_000)) / 24_000
    pitch = rng.uniform(100, 240)
    tones = sum(np.sin(2 * np.pi * pitch * n * times) / n for n in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * 4 * times), 0, 1)
    soundfile.write(path, 0.12 * tones * syllables, 24_000, subtype="PCM_16")
    return path


def plain(film: Film, target: Path) -> None:
    """Decode and encode the bed, nothing else."""
    ffmpeg("-i", film.bed, *track_codec(film.layout).arguments, target)


def usual_batch(film: Film, number: int, folder: Path) -> None:
    """Lay one batch of takes on the time line as most dubbers do."""
    some = [line.take for line in film.lines[number * BATCH : (number + 1) * BATCH]]
    inputs = [word for take in some for word in ("-i", take.path)]
    delayed = "".join(
        f"[{i}]aresample={SAMPLE_RATE},aformat=channel_layouts=stereo,"
        f"adelay={round(take.start_s * 1000)}:all=1,apad=whole_dur={film.duration_s}[d{i}];"
        for i, take in enumerate(some)
    )
    labels = "".join(f"[d{i}]" for i in range(len(some)))
    graph = f"{delayed}{labels}amix=inputs={len(some)}:normalize=0"
    ffmpeg(*inputs, "-filter_complex", graph, folder / "batch.wav")


def usual_end(film: Film, batches: int, folder: Path) -> None:
    """Sum all batches, duck, mix and encode as most dubbers do; one file stands for each batch."""
    speech = [word for _ in range(batches) for word in ("-i", folder / "batch.wav")]
    labels = "".join(f"[{number + 1}]" for number in range(batches))
    graph = (
        f"{labels}amix=inputs={batches}:normalize=0,"
        f"aformat=channel_layouts={film.layout.name},asplit[key][voice];"
        "[0][key]sidechaincompress=threshold=0.02:ratio=12:attack=50:release=400[bed];"
        f"[bed][voice]amix=inputs=2:normalize=0,loudnorm=I=-23:TP=-1.5,aresample={SAMPLE_RATE}"
    )
    ffmpeg(
        "-i", film.bed, *speech, "-filter_complex", graph,
        "-t", str(film.duration_s), *track_codec(film.layout).arguments, folder / "usual.mka",
    )  # fmt: skip


def ffmpeg(*arguments: str | Path) -> None:
    command = [ffmpeg_path(), "-v", "error", "-nostdin", "-y", *map(str, arguments)]
    subprocess.run(command, check=True)


def timed(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def as_table(rows: list[Row], minutes: float, usual_minutes: float) -> str:
    names: list[tuple[str, Callable[[Row], str], str]] = [
        ("ffmpeg decodes and encodes the same, s", lambda r: f"{r.plain_s:.1f}", ""),
        ("levels, once for all languages of a video, s", lambda r: f"{r.levels_s:.1f}", ""),
        ("mix, encode, check, s", lambda r: f"{r.mix_s:.1f}", ""),
        ("times ffmpeg alone", lambda r: f"{r.ratio:.2f}", "at most 1.5"),
        ("the same with levels", lambda r: f"{r.first_ratio:.2f}", ""),
        ("peak memory of all processes, MiB", lambda r: f"{r.peak_mib}", "under 300"),
        (
            "scratch space, MiB (the speech alone)",
            lambda r: f"{r.scratch_mib:.1f} ({r.speech_mib:.0f})",
            "the speech",
        ),
        ("the usual way, times ffmpeg alone", lambda r: f"{r.usual_ratio:.1f}", ""),
        (
            "faster than the usual way",
            lambda r: f"{r.usual_ratio / r.first_ratio:.0f}x",
            "at least 30",
        ),
    ]
    head = (
        f"Mixing benchmark, {datetime.now(UTC):%Y-%m-%d}: {minutes:g} min, "
        f"{round(minutes * 60 / LINE_EVERY_S)} lines; one batch of the usual way, and "
        f"{usual_minutes:g} min of its last pass, scaled; {platform.machine()}, Python "
        f"{platform.python_version()}\n\n"
    )
    layouts = " | ".join(row.layout for row in rows)
    lines = [f"| | {layouts} | goal |", "|---|" + "---|" * (len(rows) + 1)]
    lines += [
        f"| {name} | {' | '.join(value(row) for row in rows)} | {goal} |"
        for name, value, goal in names
    ]
    return head + "\n".join(lines)


if __name__ == "__main__":
    main()
