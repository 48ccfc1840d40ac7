"""Known holes in packages are never taken for a list that could not be reached."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.programs import ROOT

SCRIPT = ROOT / "requirements" / "audit.py"
SOUND = {"name": "sound", "version": "1.0", "vulns": []}
HOLED = {"name": "holed", "version": "2.0", "vulns": [
    {"id": "MADE-UP-2026-1", "fix_versions": ["2.1"], "aliases": [], "description": "HTTPError"},
]}  # fmt: skip
UNKNOWN = {"name": "unknown", "skip_reason": "Dependency not found on PyPI: ConnectionError"}


def audit(folder: Path, said: str, code: int, *, required: bool) -> tuple[int, str]:
    """Run the script with a stand-in for pip-audit."""
    (folder / "pip_audit.py").write_text(
        f"import sys\nprint({said!r})\nprint('ConnectionError', file=sys.stderr)\nsys.exit({code})"
    )
    (folder / "list.txt").write_text("")
    told = {**os.environ, "PYTHONPATH": str(folder), "AUDIT_REQUIRED": "1" if required else ""}
    done = subprocess.run(
        [sys.executable, SCRIPT, folder / "list.txt"],
        capture_output=True, text=True, check=False, env=told,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def document(*found: dict[str, Any]) -> str:
    return json.dumps({"dependencies": found, "fixes": []})


@pytest.mark.parametrize("required", [False, True])
def test_a_hole_is_told_though_others_could_not_be_looked_up(
    tmp_path: Path, *, required: bool
) -> None:
    code, told = audit(tmp_path, document(UNKNOWN, HOLED, SOUND), 1, required=required)
    assert code == 1
    assert "holed 2.0: MADE-UP-2026-1, mended in 2.1" in told
    assert "2 packages looked up, 1 holes" in told
    assert "Not looked up, because the list does not answer: 1 of 3" in told


@pytest.mark.parametrize(
    ("said", "code"), [(document(UNKNOWN), 0), (document(UNKNOWN, SOUND), 0), ("", 1)]
)
def test_what_could_not_be_looked_up_is_told_and_fails_where_that_is_asked(
    tmp_path: Path, said: str, code: int
) -> None:
    for required in (False, True):
        ended, told = audit(tmp_path, said, code, required=required)
        assert ended == int(required)
        assert "Not looked up" in told


def test_sound_packages_are_sound(tmp_path: Path) -> None:
    code, told = audit(tmp_path, document(SOUND, SOUND), 0, required=True)
    assert (code, "2 packages looked up, 0 holes" in told) == (0, True)
    assert "Not looked up" not in told
