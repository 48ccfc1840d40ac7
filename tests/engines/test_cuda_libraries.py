"""CTranslate2 finds cuBLAS 12 beside a torch that brings cuBLAS 13."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dubarr_watch.engines.cuda_libraries import library_folders

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="CUDA is for Linux")


@ON_LINUX
def test_the_folders_hold_what_ctranslate2_asks_for() -> None:
    """The name is the one that is written in CTranslate2's own library."""
    found = importlib.util.find_spec("ctranslate2")
    assert found is not None
    assert found.origin is not None
    libraries = Path(found.origin).parents[1] / "ctranslate2.libs"
    (library,) = libraries.glob("libctranslate2*")
    body = library.read_bytes()
    assert b"libcublas.so.12" in body
    assert b"libcudnn" not in body
    assert any((folder / "libcublas.so.12").is_file() for folder in library_folders())


@ON_LINUX
@pytest.mark.parametrize("name", ["libcublas.so.12", "libcublasLt.so.12", "libnvrtc.so.12"])
def test_a_process_with_these_folders_opens_it_by_name(name: str) -> None:
    """Without a GPU too, and from the wheel."""
    path = os.pathsep.join(str(folder) for folder in library_folders())
    code = f"import ctypes; ctypes.CDLL({name!r}); print(open('/proc/self/maps').read())"
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={"LD_LIBRARY_PATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    opened = {line.split()[-1] for line in said.stdout.splitlines() if line.endswith(name)}
    assert {str(Path(one).parent) for one in opened} <= {str(f) for f in library_folders()}
    assert opened


@ON_LINUX
def test_torch_is_not_disturbed() -> None:
    """It opens its own cuBLAS, whose symbols carry the version that its libraries ask for."""
    path = os.pathsep.join(str(folder) for folder in library_folders())
    code = (
        "import torch; print(float(torch.ones(2, 2).mm(torch.ones(2, 2)).sum()));"
        "print(open('/proc/self/maps').read())"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"LD_LIBRARY_PATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.startswith("8.0")
    assert "libcublas.so.13" in said.stdout


def test_without_the_wheels_there_is_nothing_to_add(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", _no_such_package)
    assert library_folders() == []


def _no_such_package(name: str) -> None:
    raise ModuleNotFoundError(name)
