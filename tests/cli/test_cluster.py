"""`doctor` and `plan` of a daemon with EXECUTOR=dask, on a real scheduler and real workers."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import dubarr_watch
from dubarr_watch.cluster import visit
from dubarr_watch.store import Store
from dubarr_watch.store.records import JobState
from tests.cli.conftest import Call, Home
from tests.cli.test_status import a_job
from tests.cluster.clusters import SECRET, Cluster, end_all
from tests.gpu.fake_driver import FIRST, SECOND, build
from tests.programs import free_port
from tests.waiting import eventually

# Apprise imports it where Python still has it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler; each test brings workers of its own."""
    with Cluster(tmp_path_factory.mktemp("cluster")) as found:
        found.start_scheduler()
        yield found


@pytest.fixture
def daemon(home: Home, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The environment of a daemon of that cluster."""
    home.videos.mkdir()
    for name, value in {
        "EXECUTOR": "dask", "SCHEDULER": cluster.address, "CLUSTER_SECRET": SECRET,
        "MOCK_MODE": "true", "PROFILE": "embedded",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return home


@contextmanager
def worker(cluster: Cluster, **more: Any) -> Iterator[None]:
    """A worker for the length of a `with` block, and everybody has seen it end."""
    before = cluster.log("scheduler").count("Register worker")
    process = cluster.start_worker(**more)
    yield
    end_all(process)
    eventually(lambda: cluster.log("scheduler").count("Remove worker") > before, "it is gone")


def checked(call: Call) -> dict[str, str]:
    """Return what the doctor says of the cluster."""
    document = call("doctor", "--json").document
    found: dict[str, str] = next(one for one in document["checks"] if one["name"] == "cluster")
    return found


def test_workers_that_see_the_work_folder_are_all_well(
    call: Call, daemon: Home, cluster: Cluster
) -> None:
    with worker(cluster):
        said = checked(call)
        assert (said["state"], said["found"]) == (
            "ok",
            f"{cluster.address} answers; 1 worker, 0 GPUs. "
            f"All run version {dubarr_watch.__version__} and see WORK_DIR.",
        )
        assert list((daemon.config / "work" / ".cluster").iterdir()) == []  # nothing is left


def test_what_engines_need_is_needed_where_workers_are(call: Call, daemon: Home) -> None:
    document = call("doctor", "--json").document
    told = {one["name"]: one for one in document["checks"]}
    for name in ("models", "gpu", "plan", "speech_process", "translation"):
        assert told[name]["state"] == "skipped"
        assert "EXECUTOR=dask" in told[name]["found"]


def test_without_workers_it_says_that_jobs_wait(call: Call, daemon: Home, cluster: Cluster) -> None:
    said = checked(call)
    assert said["state"] == "warning"
    assert "0 workers" in said["found"]
    assert f"dubarr-watch worker --scheduler {cluster.address}" in said["advice"]


def test_a_worker_that_does_not_share_the_work_folder_is_named(
    call: Call, daemon: Home, cluster: Cluster
) -> None:
    with worker(cluster, PATH_MAP=f"{daemon.config}=/nowhere"):
        said = checked(call)
        assert said["state"] == "warning"
        assert f"{os.uname().nodename} cannot see WORK_DIR" in said["found"]
        assert "PATH_MAP" in said["advice"]


def test_a_worker_without_the_models_is_named(
    call: Call, daemon: Home, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOCK_MODE", "false")
    with worker(cluster):
        said = checked(call)
        assert said["state"] == "failed"
        assert "lacks faster-whisper-base" in said["found"]
        assert "dubarr-watch models pull faster-whisper-base" in said["advice"]


def test_a_worker_of_another_version_is_named(
    call: Call, daemon: Home, cluster: Cluster, tmp_path: Path
) -> None:
    older = tmp_path / "older"
    shutil.copytree(
        Path(dubarr_watch.__file__).parent, older / "dubarr_watch",
        ignore=shutil.ignore_patterns("__pycache__"),
    )  # fmt: skip
    init = older / "dubarr_watch" / "__init__.py"
    init.write_text(re.sub(r'__version__ = ".*"', '__version__ = "0.0.9"', init.read_text()))
    with worker(cluster, PYTHONPATH=str(older), PYTHONSAFEPATH="1"):
        said = checked(call)
        assert said["state"] == "failed"
        assert f"runs version 0.0.9, this machine {dubarr_watch.__version__}" in said["found"]
        assert "same version" in said["advice"]


def test_a_scheduler_that_is_not_there_is_said_to_be_so(
    call: Call, daemon: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visit, "PATIENCE_S", 5.0)
    nobody = f"tcp://127.0.0.1:{free_port()}"
    monkeypatch.setenv("SCHEDULER", nobody)
    said = checked(call)
    assert said["state"] == "failed"
    assert f"The scheduler at {nobody} does not answer" in said["found"]
    assert "refused" in said["found"]
    assert "dubarr-watch scheduler" in said["advice"]
    assert call("plan").exit_code == 1


def test_another_secret_is_told_from_both_sides(
    call: Call, daemon: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of this machine it is found out at once, of a worker by who was refused."""
    with Cluster(tmp_path) as other:
        other.start_scheduler()
        monkeypatch.setenv("SCHEDULER", other.address)
        other.start_worker(wait=False, CLUSTER_SECRET="another-made-up-secret")
        eventually(lambda: "stranger refused" in other.log("scheduler"), "it was refused")
        said = checked(call)
        assert said["state"] == "failed"
        assert "refused 127.0.0.1 within the last minute" in said["found"]
        assert "same CLUSTER_SECRET" in said["advice"]
        monkeypatch.setenv("CLUSTER_SECRET", "a-third-made-up-secret")
        said = checked(call)
        assert said["state"] == "failed"
        assert "does not know the CLUSTER_SECRET of this machine" in said["found"]
        assert "made-up" not in json.dumps(said)


def test_plan_counts_the_cards_of_workers_that_have_no_keys(
    call: Call, daemon: Home, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    store: Store,
) -> None:  # fmt: skip
    """One worker for each card of the machine; what does not fit is said with figures."""
    job = a_job(store, daemon.videos)
    summary = {"stage_seconds": {"transcribe": 90.0, "synthesize": 270.0}, "real_time_factor": 0.2}
    store.jobs.set_result(job.id, "es", JobState.DONE, summary=json.dumps(summary))
    for name, value in {
        "PROFILE": "full", "MOCK_MODE": "false", "HF_TOKEN": "hf_made_up",
        "COQUI_TOS_AGREED": "true", "LLM_BACKEND": "local",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    driver = build(tmp_path, FIRST, SECOND)
    before = cluster.log("scheduler").count("Remove worker")
    with worker(
        cluster, supervised=True, PROFILE="auto", MOCK_MODE="false",
        LD_LIBRARY_PATH=str(driver.folder),
    ):  # fmt: skip
        document = eventually(lambda: _of_two(call), "both cards")
        assert [one["cards"] for one in document["workers"]] == 2 * [[FIRST.name]]
        rows = {row["stage"]: row for row in document["plan"]}
        assert rows["synthesizer"]["where"] == "2 of 2 workers"
        assert rows["synthesizer"]["memory"] == "6144 MiB"
        assert document["hour"]["film_s"] == pytest.approx(720)
        assert document["hour_with_one_more_card"]["film_s"] == pytest.approx(480)
        said = call("plan").stdout
        assert f"2 workers: 2 x {FIRST.name}" in said
        assert "with one more worker like the largest: 8 min at best" in said
        monkeypatch.setenv("ENGINE_MIB", "synthesizer=40000")
        monkeypatch.setenv("CPU_FALLBACK", "false")
        document = call("plan", "--json").document
        rows = {row["stage"]: row for row in document["plan"]}
        assert rows["synthesizer"]["where"] == "0 of 2 workers"
        assert any("needs 40000 MiB" in note for note in document["notes"])
    eventually(lambda: cluster.log("scheduler").count("Remove worker") >= before + 2, "both gone")


def _of_two(call: Call) -> Any:
    document = call("plan", "--json").document
    return document if len(document["workers"]) == 2 else None


def test_described_cards_are_a_worker_each(call: Call, daemon: Home) -> None:
    document = call("plan", "--cards", "2x12GB,8GB", "--json").document
    assert len(document["workers"]) == 3
    assert {row["where"] for row in document["plan"]} == {"3 of 3 workers"}
    assert document["hour"] is None
