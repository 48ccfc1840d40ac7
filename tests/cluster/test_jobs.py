"""Jobs whose engines run on real workers: as on one machine, whatever they share of its disks."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from dubarr_watch.cluster.divided import LONG_S
from dubarr_watch.dubbing import hearing_back
from dubarr_watch.dubbing.fitting import Outcome, Take
from dubarr_watch.dubbing.hearing_back import Listener
from dubarr_watch.engines.base import EngineSpec
from dubarr_watch.store.records import JobState
from tests.cluster.clusters import Cluster, open_cluster_shop, open_host
from tests.composing import Shop, make_talk, open_shop, sha256, sound_of

PLAN = ("transcribe", "diarize", "lines", "translate", "cast", "synthesize")
"""Stages whose results are data."""

ELSEWHERE = "/nowhere"
"""Where a worker that shares nothing sees the daemon's folders: there is nothing."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jobs")


@pytest.fixture(scope="module")
def sharing(folder: Path) -> Iterator[Cluster]:
    """Two workers that see the daemon's disk."""
    (folder / "sharing").mkdir()
    with Cluster(folder / "sharing") as cluster:
        cluster.start_scheduler()
        cluster.start_worker()
        cluster.start_worker()
        yield cluster


@pytest.fixture(scope="module")
def apart(folder: Path) -> Iterator[Cluster]:
    """Two workers that see nothing of the daemon's disk."""
    (folder / "apart").mkdir()
    with Cluster(folder / "apart", PATH_MAP=f"{folder}={ELSEWHERE}") as cluster:
        cluster.start_scheduler()
        cluster.start_worker()
        cluster.start_worker()
        yield cluster


@pytest.fixture(params=["sharing", "apart"])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    found: Cluster = request.getfixturevalue(request.param)
    return found


def test_a_job_is_the_same_byte_for_byte_as_on_one_machine(
    cluster: Cluster, folder: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    # The same folder for both: keys know paths.
    here, film = folder / f"job-{request.node.callspec.id}", tmp_path / "Film.mkv"
    here.mkdir()
    make_talk(film, 20.0)
    with open_shop(here, real_processes=True, debug_mode=True) as alone:
        expected = outcome(alone, film)
    here.rename(tmp_path / "alone")
    with open_cluster_shop(here, cluster, debug_mode=True) as shop:
        assert outcome(shop, film) == expected
        assert shop.host.crew.members
        left = [one for one in shop.settings.work_dir.rglob(".*") if one.is_file()]
        assert [one for one in left if one.parent.name != ".cluster"] == []


def outcome(shop: Shop, film: Path) -> dict[str, Any]:
    """Dub a film, and return all that decides what is heard when, and how it sounds."""
    own = shop.videos / film.name
    shutil.copy2(film, own)
    ended = shop.dub(own, "es")
    assert ended.job.state is JobState.DONE, ended
    keys = {
        f"{one.stage} {one.language}": one.key
        for one in shop.store.checkpoints.stages(ended.job.id)
        if one.stage != "publish"  # its key knows which folder it is on the disk
    }
    assert {"transcribe ", "synthesize es", "mix es", "report es"} <= set(keys)
    takes = sorted(shop.work(ended.job).rglob("*.wav"))
    assert takes
    artifacts = {
        one.stage: sha256(one.artifact)
        for one in shop.store.checkpoints.stages(ended.job.id)
        if one.stage in PLAN
    }
    sound = hashlib.sha256(sound_of(shop.track(ended.job)).tobytes()).hexdigest()
    return {"keys": keys, "artifacts": artifacts, "takes": [sha256(one) for one in takes],
            "names": [one.name for one in takes], "sound": sound}  # fmt: skip


def talk(path: Path, seconds: float) -> Path:
    """Write a 16 kHz recording with a tone that comes and goes."""
    times = np.arange(round(seconds * 16_000)) / 16_000
    loud = (np.sin(2 * np.pi * times / 7) > -0.3) * np.sin(2 * np.pi * 300 * times)
    soundfile.write(path, (0.3 * 32767 * loud).astype(np.int16), 16_000, subtype="PCM_16")
    return path


TRANSCRIBER = EngineSpec("dubarr_watch.engines.fakes:FakeTranscriber")


def test_a_long_recording_is_heard_in_ranges_by_all_workers_and_joined_in_order(
    cluster: Cluster, folder: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    from dubarr_watch.engines.host import EngineHost
    from dubarr_watch.settings import load_settings

    home = folder / f"long-{request.node.callspec.id}"
    home.mkdir()
    long = talk(home / "heard.wav", LONG_S + 30)
    with EngineHost(load_settings(config_dir=tmp_path)).engine("transcriber", TRANSCRIBER) as one:
        expected = one.transcribe(long)
    told: list[float] = []
    with (
        open_host(home, cluster) as host,
        host.engine("transcriber", TRANSCRIBER, job=1) as engine,
    ):
        heard = engine.transcribe(long, progress=lambda done, total: told.append(done / total))
    assert repr(heard) == repr(expected)
    assert len(heard.words) > 500
    assert told[-1] == 1.0
    ranges = [
        log.count('"method": "hear"') for log in (cluster.log("worker-0"), cluster.log("worker-1"))
    ]
    assert all(ranges), ranges


def test_takes_are_heard_back_by_all_workers_at_a_time_and_as_on_one_machine(
    cluster: Cluster,
    folder: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from dubarr_watch.engines.host import EngineHost
    from dubarr_watch.settings import load_settings

    monkeypatch.setattr(hearing_back, "_BATCH_S", 8.0)
    home = folder / f"takes-{request.node.callspec.id}"
    home.mkdir()
    lengths_s = [2.0 + number % 3 for number in range(24)]
    takes = [
        Take(number, talk(home / f"{number}.wav", length_s), f"word {number}", "fake_es_anna",
             length_s, 1, Outcome.OK)
        for number, length_s in enumerate(lengths_s)
    ]  # fmt: skip

    def heard(host: EngineHost, kept: str, **job: int) -> dict[int, list[str]]:
        opened = partial(host.engine, "transcriber", TRANSCRIBER, **job)
        return Listener(opened, "es", "fake", home / kept).hear(takes)

    expected = heard(EngineHost(load_settings(config_dir=tmp_path)), "here.json")
    before = [cluster.log(f"worker-{number}").count('"method": "transcribe"') for number in (0, 1)]
    with open_host(home, cluster) as host:
        assert heard(host, "there.json", job=1) == expected
    assert sum(map(len, expected.values())) > len(takes)
    after = [cluster.log(f"worker-{number}").count('"method": "transcribe"') for number in (0, 1)]
    assert all(now > was for was, now in zip(before, after, strict=True)), (before, after)
