"""Where orders go: to the machine that holds what they read, and to many at a time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from dubarr_watch.cluster.calls import Calls
from dubarr_watch.cluster.orders import SMALL_BYTES
from dubarr_watch.engines.base import EngineSpec
from tests.cluster.clusters import START_S, Cluster, open_host
from tests.cluster.test_jobs import ELSEWHERE, TRANSCRIBER, talk
from tests.waiting import eventually

SEPARATOR = EngineSpec("dubarr_watch.engines.fakes:FakeSeparator")


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers on machines of different names, neither of which sees the daemon's disk."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root gives processes a host name of their own, with `unshare`")
    folder = tmp_path_factory.mktemp("machines")
    with Cluster(folder, PATH_MAP=f"{folder.parent}={ELSEWHERE}") as cluster:
        cluster.start_scheduler()
        for name in ("attic", "cellar"):
            named = ["unshare", "--uts", "sh", "-c", f'hostname {name} && exec "$@"', "sh"]
            cluster.start_worker(wait=False, prefix=named)
        yield cluster


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are sent in pieces."""
    found: list[str] = []
    send = Calls._send

    def noted(self: Calls, *told: object) -> None:
        found.append(told[1].path.name)  # type: ignore[attr-defined]
        send(self, *told)  # type: ignore[arg-type]

    monkeypatch.setattr(Calls, "_send", noted)
    return found


def orders(cluster: Cluster, method: str) -> list[int]:
    """Return how many orders for a method each worker was given."""
    return [cluster.log(f"worker-{n}").count(f'"method": "{method}"') for n in range(2)]


def test_what_reads_a_file_goes_to_the_machine_that_has_it(
    machines: Cluster, tmp_path: Path, sent: list[str]
) -> None:
    audio = talk(tmp_path / "heard.wav", 60)
    assert audio.stat().st_size > SMALL_BYTES
    before = orders(machines, "transcribe")
    with (
        open_host(tmp_path / "daemon", machines) as host,
        host.engine("transcriber", TRANSCRIBER, job=1) as engine,
    ):
        both = eventually(lambda: host.crew.members[1:] and host.crew.members, "both", START_S)
        assert {one.machine for one in both} == {"attic", "cellar"}
        for _ in range(6):
            assert len(engine.transcribe(audio, language="en").words) > 50
    given = sorted(
        now - then for now, then in zip(orders(machines, "transcribe"), before, strict=True)
    )
    assert given == [0, 6]
    assert sent == ["heard.wav"]


def test_what_a_worker_wrote_is_read_where_it_is(
    machines: Cluster, tmp_path: Path, sent: list[str]
) -> None:
    """It is fetched once, and never sent back."""
    mixed = tmp_path / "mix.wav"
    samples, _ = soundfile.read(talk(tmp_path / "talk.wav", 60), dtype="int16")
    soundfile.write(mixed, samples, 16_000, subtype="PCM_16")
    with open_host(tmp_path / "daemon", machines) as host:
        eventually(lambda: len(host.crew.members) == 2, "both", START_S)
        with host.engine("separator", SEPARATOR, job=1) as separator:
            stems = separator.separate(mixed, tmp_path / "stems")
        assert stems.voice.stat().st_size > SMALL_BYTES
        there = orders(machines, "separate")
        before = orders(machines, "voice_activity")
        with host.engine("transcriber", TRANSCRIBER, job=1) as engine:
            for _ in range(4):
                engine.voice_activity(stems.voice)
    given = [
        now - then for now, then in zip(orders(machines, "voice_activity"), before, strict=True)
    ]
    assert given[there.index(max(there))] == sum(given) == 4
    assert sent == ["mix.wav"]
