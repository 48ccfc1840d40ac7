"""The full profile's engines on a GPU, under leases: time, memory, and what comes back of it.

    MODELS_DIR=~/.cache/dubarr-watch/models \\
      .venv/bin/python -m benchmarks.gpu [--save] [--seconds 600] [--only PART,...]

The parts are devices, leases, engines and voice. Needs a machine with an NVIDIA GPU, both
environments of `make full`, and nothing from any hub: Whisper base has its real weights (in
MODELS_DIR, as `make models` leaves them), every other model is built on the spot with random ones
of full size. To be run in the repository's root; nothing else should use the card meanwhile. Prints
a page; --save also keeps it in benchmarks/results/.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import gpu_models
from benchmarks.gpu_leases import Card, lease_facts
from benchmarks.gpu_models import Load
from benchmarks.gpu_table import EngineRow, Fact, as_page, file_name
from benchmarks.gpu_watch import watched
from benchmarks.talk import TALK
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.errors import DubarrError, ExitCode
from dubarr_watch.gpu.devices import Gpu, Inventory, match_devices, read_inventory
from dubarr_watch.gpu.identity import cuda_devices
from dubarr_watch.gpu.leases import LeaseBroker
from dubarr_watch.gpu.wishes import Rules
from dubarr_watch.logs import configure_logging
from dubarr_watch.settings import Device, Settings, load_settings

RESULTS = Path(__file__).parent / "results"
PARTS = ("devices", "leases", "engines", "voice")
BATCHED_GOAL = 5.0
CODES = 140
"""Length of each take: 1024 samples at 22050 Hz each, so 6.5 s, as for a line of 100 characters."""

ALONE_LINES = 6
ROUNDS = 4


@dataclass
class Results:
    """What was measured so far, and what failed."""

    engines: list[EngineRow] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    failed: bool = False

    def attempt(self, what: str, work: Callable[[], None]) -> None:
        """Run one part; when it fails, the others still run, and the page says what failed."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - what was measured so far must not be lost
            self.failed = True
            traceback.print_exc()
            told = error if isinstance(error, DubarrError) else repr(error)
            self.facts.append(Fact(what, f"failed: {' '.join(str(told).split())}"))

    def missed(self) -> bool:
        """Tell whether anything failed or missed its goal."""
        return self.failed or any(fact.reached is False for fact in self.facts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that were asked for; the exit code is 4 where there is no GPU."""
    options = _parse(arguments)
    inventory = read_inventory()
    if inventory.kind != "cuda":
        print(f"No NVIDIA GPU to measure: {inventory.problem} {inventory.hint}", file=sys.stderr)
        return ExitCode.USER_MUST_PROVIDE
    gpu = inventory.gpus[0]
    with tempfile.TemporaryDirectory(prefix="dubarr-bench-") as name:
        folder = Path(name)
        settings = load_settings(
            config_dir=folder / "config", device=Device.CUDA, log_level="error"
        )
        configure_logging(settings)
        results = measure(settings, inventory, gpu, folder, options)
    page = as_page(inventory, gpu, results.engines, results.facts)
    print(page)
    if options.save:
        (RESULTS / file_name(gpu)).write_text(page + "\n", encoding="utf-8")
    return ExitCode.FAILED if results.missed() else ExitCode.DONE


def measure(
    settings: Settings, inventory: Inventory, gpu: Gpu, folder: Path, options: argparse.Namespace
) -> Results:
    """Run the parts on one card."""
    results = Results()
    broker = LeaseBroker([gpu], Rules.of(settings))
    host = EngineHost(settings, broker=broker)
    try:
        if "devices" in options.only:
            results.attempt("devices", lambda: results.facts.extend(device_facts(inventory)))
        if "leases" in options.only:
            card = Card(host, broker, gpu, folder)
            results.attempt("leases", lambda: results.facts.extend(lease_facts(card)))
        if "engines" in options.only:
            results.attempt(
                "engines", lambda: engines(settings, host, gpu, folder, results, options)
            )
        if "voice" in options.only:
            results.attempt("xtts v2, random", lambda: voice(host, gpu, folder, results))
    finally:
        host.close()
        broker.close()
    left = [row.left_mib for row in results.engines]
    if left:
        results.facts.append(
            Fact("MiB left after all engines", str(max(left)), "0", max(left) == 0)
        )
    return results


def engines(
    settings: Settings,
    host: EngineHost,
    gpu: Gpu,
    folder: Path,
    results: Results,
    options: argparse.Namespace,
) -> None:
    """Run every engine but the voice."""
    audio, speaker = gpu_models.speech_file(settings, folder, options.seconds)
    results.facts.append(Fact("who speaks to Whisper and pyannote", speaker))
    for load in gpu_models.loads(settings, folder, audio):
        results.attempt(load.name, partial(_engine, results, host, gpu, load))


def device_facts(inventory: Inventory) -> list[Fact]:
    """Return which of NVML's cards each of CUDA's devices is."""
    cuda = cuda_devices()
    found = match_devices(inventory.gpus, cuda)
    rows = [
        Fact(
            f"CUDA device {device.ordinal}: {device.name}",
            f"NVML {found[device.ordinal].index}, {found[device.ordinal].uuid}"
            if device.ordinal in found
            else "unknown to NVML",
            "known",
            device.ordinal in found,
        )
        for device in cuda
    ]
    return rows or [Fact("CUDA devices", "none", "one or more", False)]


def run(host: EngineHost, gpu: Gpu, load: Load) -> EngineRow:
    """Run one engine on its work, from the start of its process to its end."""
    spec = load.spec()
    with (
        watched(gpu.uuid) as seen,
        host.engine(load.kind, spec) as engine,  # type: ignore[call-overload]
    ):
        started = time.monotonic()
        load.work(engine)
        took_s = time.monotonic() - started
    load_s = host.usage[-1].load_s
    return EngineRow(
        load.name, load_s, seen.peak_mib, seen.left_mib, load.audio_s, max(0.0, took_s - load_s)
    )


def _engine(results: Results, host: EngineHost, gpu: Gpu, load: Load) -> None:
    results.engines.append(run(host, gpu, load))


def voice(host: EngineHost, gpu: Gpu, folder: Path, results: Results) -> None:
    """Speak lines one by one, then as many at a time as the voice has slots."""
    spec = gpu_models.xtts(folder, codes=CODES)
    with watched(gpu.uuid) as seen, host.engine("synthesizer", spec) as engine:
        speaker = engine.voices("en")[0].id
        slots = engine.slots
        say = _Speaker(engine, speaker, folder)
        say.lines(1, at_a_time=1)  # the first calls of a shape choose their kernels
        alone_s, alone_busy_s = say.lines(ALONE_LINES, at_a_time=1)
        say.lines(slots, at_a_time=slots)
        batched_s, batched_busy_s = say.lines(ROUNDS * slots, at_a_time=slots)
    load_s = host.usage[-1].load_s
    for name, audio_s, busy_s in (
        ("xtts v2, random, one by one", alone_s, alone_busy_s),
        (f"xtts v2, random, {slots} at a time", batched_s, batched_busy_s),
    ):
        results.engines.append(
            EngineRow(name, load_s, seen.peak_mib, seen.left_mib, audio_s, busy_s)
        )
    times = (batched_s / batched_busy_s) / (alone_s / alone_busy_s)
    goal = f"at least {BATCHED_GOAL:.0f} times"
    results.facts.append(
        Fact("XTTS lines batched against one by one", f"{times:.1f} times", goal,
             times >= BATCHED_GOAL)
    )  # fmt: skip
    # A doubted take was tried more than once, in either way alike.
    results.facts.append(Fact("XTTS takes that its guards doubted", str(say.doubted)))


class _Speaker:
    def __init__(self, engine: Any, voice: str, folder: Path) -> None:
        self._engine = engine
        self._voice = voice
        self._folder = folder
        self.doubted = 0

    def lines(self, count: int, *, at_a_time: int) -> tuple[float, float]:
        """Speak some lines; return seconds of speech and seconds that it took."""
        started = time.monotonic()
        with ThreadPoolExecutor(at_a_time) as pool:
            spoken_s = sum(pool.map(self._line, range(count)))
        return spoken_s, time.monotonic() - started

    def _line(self, number: int) -> float:
        text = TALK[number % len(TALK)].text[:100]
        target = self._folder / f"line-{number}.wav"
        speech = self._engine.synthesize(
            text, language="en", voice=self._voice, speed=1.0, target=target
        )
        self.doubted += speech.suspect
        return float(speech.duration_s)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--only", type=lambda words: words.split(","), default=list(PARTS))
    options = parser.parse_args(arguments)
    unknown = set(options.only) - set(PARTS)
    if unknown:
        parser.error(f"--only knows {', '.join(PARTS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
