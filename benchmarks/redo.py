"""A line of a long film made anew: how long it takes from the command to the published track.

    python -m benchmarks.redo [--minutes 120] [--lines 3] [--lang es] [--save]

The film has the talk of the other benchmarks at its beginning and at its end, and quiet noise between.
It is dubbed with the embedded profile, then lines all over it are made anew, each by a command of
its own as people call it: the models are loaded anew each time. Goal: seconds. Told beside it are
what ffmpeg takes to decode and encode the film's sound alone, and how loud the track ends.
"""  # noqa: E501

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.embedded import RESULTS, talk
from benchmarks.usual_way import ffmpeg
from dubarr_watch.dubbing.codecs import track_codec
from dubarr_watch.dubbing.layouts import STEREO
from dubarr_watch.dubbing.levels import measure_loudness
from dubarr_watch.media import probe
from dubarr_watch.settings import load_settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--lines", type=int, default=3)
    parser.add_argument("--lang", default="es")
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dubarr-bench-") as name:
        table = measure(arguments, Path(name))
    print(table)
    if arguments.save:
        (RESULTS / f"redo-{datetime.now(UTC).date().isoformat()}.md").write_text(table, "utf-8")


def measure(arguments: argparse.Namespace, folder: Path) -> str:
    film = make_film(talk(folder), arguments.minutes * 60, folder)
    started = time.monotonic()
    subprocess.run(
        ffmpeg("-i", film, "-vn", *track_codec(STEREO).arguments, folder / "plain.mka"), check=True
    )
    plain_s = time.monotonic() - started
    dub_s, _ = command(folder, "dub", str(film), "--lang", arguments.lang)
    track = film.with_name(f"{film.stem}.Dubarr.{arguments.lang}.mka")
    loudness = [measure_loudness(track)]
    count = lines_of(folder)
    took = []
    for number in range(arguments.lines):
        line = round((number + 0.5) * count / arguments.lines)
        seconds, said = command(folder, "redo", "1", "--line", str(line))
        took.append(seconds)
        loudness.append(measure_loudness(track))
        print(f"line {line}: {seconds:.1f} s\n{said}", file=sys.stderr)
    rows = [
        ("ffmpeg decodes and encodes the film's sound, s", f"{plain_s:.1f}"),
        ("the whole job, s", f"{dub_s:.0f}"),
        ("lines", f"{count}"),
        ("a line made anew and published, s", ", ".join(f"{one:.1f}" for one in took)),
        ("times ffmpeg alone", f"{statistics.median(took) / plain_s:.2f}"),
        ("loudness before and after each, LUFS", ", ".join(
            f"{one.integrated_lufs:.1f}" for one in loudness)),
        ("true peak, dBTP", ", ".join(f"{one.true_peak_dbtp:.1f}" for one in loudness)),
    ]  # fmt: skip
    head = (
        f"Lines of a film made anew, {datetime.now(UTC):%Y-%m-%d}: "
        f"{probe(film).duration_s / 60:.0f} min, embedded profile, {os.cpu_count()} processors, "
        f"load {os.getloadavg()[2]:.1f}; {platform.machine()}, Python "
        f"{platform.python_version()}.\n\n| | |\n|---|---|\n"
    )
    return head + "".join(f"| {name} | {value} |\n" for name, value in rows)


def make_film(spoken: Path, duration_s: float, folder: Path) -> Path:
    """Return a film with the talk at its beginning and at its end."""
    film = folder / "Film.mkv"
    late_ms = round((duration_s - probe(spoken).duration_s) * 1000)
    graph = (
        f"[1:a]aresample=48000,asplit[a][b];[b]adelay={late_ms}:all=1[late];"
        "[a][late][2]amix=inputs=3:normalize=0[sound]"
    )
    subprocess.run(
        ffmpeg(
            "-f", "lavfi", "-i", f"color=s=160x90:r=5:d={duration_s}", "-i", spoken,
            "-f", "lavfi", "-i", f"anoisesrc=a=0.005:c=pink:r=48000:d={duration_s}",
            "-filter_complex", graph, "-map", "0:v", "-map", "[sound]", "-ac", "2",
            "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", "-t", str(duration_s), film,
        ),
        check=True,
    )  # fmt: skip
    return film


def command(folder: Path, *words: str) -> tuple[float, str]:
    """Run a command of the program; return how long it took and what it said."""
    environment = {
        **os.environ,
        "PROFILE": "embedded",
        "CONFIG_DIR": str(folder / "config"),
        "VIDEOS_DIR": str(folder),
        "MODELS_DIR": str(load_settings(config_dir=folder).models_dir),
        "LOG_LEVEL": "error",
        "DUB_SONGS": "true",  # the talk comes twice
    }
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "dubarr_watch", *words],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"{words} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return time.monotonic() - started, done.stdout


def lines_of(folder: Path) -> int:
    """Return how many lines the report of the only job has."""
    (report,) = (folder / "config" / "reports").rglob("*.json")
    return len(json.loads(report.read_bytes())["lines"])


if __name__ == "__main__":
    main()
