"""cuBLAS 12, which CTranslate2 opens by name while torch brings the one of CUDA 13.

CTranslate2 4.8 asks for `libcublas.so.12` at the first computation on a GPU and for no cuDNN. The
wheel nvidia-cublas-cu12 has it, in a folder where no process looks by itself: model processes get
the folder in LD_LIBRARY_PATH. torch, which opens whatever cuBLAS wheels it finds, is not disturbed:
the symbols of both carry their version.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

# cuBLAS 12.9 compiles some kernels when they are first used, with the NVRTC of the same wheels.
_PACKAGES = ("nvidia.cublas", "nvidia.cuda_nvrtc")


def library_folders() -> list[Path]:
    """Return the folders to add to a model process's LD_LIBRARY_PATH; none without the wheels."""
    folders = [folder / "lib" for package in _PACKAGES for folder in _locations(package)]
    return [folder for folder in folders if any(folder.glob("lib*.so.12"))]


def _locations(package: str) -> list[Path]:
    try:
        found = importlib.util.find_spec(package)  # found, not imported
    except ModuleNotFoundError:
        return []
    if found is None or found.submodule_search_locations is None:
        return []
    return [Path(location) for location in found.submodule_search_locations]
