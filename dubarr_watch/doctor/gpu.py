"""GPUs: whether there is one, whether it answers, and whether programs may use it."""

from __future__ import annotations

import contextlib

import psutil

from dubarr_watch.doctor.result import CheckResult, failed, ok, warning
from dubarr_watch.errors import DeviceError, KeyMissing
from dubarr_watch.gpu.deadline import NoAnswer, Watchdog
from dubarr_watch.gpu.devices import (
    CudaDevice,
    DriverState,
    Gpu,
    Inventory,
    match_devices,
    read_inventory,
)
from dubarr_watch.gpu.identity import cuda_devices
from dubarr_watch.settings import Device, Profile, Settings, in_words, resolve_profile

CUDA_S = 60.0
"""It starts within a second or two, or never."""

_SLOW = "Without one the large models run on the CPU, many times slower"
_MOST_HOLDERS = 3


def check_gpu(name: str, settings: Settings) -> CheckResult:
    """Look for GPUs as the daemon does; for small models it is no more than a piece of news."""
    if not _wants_one(settings):
        return _news(name, read_inventory())
    try:
        inventory = read_inventory(settings.device)
    except DeviceError as error:
        return failed(name, error.message, error.hint)
    result = inventory_result(name, inventory, settings)
    if any(gpu.kind == "cuda" for gpu in inventory.gpus) and not result.advice:
        return cuda_result(result, inventory)
    return result


def inventory_result(name: str, inventory: Inventory, settings: Settings) -> CheckResult:
    """Return what GPUs, or their absence, mean for the full profile."""
    if not inventory.gpus:
        return _none_result(name, inventory, settings)
    found = _listed(inventory)
    if "gpu_tts" in settings.model_fields_set and inventory.by_index(settings.gpu_tts) is None:
        there = in_words([str(index) for index in sorted({gpu.index for gpu in inventory.gpus})])
        return failed(
            name,
            f"GPU_TTS={settings.gpu_tts}, but the GPUs that may be used are: {there}. {found}",
            "Set GPU_TTS to one of them, or leave it unset.",
        )
    if inventory.faults:
        lost = inventory.faults[0]
        words = f"GPU {lost.index} does not answer: {lost.words.rstrip('.')}. {found}"
        return warning(name, words, lost.hint)
    if inventory.notes:
        return warning(name, found, " ".join(inventory.notes))
    return ok(name, found)


def cuda_result(result: CheckResult, inventory: Inventory) -> CheckResult:
    """Return whether CUDA sees what the driver lists: a container may get only half of it."""
    try:
        devices = Watchdog().call("cuda", cuda_devices, seconds=CUDA_S)
    except NoAnswer as error:
        return failed(
            result.name,
            f"{result.found} But no program can compute on it: CUDA hangs, {error}.",
            "Restart the machine; when it happens again, look at `dmesg | grep -i xid`.",
        )
    except DeviceError as error:
        return failed(
            result.name,
            f"{result.found} But no program can compute on it: {error.message}",
            f"{error.hint} A container also needs NVIDIA_DRIVER_CAPABILITIES=compute,utility.",
        )
    unseen = _unseen(inventory, devices)
    if unseen:
        return failed(
            result.name,
            f"{result.found} But CUDA does not see {in_words([gpu.uuid for gpu in unseen])}.",
            "Is the container given all of them? `nvidia-smi -L` lists what the driver sees.",
        )
    return result


def _wants_one(settings: Settings) -> bool:
    if settings.mock_mode:
        return False
    try:
        return resolve_profile(settings) is Profile.FULL
    except KeyMissing:
        return True  # full was asked for; what it lacks is said elsewhere


def _news(name: str, inventory: Inventory) -> CheckResult:
    if inventory.gpus:
        return ok(name, f"{_listed(inventory)} The small models do not use it.")
    return ok(name, f"{inventory.problem} The small models need none.")


def _none_result(name: str, inventory: Inventory, settings: Settings) -> CheckResult:
    if settings.device is Device.CPU:
        return ok(name, f"{inventory.problem} The large models run on the CPU, as asked.")
    if not settings.cpu_fallback:
        return failed(
            name,
            f"{inventory.problem} CPU_FALLBACK=false: nothing can be dubbed.",
            inventory.hint or "Set CPU_FALLBACK=true to dub without one.",
        )
    if inventory.state is DriverState.FAILS or inventory.faults:
        return failed(name, inventory.problem, f"{inventory.hint} {_SLOW}.".strip())
    advice = f"{inventory.hint} {_SLOW}; PROFILE=embedded uses small ones.".strip()
    return warning(name, inventory.problem, advice)


def _listed(inventory: Inventory) -> str:
    parts = [_told(gpu) for gpu in inventory.gpus]
    if inventory.hidden:
        parts.append(f"CUDA_VISIBLE_DEVICES hides {len(inventory.hidden)} more")
    if inventory.split:
        cards = in_words([str(gpu.index) for gpu in inventory.split])
        parts.append(f"card {cards} is divided (MIG): each part is used by itself")
    driver = f"; driver {inventory.driver}" if inventory.driver else ""
    return f"{'; '.join(parts)}{driver}."


def _told(gpu: Gpu) -> str:
    if gpu.kind == "mps":
        return f"{gpu.name} (MPS): it may use {gpu.total_mib} MiB of the machine's memory"
    part = f"{gpu.index} {gpu.name}: {gpu.free_mib} of {gpu.total_mib} MiB free"
    holders = [_held(one.pid, one.mib) for one in gpu.processes[:_MOST_HOLDERS]]
    return f"{part} (used by {', '.join(holders)})" if holders else part


def _held(pid: int, mib: int | None) -> str:
    who = f"process {pid}"
    # In a container the number is the host's, and names nothing here.
    with contextlib.suppress(psutil.Error):
        who = f"{psutil.Process(pid).name()} ({pid})"
    return who if mib is None else f"{who} with {mib} MiB"


def _unseen(inventory: Inventory, devices: list[CudaDevice]) -> list[Gpu]:
    if inventory.split and devices:
        return []  # beside a part of a card, CUDA shows a program nothing else
    seen = {gpu.uuid for gpu in match_devices(inventory.gpus, devices).values()}
    return [gpu for gpu in inventory.gpus if gpu.uuid not in seen]
