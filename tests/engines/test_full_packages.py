"""What is not installed is said before anything is started, with the way to install it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import tomllib

from dubarr_watch.engines.full_packages import full_packages_missing, require_full_packages
from dubarr_watch.engines.placing import look_for_devices
from dubarr_watch.errors import ToolMissing
from dubarr_watch.settings import Profile, load_settings

ROOT = Path(__file__).parents[2]


def test_with_make_full_nothing_is_missing() -> None:
    assert full_packages_missing() == []
    require_full_packages(load_settings(tts_model="elevenlabs"))


def test_what_is_missing_is_named_with_the_way_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = importlib.util.find_spec

    def without_two(name: str, package: str | None = None) -> object:
        if name.startswith("pyannote"):
            raise ModuleNotFoundError(name)  # as for a submodule whose parent is not there
        return None if name == "torch" else real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without_two)
    assert full_packages_missing() == ["torch", "pyannote.audio"]
    assert full_packages_missing(["torch", "demucs"]) == ["torch"]
    with pytest.raises(ToolMissing, match=r"torch, pyannote\.audio") as caught:
        require_full_packages(load_settings())
    assert "make full" in caught.value.hint
    assert caught.value.exit_code == 4


def test_the_package_of_elevenlabs_is_wanted_by_who_chose_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Everybody else can do without it."""
    real = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> object:
        return None if name == "elevenlabs" else real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    require_full_packages(load_settings(tts_model="xtts"))
    with pytest.raises(ToolMissing, match="TTS_MODEL=elevenlabs needs the package") as caught:
        require_full_packages(load_settings(tts_model="elevenlabs"))
    assert "make full" in caught.value.hint
    chosen = load_settings(
        profile="full", tts_model="elevenlabs", elevenlabs_api_key="made-up", hf_token="made-up",
        openai_api_key="made-up",
    )  # fmt: skip
    with pytest.raises(ToolMissing, match="TTS_MODEL=elevenlabs"):
        look_for_devices(Profile.FULL, chosen)


def test_a_look_imports_none_of_them() -> None:
    """torch alone would take seconds and hundreds of MB from the daemon."""
    code = (
        "import sys; from dubarr_watch.engines.full_packages import full_packages_missing;"
        "full_packages_missing();"
        "print([m for m in ('torch', 'demucs', 'pyannote.audio') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_it_looks_for_every_package_of_the_extra() -> None:
    """pyproject.toml's extra `full` and the list are one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extra = project["optional-dependencies"]["full"]
    names = {one.partition(">")[0] for one in extra}
    known = {name for name in names if full_packages_missing([name]) == []}
    assert known == names
    assert full_packages_missing(["no-such-package"]) == []
