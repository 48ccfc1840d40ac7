"""A cluster of real processes with engines of known duration: what workers bring, what tasks cost.

    python -m benchmarks.scaling [--only efficiency,task,queue,kills] [--namespaces] [--save]

A scheduler and workers run as processes of their own, with `--namespaces` (as root, where
`ip netns` works) each worker in a network of its own. The engine is the shipped fake, which sleeps:
so two cores carry eight workers, and what is measured is everything around it. Goals: efficiency
of at least 95, 93 and 90 % at 2, 4 and 8 workers against one; under 10 ms a task; 10,000 queued
jobs without slowing; 50 workers killed at random without a lost or doubled track.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psutil
from pydantic import SecretStr

from dubarr_watch.engines.base import EngineSpec
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.settings import load_settings
from dubarr_watch.store.records import JobOptions, JobState, VideoState
from dubarr_watch.store.store import Store
from tests.cluster.clusters import Cluster, kill, open_cluster_shop, open_host
from tests.cluster.lan import lan
from tests.composing import Shop, make_talk
from tests.store.server import running_server
from tests.waiting import eventually

GOALS = {2: 0.95, 4: 0.93, 8: 0.90}
LINE_S = 2.0
LINES_EACH = 8
FAKE = "dubarr_watch.engines.fakes:FakeSynthesizer"
FEW = 400
QUEUED = 10_000
CLAIMS = 350
KILLS = 50
KILL_JOBS = 24
RESULTS = Path(__file__).parent / "results"

Row = tuple[str, str, str]


def speak(host: EngineHost, folder: Path, count: int, delay_s: float, at_a_time: int) -> float:
    """Have lines spoken, and return the seconds from the first to the last, engines loaded."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = EngineSpec(FAKE, {"delay_s": delay_s})

    def one(voice: object, n: int) -> None:
        voice.synthesize(  # type: ignore[attr-defined]
            f"line {n}", language="es", voice="fake_es_anna", speed=1.0, target=folder / f"{n}.wav"
        )

    with (
        host.engine("synthesizer", spec, job=1) as voice,
        ThreadPoolExecutor(at_a_time) as pool,
    ):
        list(pool.map(lambda n: one(voice, n), range(at_a_time)))  # loads an engine everywhere
        began = time.perf_counter()
        list(pool.map(lambda n: one(voice, n), range(count)))
        return time.perf_counter() - began


def efficiency(folder: Path, *, namespaces: bool) -> Iterator[Row]:
    """Measure lines a second of 1, 2, 4 and 8 workers."""
    rates: dict[int, float] = {}
    with lan(8 if namespaces else 0) as network:
        cluster_folder = folder / ("lan" if namespaces else "loopback")
        cluster_folder.mkdir()
        with Cluster(cluster_folder) as cluster:
            cluster.host = network.address
            cluster.start_scheduler()
            for count in (1, 2, 4, 8):
                while len(cluster.workers) < count:
                    cluster.start_worker(prefix=network.prefix(len(cluster.workers)))
                with open_host(cluster_folder / f"daemon-{count}", cluster) as host:
                    eventually(lambda n=count, h=host: len(h.crew.members) == n, "all workers")  # type: ignore[misc]
                    lines = count * LINES_EACH
                    seconds = speak(host, cluster_folder / f"takes-{count}", lines, LINE_S, count)
                rates[count] = lines / seconds
    where = "in networks of their own" if namespaces else "on the loopback"
    for count, goal in GOALS.items():
        found = rates[count] / (count * rates[1])
        alone = rates[count] * LINE_S / count
        yield (
            f"efficiency of {count} workers {where}, lines of {LINE_S:g} s",
            f"{found:.1%} of {count} times one; {alone:.1%} of engines that never wait",
            f"at least {goal:.0%}",
        )


def task(folder: Path) -> Iterator[Row]:
    """Measure what a task costs above the same call in a process of this machine."""
    (folder / "task").mkdir()
    with Cluster(folder / "task") as cluster:
        cluster.start_scheduler()
        cluster.start_worker()
        with open_host(folder / "task" / "daemon", cluster) as host:
            there = [speak(host, folder / "task" / "a", 100, 0.0, 1) / 100 for _ in range(5)]
        local = load_settings(config_dir=folder / "task" / "local")
        with_local = EngineHost(local)
        here = [speak(with_local, folder / "task" / "b", 100, 0.0, 1) / 100 for _ in range(5)]
    cost_ms = 1000 * (statistics.median(there) - statistics.median(here))
    yield (
        "a task, above the same call in a local process (median of 5 x 100)",
        f"{cost_ms:.1f} ms ({1000 * statistics.median(there):.1f} less "
        f"{1000 * statistics.median(here):.1f})",
        "under 10 ms",
    )


def queue(folder: Path) -> Iterator[Row]:
    """Measure claiming and ending jobs with few and with many queued, on both kinds of database."""
    yield _queue("SQLite", folder / "few.db", folder / "many.db")
    with running_server() as server:
        yield _queue("PostgreSQL", server.new(), server.new())


