"""Workers, schedulers and networks that are lost while a job runs: it ends all the same."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from dubarr_watch.cluster.host import ClusterHost
from dubarr_watch.engines.base import EngineSpec
from dubarr_watch.engines.crew import Member
from dubarr_watch.errors import JobCancelled
from dubarr_watch.store.records import JobState
from tests.cluster.clusters import (
    START_S,
    Cluster,
    engines_of,
    kill,
    open_cluster_shop,
    open_host,
)
from tests.cluster.lan import Lan, lan
from tests.composing import Shop, make_talk, names
from tests.waiting import eventually

SLOW = EngineSpec("dubarr_watch.engines.fakes:FakeSynthesizer", {"delay_s": 1.5})


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path) as found:
        found.start_scheduler()
        yield found


def speak(host: ClusterHost, folder: Path, count: int) -> list[Path]:
    """Have lines spoken at a time, and return what was written."""
    folder.mkdir(exist_ok=True)
    with (
        host.engine("synthesizer", SLOW, job=1) as voice,
        ThreadPoolExecutor(count) as pool,
    ):
        takes = [
            pool.submit(
                voice.synthesize,
                f"line {n}",
                language="es",
                voice="fake_es_anna",
                speed=1.0,
                target=folder / f"{n}.wav",
            )
            for n in range(count)
        ]
        return [take.result().path for take in takes]


def whose_turn(*workers: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    """Return a worker that has an engine running now."""
    found: subprocess.Popen[bytes] = eventually(
        lambda: next((one for one in workers if engines_of(one)), None), "a worker is busy"
    )
    return found


def assert_dubbed_once(shop: Shop, film: Path, job: int) -> None:
    ended = shop.store.jobs.get(job)
    assert ended.state is JobState.DONE, ended.reason
    assert names(film.parent) == ["Film.Dubarr.es.mka", "Film.Dubarr.es.srt", "Film.mkv"]
    assert [one.kind for one in shop.store.jobs.tracks(job)].count("sidecar") == 1


def test_what_a_killed_worker_did_is_done_by_another_and_published_once(
    cluster: Cluster, tmp_path: Path
) -> None:
    first, second = cluster.start_worker(), cluster.start_worker()
    lost: list[Member] = []
    with open_cluster_shop(tmp_path / "daemon", cluster, on_lost=lost.append) as shop:
        shop.use(synthesizer={"delay_s": 0.4})
        film = make_talk(shop.videos / "Film.mkv", 30.0)
        job = shop.enqueue(film, "es")
        with ThreadPoolExecutor(1) as pool:
            run = pool.submit(shop.run, job)
            eventually(lambda: shop.store.jobs.get(job.id).stage == "synthesize", "it speaks")
            victim = whose_turn(first, second)
            engines = engines_of(victim)
            kill(victim)
            run.result(timeout=180)
        assert_dubbed_once(shop, film, job.id)
        eventually(lambda: not any(map(running, engines)), "no engine outlives its worker")
        assert [one.machine for one in lost] == [os.uname().nodename]
        eventually(lambda: len(shop.host.crew.members) == 1, "the crew is smaller")
        assert shop.host.crew.lost == 1


def running(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_scheduler_that_comes_back_is_asked_for_everything_again(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.start_worker(supervised=True)
    with open_cluster_shop(tmp_path / "daemon", cluster) as shop:
        shop.use(synthesizer={"delay_s": 0.4})
        film = make_talk(shop.videos / "Film.mkv", 30.0)
        job = shop.enqueue(film, "es")
        with ThreadPoolExecutor(1) as pool:
            run = pool.submit(shop.run, job)
            eventually(lambda: shop.store.jobs.get(job.id).stage == "synthesize", "it speaks")
            assert cluster.scheduler is not None
            kill(cluster.scheduler)
            eventually(lambda: not shop.host.crew.reachable, "the daemon sees it")
            cluster.start_scheduler()
            run.result(timeout=90)
        assert_dubbed_once(shop, film, job.id)


def test_a_worker_that_is_silent_loses_its_lease_and_what_it_says_later_is_discarded(
    cluster: Cluster, tmp_path: Path
) -> None:
    first, second = cluster.start_worker(), cluster.start_worker()
    with open_host(tmp_path / "daemon", cluster) as host:
        folder = tmp_path / "daemon" / "work"
        with ThreadPoolExecutor(1) as pool:
            run = pool.submit(speak, host, folder, 2)
            eventually(lambda: engines_of(first) and engines_of(second), "both are busy")
            os.kill(first.pid, signal.SIGSTOP)  # its engine goes on and writes its file
            takes = run.result(timeout=180)
        assert [one.exists() for one in takes] == [True, True]
        seen = {one: (one.stat().st_ino, one.read_bytes()) for one in takes}
        os.kill(first.pid, signal.SIGCONT)
        first.wait(timeout=180)  # it finds out that nobody knows it any more, and ends
        assert {one: (one.stat().st_ino, one.read_bytes()) for one in takes} == seen


@pytest.fixture
def network() -> Iterator[Lan]:
    """Two machines, each in a network of its own."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("only root makes networks, with `ip`")
    with ExitStack() as stack:
        try:
            found = stack.enter_context(lan(2))
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this machine makes no networks: {error.stderr.decode().strip()}")
        yield found


