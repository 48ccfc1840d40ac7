"""The device that XTTS runs on: is it the right one, and has it room?"""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Iterator

from tts_sidecar.errors import OutOfMemory, WrongDevice

# CUDA has a class of its own for it; the CPU's allocator, Metal and the mathematical libraries,
# oneDNN the vaguest of them, say it in words.
_NO_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "ALLOC_FAILED",
    "could not create a primitive",
)


def check_device(device: str, uuid: str) -> None:
    """Raise WrongDevice when the first device of that kind is missing or not the one given."""
    import torch

    if device == "mps" and not torch.backends.mps.is_available():
        raise WrongDevice("This machine has no Metal GPU.", hint="Set DEVICE=cpu.")
    if device != "cuda":
        return
    if not torch.cuda.is_available():
        raise WrongDevice(
            "The speech process sees no NVIDIA GPU.",
            hint="Run `dubarr-watch doctor`: it says what the driver answers.",
        )
    seen = str(torch.cuda.get_device_properties(0).uuid)
    if uuid and not is_same_gpu(uuid, seen, os.environ.get("CUDA_VISIBLE_DEVICES", "")):
        raise WrongDevice(
            f"The speech process was given the GPU {uuid} and sees {seen}.",
            hint="Run `dubarr-watch doctor`: it says how the GPUs are mapped.",
        )


def is_same_gpu(given: str, seen: str, visible: str) -> bool:
    """Tell whether a GPU is the one that NVML calls so.

    Args:
        given: NVML's UUID: `GPU-...`, or `MIG-...` for a part of one.
        seen: torch's, which has no prefix and, for a part, may be that of the whole.
        visible: CUDA_VISIBLE_DEVICES; when it names just this part, nothing else can be seen.
    """
    bare = given.lower().removeprefix("gpu-").removeprefix("mig-")
    same = seen.lower().removeprefix("gpu-").removeprefix("mig-") == bare
    return same or (given.startswith("MIG-") and visible == given)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error of any library means that memory ran out."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY)


@contextlib.contextmanager
def memory_errors(message: str) -> Iterator[None]:
    """Turn any kind of running out of memory into OutOfMemory.

    Args:
        message: What did not fit.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        # The frames in which it happened hold tensors, which would fill the device further.
        traceback.clear_frames(error.__traceback__)
        why = next(iter(str(error).splitlines()), "")
        raise OutOfMemory(
            f"{message} {why}".strip(), hint="Give it more memory, or fewer lines at once."
        ) from None
