"""What `dubarr-watch doctor` says of GPUs, each case with its way out."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

from dubarr_watch.doctor import CHECKS, CheckResult, CheckState, examine, gpu
from dubarr_watch.gpu import nvml
from dubarr_watch.settings import load_settings
from tests.gpu.fake_driver import (
    FIRST,
    HANGS,
    MISMATCH,
    SECOND,
    Card,
    FakeDriver,
    Part,
    build,
    no_driver,
)

FULL: dict[str, object] = {
    "profile": "full",
    "openai_api_key": "sk-x",
    "hf_token": "hf_x",
    "coqui_tos_agreed": True,
}
EMBEDDED: dict[str, object] = {"profile": "embedded"}


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFIG_DIR", str(tmp_path / "config"))


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[FakeDriver]:
    with build(tmp_path).installed() as installed:
        yield installed


def check(settings: dict[str, object], **more: object) -> CheckResult:
    """Run the check as the doctor does."""
    (result,) = examine(load_settings(**settings, **more), {"gpu": CHECKS["gpu"]})
    return result


def test_all_is_well(driver: FakeDriver) -> None:
    """Each card with its memory, who holds it, and the driver's version."""
    driver.hold(SECOND.uuid, os.getpid(), 1200, tied=False)
    driver.hold(SECOND.uuid, 2**22 + 7, 300, tied=False)
    result = check(FULL)
    assert (result.state, result.advice) == (CheckState.OK, "")
    assert "0 NVIDIA GeForce RTX 3090: 24000 of 24000 MiB free;" in result.found
    assert "1 NVIDIA GeForce RTX 3090: 22500 of 24000 MiB free" in result.found
    assert f"({os.getpid()}) with 1200 MiB, process {2**22 + 7} with 300 MiB" in result.found
    assert "driver 580.65.06" in result.found


def test_no_driver_is_a_warning_for_large_models_only() -> None:
    """They run, slowly; the small ones lack nothing."""
    with no_driver():
        result = check(FULL)
        assert result.state is CheckState.WARNING
        assert "no NVIDIA driver" in result.found
        assert "install its driver" in result.advice
        assert "many times slower" in result.advice
        small = check(EMBEDDED)
        assert (small.state, small.advice) == (CheckState.OK, "")
        assert "need none" in small.found


def test_no_gpu_is_a_failure_where_the_cpu_is_forbidden() -> None:
    with no_driver():
        result = check(FULL, cpu_fallback=False)
    assert result.state is CheckState.FAILED
    assert "CPU_FALLBACK=false" in result.found


def test_a_gpu_that_was_asked_for_and_is_not_there_is_a_failure() -> None:
    with no_driver():
        result = check(FULL, device="cuda")
    assert result.state is CheckState.FAILED
    assert "DEVICE=cuda" in result.found
    assert "leave DEVICE unset" in result.advice


def test_the_cpu_that_was_asked_for_is_fine(driver: FakeDriver) -> None:
    """A driver that fails is not even asked."""
    driver.fail(MISMATCH)
    result = check(FULL, device="cpu")
    assert result.state is CheckState.OK
    assert "DEVICE=cpu" in result.found


def test_a_driver_that_fails_is_told_with_what_to_do(driver: FakeDriver) -> None:
    driver.fail(MISMATCH)
    result = check(FULL)
    assert result.state is CheckState.FAILED
    assert "version mismatch" in result.found
    assert "restart the machine" in result.advice
    assert check(EMBEDDED).state is CheckState.OK


def test_a_lost_card_is_told_beside_the_one_that_works(driver: FakeDriver) -> None:
    driver.lose(FIRST.uuid)
    result = check(FULL)
    assert result.state is CheckState.WARNING
    assert result.found.startswith("GPU 0 does not answer: GPU is lost. 1 NVIDIA GeForce RTX 3090")
    assert "power" in result.advice
    driver.lose(SECOND.uuid)
    assert check(FULL).state is CheckState.FAILED


def test_a_card_that_hangs_is_told_beside_the_one_that_works(
    driver: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvml, "ANSWER_S", 0.4)
    driver.hang(FIRST.uuid)
    result = check(FULL)
    assert result.state is CheckState.WARNING
    assert result.found.startswith("GPU 0 does not answer: it said nothing for 0.4 seconds. 1 NV")
    assert "restart the machine" in result.advice
    driver.find_again(FIRST.uuid)


