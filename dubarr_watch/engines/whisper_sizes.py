"""How much GPU memory each size of Whisper takes, and what to do with the memory that is leased."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from dubarr_watch.engines.base import Need, Place
from dubarr_watch.settings import WhisperModel

_MIB = 2**20

# Measured on two cores: batches of 4 are as fast as 8 and 16 and hold 200 MiB less.
_CPU_BATCH = 4
_GPU_BATCH = 8
# How far an estimate may lie above a lease: a lease that was learned from a run lies below the
# estimate when that is too high, and the same run must fit into it again.
_SLACK = 1.1
# With fewer windows at once in float16, int8 with more of them is faster.
_LEAST_FULL_BATCH = 2


@dataclass(frozen=True, slots=True)
class Size:
    """One size of Whisper.

    Attributes:
        weights_mib: Weights in float16: two bytes for each parameter (39 to 1550 million, Radford
            et al. 2022, table 1); half of it in int8.
        window_mib: What one more window in a batch takes: keys and values of cross-attention,
            layers x 1500 positions x width x 2, two bytes each.
        work_mib: Everything else with one window and a beam of 5.
    """

    weights_mib: int
    window_mib: int
    work_mib: int


# Large: 4525 MB in float16 alone, 6090 MB with a batch of 8, 2926 and 4500 MB in int8, as
# faster-whisper's README measured large-v2, which this table meets within 4 %. How `work_mib`
# shrinks with the size is an estimate.
SIZES = {
    WhisperModel.TINY: Size(74, 9, 750),
    WhisperModel.BASE: Size(141, 18, 800),
    WhisperModel.SMALL: Size(465, 53, 1000),
    WhisperModel.MEDIUM: Size(1467, 141, 1150),
    WhisperModel.LARGE_V3: Size(2956, 234, 1335),
}


@dataclass(frozen=True, slots=True)
class Precision:
    """How a model is loaded and used.

    Attributes:
        device: CTranslate2's: `cuda` or `cpu`.
        compute_type: CTranslate2's.
        batch: Windows heard at once.
    """

    device: str
    compute_type: str
    batch: int


def whisper_need(model: WhisperModel) -> Need:
    """Return what a size needs: float16 and eight windows at once.

    It runs on the CPU too, in int8. CTranslate2 knows no MPS, so on Apple's GPUs it does as well.
    """
    return Need(f"whisper {model}", _estimate_mib(SIZES[model], "float16", _GPU_BATCH))


def choose_precision(folder: Path, place: Place, supported: Collection[str] = ()) -> Precision:
    """Fit a model into a lease.

    Args:
        folder: The model; its size on disk tells which one it is.
        place: The lease. Any but a CUDA device means the CPU.
        supported: Compute types that the device has, as CTranslate2 lists them.

    Returns:
        Float16 with up to eight windows at once, or int8 with as many as there is room for.
    """
    if place.kind != "cuda":
        return Precision("cpu", "int8", _CPU_BATCH)
    full = "float16" if "float16" in supported else "float32"
    small = next((t for t in ("int8_float16", "int8_float32", "int8") if t in supported), full)
    if place.frugal:
        return Precision("cuda", small, 1)
    size = _size_of(folder)
    batch = _room(size, full, place.mib)
    if batch >= _LEAST_FULL_BATCH:
        return Precision("cuda", full, batch)
    return Precision("cuda", small, max(1, _room(size, small, place.mib)))


def _size_of(folder: Path) -> Size:
    """Return the size whose weights are nearest; files on the hub are in float16."""
    mib = (folder / "model.bin").stat().st_size / _MIB
    return min(SIZES.values(), key=lambda size: abs(size.weights_mib - mib))


def _weights_mib(size: Size, compute_type: str) -> float:
    if compute_type.startswith("int8"):
        return size.weights_mib / 2
    return size.weights_mib * (2 if compute_type == "float32" else 1)


def _window_mib(size: Size, compute_type: str) -> int:
    return size.window_mib * (2 if compute_type.endswith("float32") else 1)


def _estimate_mib(size: Size, compute_type: str, batch: int) -> int:
    weights_mib = _weights_mib(size, compute_type)
    return round(weights_mib + batch * _window_mib(size, compute_type) + size.work_mib)


def _room(size: Size, compute_type: str, mib: int) -> int:
    """Return how many windows fit at once, up to the largest batch; a lease of 0 has no limit."""
    if not mib:
        return _GPU_BATCH
    left_mib = mib * _SLACK - _estimate_mib(size, compute_type, 0)
    return min(int(left_mib // _window_mib(size, compute_type)), _GPU_BATCH)