def test_what_a_worker_does_whose_network_is_cut_is_done_by_another_and_published_once(
    network: Lan, tmp_path: Path
) -> None:
    """Nobody is told that it is gone; its lease runs out, and what it says later is discarded."""
    with Cluster(tmp_path) as cluster:
        cluster.host = network.address
        cluster.start_scheduler()
        workers = [cluster.start_worker(wait=False, prefix=network.prefix(n)) for n in range(2)]
        lost: list[Member] = []
        with open_cluster_shop(tmp_path / "daemon", cluster, on_lost=lost.append) as shop:
            eventually(lambda: len(shop.host.crew.members) == 2, "both", START_S)
            shop.use(synthesizer={"delay_s": 0.4})
            film = make_talk(shop.videos / "Film.mkv", 30.0)
            job = shop.enqueue(film, "es")
            with ThreadPoolExecutor(1) as pool:
                run = pool.submit(shop.run, job)
                eventually(lambda: shop.store.jobs.get(job.id).stage == "synthesize", "it speaks")
                victim = whose_turn(*workers)
                network.cut(workers.index(victim))
                run.result(timeout=180)
            assert_dubbed_once(shop, film, job.id)
            made = track_of(film)
            eventually(lambda: len(shop.host.crew.members) == 1, "one is gone")
            assert len(lost) == shop.host.crew.lost == 1
            network.join(workers.index(victim))
            victim.wait(timeout=180)  # nobody knows it any more, and whoever watches it starts anew
            assert_dubbed_once(shop, film, job.id)
            assert track_of(film) == made


def track_of(film: Path) -> tuple[int, bytes]:
    track = film.with_name("Film.Dubarr.es.mka")
    return track.stat().st_ino, track.read_bytes()


def test_more_workers_are_wanted_while_there_is_work_for_them(
    cluster: Cluster, tmp_path: Path
) -> None:
    """What an autoscaler goes by; those who join are given work at once."""
    first = cluster.start_worker()
    with open_host(tmp_path / "daemon", cluster) as host:
        eventually(lambda: host.crew.members, "the first")
        assert host.crew.wanted == 0
        with ThreadPoolExecutor(1) as pool:
            run = pool.submit(speak, host, tmp_path / "daemon" / "work", 12)
            eventually(lambda: host.crew.wanted > 3, "more are wanted")
            second = cluster.start_worker()
            eventually(lambda: engines_of(second), "the second has work")
            assert not run.done()
            assert len(run.result(timeout=180)) == 12
        assert first.poll() is None
        eventually(lambda: host.crew.wanted == 0, "nothing is to do any more")


def test_a_cancelled_call_ends_its_engine_on_the_worker(cluster: Cluster, tmp_path: Path) -> None:
    worker = cluster.start_worker()
    cancelled = threading.Event()
    slow = EngineSpec(SLOW.target, {"delay_s": 60.0})
    with (
        open_host(tmp_path / "daemon", cluster) as host,
        host.engine("synthesizer", slow, job=1, cancelled=cancelled.is_set) as voice,
        ThreadPoolExecutor(1) as pool,
    ):
        run = pool.submit(voice.synthesize, "hello", language="es", voice="fake_es_anna",
                          speed=1.0, target=tmp_path / "daemon" / "a.wav")  # fmt: skip
        eventually(lambda: engines_of(worker), "it speaks")
        cancelled.set()
        with pytest.raises(JobCancelled):
            run.result(timeout=30)  # half of what the line would take
        eventually(lambda: not engines_of(worker), "its engine ended", 10)


def test_what_a_daemon_asked_that_is_gone_ends_on_the_worker(
    cluster: Cluster, tmp_path: Path
) -> None:
    worker = cluster.start_worker()
    slow = EngineSpec(SLOW.target, {"delay_s": 60.0})
    with ThreadPoolExecutor(1) as pool:
        with open_host(tmp_path / "daemon", cluster) as host:
            engine = host.engine("synthesizer", slow, job=1)
            voice = engine.__enter__()
            run = pool.submit(voice.synthesize, "hello", language="es", voice="fake_es_anna",
                              speed=1.0, target=tmp_path / "daemon" / "a.wav")  # fmt: skip
            eventually(lambda: engines_of(worker), "it speaks")
        with pytest.raises(JobCancelled):
            run.result(timeout=10)
    eventually(lambda: not engines_of(worker), "its engine ended", 20)