def test_a_cuda_that_hangs_is_told(driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver lists the card, and no program can start on it."""
    monkeypatch.setattr(gpu, "CUDA_S", 0.4)
    driver.set(cuda_code=HANGS)
    result = check(FULL)
    assert result.state is CheckState.FAILED
    assert "CUDA hangs, it said nothing for 0.4 seconds" in result.found
    driver.set(cuda_code=0)


def test_parts_of_a_card_are_listed(tmp_path: Path) -> None:
    """With the word that the card itself is not used; CUDA would show one part only."""
    card = Card("GPU-44444444-aaaa-4bbb-8ccc-000000000004", bus="00000000:41:00.0", split=True)
    parts = [
        Part(card.uuid, "MIG-55555555-aaaa-5bbb-8ccc-000000000005"),
        Part(card.uuid, "MIG-66666666-aaaa-5bbb-8ccc-000000000006"),
    ]
    with build(tmp_path, FIRST, card, parts=parts, cuda_order=[parts[0].uuid]).installed():
        result = check(FULL)
        assert result.state is CheckState.OK
        assert result.found.count("MIG 1g.5gb: 4864 of 4864 MiB free") == 2
        assert "card 1 is divided (MIG)" in result.found


def test_a_card_in_mig_mode_without_parts_is_told(tmp_path: Path) -> None:
    card = Card("GPU-44444444-aaaa-4bbb-8ccc-000000000004", split=True)
    with build(tmp_path, card).installed():
        result = check(FULL)
    assert result.state is CheckState.WARNING
    assert "MIG mode" in result.found
    assert "-mig 0" in result.advice


def test_hidden_cards_are_told(driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them: a warning; some of them: news; a word that means nothing: a warning."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    hidden = check(FULL)
    assert hidden.state is CheckState.WARNING
    assert "CUDA_VISIBLE_DEVICES= hides every GPU" in hidden.found
    assert "nvidia-smi -L" in hidden.advice
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", SECOND.uuid)
    some = check(FULL)
    assert some.state is CheckState.OK
    assert "hides 1 more" in some.found
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"{SECOND.uuid},GPU-9")
    wrong = check(FULL)
    assert wrong.state is CheckState.WARNING
    assert "GPU-9" in wrong.advice


@pytest.mark.parametrize(("index", "state"), [(1, CheckState.OK), (2, CheckState.FAILED)])
def test_gpu_tts_must_name_a_card(driver: FakeDriver, index: int, state: CheckState) -> None:
    """Both sides of the last index."""
    result = check(FULL, gpu_tts=index)
    assert result.state is state
    assert ("GPU_TTS=2, but the GPUs that may be used are: 0 and 1." in result.found) is (
        index == 2
    )


def test_gpu_tts_unset_names_none(driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its default is no wish: card 0 may be hidden."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert check(FULL).state is CheckState.OK
    assert check(FULL, gpu_tts=0).state is CheckState.FAILED


def test_a_driver_without_cuda_is_told(driver: FakeDriver) -> None:
    """nvidia-smi works in such a container, and nothing else does."""
    driver.set(cuda_code=999)
    result = check(FULL)
    assert result.state is CheckState.FAILED
    assert "CUDA does not start" in result.found
    assert "compute,utility" in result.advice


def test_a_card_that_cuda_does_not_see_is_told(driver: FakeDriver) -> None:
    driver.set(cuda_order=[FIRST.uuid])
    result = check(FULL)
    assert result.state is CheckState.FAILED
    assert f"CUDA does not see {SECOND.uuid}" in result.found


def test_an_apple_machine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    result = check(FULL)
    assert result.state is CheckState.OK
    assert "Apple GPU (MPS)" in result.found


def test_small_models_only_hear_of_a_gpu(driver: FakeDriver) -> None:
    """Neither a lost card nor a wrong GPU_TTS concerns them."""
    driver.lose(FIRST.uuid)
    result = check(EMBEDDED, gpu_tts=7)
    assert result.state is CheckState.OK
    assert "do not use it" in result.found


def test_full_without_its_keys_still_hears_of_its_gpu(driver: FakeDriver) -> None:
    """What is missing elsewhere hides nothing here."""
    assert "24000 MiB" in check({"profile": "full"}).found
