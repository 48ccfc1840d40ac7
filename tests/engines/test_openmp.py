"""A machine without libgomp can still translate."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dubarr_watch.engines import openmp
from dubarr_watch.errors import ToolMissing


def test_a_system_that_has_it_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openmp, "_system_has_it", lambda: True)
    assert openmp.library_folder(tmp_path / "lib") is None
    assert not (tmp_path / "lib").exists()


def test_a_link_leads_to_the_copy_in_a_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openmp, "_system_has_it", lambda: False)
    folder = openmp.library_folder(tmp_path / "lib")
    assert folder == tmp_path / "lib"
    # A process finds it by the plain name, which is what llama.cpp's library asks for.
    found = subprocess.run(
        [sys.executable, "-c", "import ctypes; ctypes.CDLL('libgomp.so.1'); "
         "print(open('/proc/self/maps').read())"],
        env={"LD_LIBRARY_PATH": str(folder)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "ctranslate2.libs" in found.stdout


def test_a_link_that_leads_nowhere_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openmp, "_system_has_it", lambda: False)
    (tmp_path / "libgomp.so.1").symlink_to(tmp_path / "gone")
    openmp.library_folder(tmp_path)
    assert (tmp_path / "libgomp.so.1").exists()


def test_with_no_copy_anywhere_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openmp, "_system_has_it", lambda: False)
    monkeypatch.setattr(openmp, "_bundled", lambda: None)
    with pytest.raises(ToolMissing, match="apt install libgomp1"):
        openmp.library_folder(tmp_path)