def _queue(kind: str, few: Path | SecretStr, many: Path | SecretStr) -> Row:
    """Take turns, so that what else the machine does is the same for both."""
    with Store.open(few) as short, Store.open(many) as long:
        _fill(short, FEW)
        _fill(long, QUEUED)
        took: dict[Store, list[float]] = {short: [], long: []}
        for _ in range(CLAIMS):
            for store, times in took.items():
                began = time.perf_counter()
                job = store.jobs.claim("benchmark")
                if job is None:
                    raise SystemExit("the queue is empty")
                store.under(job.id, job.token).jobs.finish(job.id, JobState.DONE, "")
                times.append(time.perf_counter() - began)
        little, much = (1000 * statistics.median(times) for times in took.values())
        rate = sum(took[short]) / sum(took[long])
    return (
        f"claim and end of a job on {kind}, {QUEUED:,} queued against {FEW} "
        f"({CLAIMS} each, in turns)",
        f"{much:.2f} ms against {little:.2f} ms (medians); {rate:.2f} of the rate",
        "no slower",
    )


def _fill(store: Store, count: int) -> None:
    with store.transaction():
        for n in range(count):
            path = Path(f"/videos/{n}.mkv")
            video = store.videos.record(path, 1, 1, f"f{n}", VideoState.ARRIVED)
            store.jobs.enqueue(video.id, ("es",), JobOptions())


def kills(folder: Path, *, seed: int = 7) -> Iterator[Row]:
    """Kill workers at random while jobs run; each video must have its one track in the end."""
    rng, killed, over = random.Random(seed), 0, threading.Event()
    (folder / "kills").mkdir()
    with Cluster(folder / "kills", LOG_LEVEL="info") as cluster:
        cluster.start_scheduler()
        for _ in range(4):
            cluster.start_worker()

        def murder() -> None:
            nonlocal killed
            while killed < KILLS and not over.is_set():
                busy = [one for one in cluster.workers if one.poll() is None]
                victim = rng.choice(busy)
                children = psutil.Process(victim.pid).children()
                if not children and rng.random() < 0.8:  # most often one that is at work
                    over.wait(0.05)
                    continue
                kill(victim)
                killed += 1
                cluster.start_worker(wait=False)
                over.wait(rng.uniform(0.5, 2.0))

        with open_cluster_shop(folder / "kills" / "daemon", cluster) as shop:
            shop.use(synthesizer={"delay_s": 0.3})
            murderer = threading.Thread(target=murder)
            murderer.start()
            jobs = []
            with ThreadPoolExecutor(4) as pool:
                runs = []
                n = 0
                while n < KILL_JOBS or (killed < KILLS and n < 10 * KILL_JOBS):
                    film = make_talk(shop.videos / f"Film {n}.mkv", 12.0 + n / 100)
                    job = shop.enqueue(film, "es")
                    jobs.append((film, job))
                    runs.append(pool.submit(_run_to_its_end, shop, job.id))
                    n += 1
                    while sum(not run.done() for run in runs) > 4:
                        time.sleep(0.05)
                for run in runs:
                    run.result()
            over.set()
            murderer.join()
            states = [shop.store.jobs.get(job.id).state for _, job in jobs]
            tracks = [
                [one.kind for one in shop.store.jobs.tracks(job.id)].count("sidecar")
                for _, job in jobs
            ]
            files = [len(list(film.parent.glob(f"{film.stem}.Dubarr*.mka"))) for film, _ in jobs]
    done = sum(state is JobState.DONE for state in states)
    lost = sum(count == 0 for count in files)
    doubled = sum(count > 1 for count in [*files, *tracks])
    yield (
        f"{killed} of 4 workers killed at random, {len(jobs)} jobs",
        f"{done} done, {lost} tracks lost, {doubled} doubled",
        f"{KILLS} kills, none lost, none doubled",
    )


def _run_to_its_end(shop: Shop, job: int) -> None:
    while True:
        ended = shop.run(shop.store.jobs.get(job))
        if ended.job.state.ended:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="efficiency,task,queue,kills")
    parser.add_argument("--namespaces", action="store_true")
    parser.add_argument("--save", action="store_true")
    asked = parser.parse_args()
    parts = {
        "efficiency": lambda folder: efficiency(folder, namespaces=asked.namespaces),
        "task": task, "queue": queue, "kills": kills,
    }  # fmt: skip
    load = os.getloadavg()[0]
    lines = ["| what | measured | goal |", "| --- | --- | --- |"]
    with tempfile.TemporaryDirectory(prefix="dubarr-scaling-") as name:
        for part in asked.only.split(","):
            for row in parts[part](Path(name)):
                lines.append(f"| {' | '.join(row)} |")
                print(lines[-1], flush=True)
    head = (
        f"A cluster on one machine, {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load "
        f"{load:.1f} before it began\n\n`python -m benchmarks.scaling`, engines that sleep.\n\n"
    )
    if asked.save:
        path = RESULTS / f"scaling-{datetime.now(UTC):%Y-%m-%d}.md"
        path.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
