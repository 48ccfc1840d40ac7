"""What tasks ask for and what workers offer, as leases would have it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dubarr_watch.cluster.members import able, asked, members_of
from dubarr_watch.cluster.orders import Peaks, at_home, portable, stays
from dubarr_watch.cluster.together import Ranges
from dubarr_watch.cluster.worker import resources_of
from dubarr_watch.engines.base import EngineSpec, Need, Speech
from dubarr_watch.engines.crew import Card, Member
from dubarr_watch.errors import LeaseError
from dubarr_watch.gpu.inventory import Gpu, Inventory
from dubarr_watch.gpu.leases import LeaseBroker
from dubarr_watch.gpu.wishes import Rules
from dubarr_watch.settings import load_settings

SMALL = Member("tcp://a:1", "a", (Card("GPU-a", "Small", 0, 8192),), {"vram_mib": 7680, "cpu": 1})
LARGE = Member("tcp://b:1", "b", (Card("GPU-b", "Large", 0, 24576),), {"vram_mib": 24064, "cpu": 1})
PLAIN = Member("tcp://c:1", "c", (), {"cpu": 2})
XTTS = EngineSpec("x:X", need=Need("xtts", 6144))
LLM = EngineSpec("x:X", need=Need("gemma", 10_000))


def test_a_worker_announces_what_leases_hand_out(tmp_path: Path) -> None:
    settings = load_settings(config_dir=tmp_path, gpu_margin_mib=512, cpu_slots=3)
    gpu = Gpu(0, "GPU-a", "Small", "", 8192, 0, 8192)
    assert resources_of(settings, Inventory((gpu,))) == {"vram_mib": 7680, "cpu": 3}
    assert resources_of(settings, Inventory()) == {"cpu": 3}


def test_a_task_asks_for_what_its_lease_would_ask() -> None:
    broker = LeaseBroker((), Rules())
    assert asked("synthesizer", XTTS, [SMALL, LARGE], broker) == {"vram_mib": 6144}
    assert asked("synthesizer", replace(XTTS, need=None), [SMALL], broker) == {"cpu": 1}
    assert asked("translator", LLM, [SMALL, PLAIN], broker) == {"cpu": 1}
    assert able({"vram_mib": 10_000}, [SMALL, LARGE, PLAIN]) == [LARGE]
    assert able({"vram_mib": 7680}, [SMALL]) == [SMALL]
    assert able({"vram_mib": 7681}, [SMALL]) == []


def test_what_the_user_says_or_was_measured_goes_before_the_estimate() -> None:
    told = LeaseBroker((), Rules(engine_mib={"synthesizer": 3000}))
    assert asked("synthesizer", XTTS, [SMALL], told) == {"vram_mib": 3000}
    peaks = Peaks()
    peaks.keep("xtts", "Small", 4000)
    measured = asked("synthesizer", XTTS, [SMALL], LeaseBroker((), Rules(), needs=peaks))
    assert 4000 < measured["vram_mib"] < 6144
    assert peaks.news() == [("xtts", "Small", 4000)]
    assert peaks.news() == []


def test_while_nobody_is_there_a_gpu_is_waited_for() -> None:
    assert asked("synthesizer", XTTS, [], LeaseBroker((), Rules())) == {"vram_mib": 6144}


def test_what_no_worker_can_run_is_refused_with_figures() -> None:
    with pytest.raises(LeaseError, match="10000 MiB"):
        asked("translator", LLM, [SMALL], LeaseBroker((), Rules(cpu_fallback=False)))


def test_somebody_elses_worker_is_none_of_ours() -> None:
    workers: dict[str, dict[str, object]] = {"tcp://z:1": {"resources": {}}}
    assert members_of(workers, {}) == []


def test_an_engine_travels_without_what_is_true_of_one_machine() -> None:
    here, there = Path("/models"), Path("/srv/models")
    spec = EngineSpec("m:C", {"model": here / "whisper", "threads": 16, "beam": 5},
                      need=Need("w", 100, gpu=1))  # fmt: skip
    sent = portable(spec, here)
    assert sent.need is not None
    assert sent.need.gpu is None
    home = at_home(sent, there, {"threads": 2})
    assert dict(home.options) == {"model": there / "whisper", "threads": 2, "beam": 5}


def test_who_holds_a_key_stays_with_the_daemon() -> None:
    assert stays(EngineSpec("m:C", {"api_key": "sk-made-up"}))
    assert not stays(EngineSpec("m:C", {"model": Path("/m")}))


def test_lines_asked_for_at_a_time_go_out_in_ranges_and_come_back_each_to_its_own() -> None:
    from concurrent.futures import ThreadPoolExecutor

    sizes: list[int] = []

    def many(method: str, calls: object) -> list[object]:
        assert isinstance(calls, list)
        sizes.append(len(calls))
        return [Speech(one["target"], 1.0, 24_000) for one in calls]

    ranges = Ranges(many, lambda: 3, lambda: 2)
    paths = [Path(f"/{n}") for n in range(20)]
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda p: ranges.call("synthesize", {"target": p}).path, paths))
    assert found == paths
    assert max(sizes) <= 3
    assert sum(sizes) == 20
