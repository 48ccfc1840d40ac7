"""The one table of what the program survives: it counts, and it fails when anything was lost."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import resilience
from benchmarks.resilience import FAULTS, PARTS, TESTS, Row, run_cases


def part(*rows: Row | str) -> Any:
    def kills(folder: Path, seed: int, *, long: bool) -> Iterator[Row | str]:
        assert folder.is_dir()
        yield from rows

    return kills


@pytest.mark.parametrize("lost", [0, 2])
def test_the_table_says_how_often_and_ends_with_1_when_something_was_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lost: int
) -> None:
    rows = (Row("kills survived", 1240, lost, ("a job",) * lost), "## Kills\n\nmore")
    monkeypatch.setattr(resilience, "PARTS", (part(*rows),))
    monkeypatch.setattr(sys, "argv", ["resilience"])
    assert resilience.main() == int(lost > 0)
    told = capsys.readouterr().out
    assert f"| kills survived | 1,240 | {lost} |" in told
    assert told.count("- kills survived: a job") == lost
    assert "## Kills" in told


def test_every_part_and_every_fault_is_there() -> None:
    assert [one.__name__ for one in PARTS] == [
        "kills", "week", "faults", "inputs", "secrets", "requests",
    ]  # fmt: skip
    missing = [name for files in FAULTS.values() for name in files if not (TESTS / name).exists()]
    assert missing == []


def test_faults_are_counted_and_failures_among_them_named(tmp_path: Path) -> None:
    """A case that fails is one that was lost."""
    case = tmp_path / "test_made_up.py"
    case.write_text(
        "import pytest\ndef test_a(): pass\ndef test_b(): assert 0\ndef test_c(): pytest.skip()\n"
    )
    ran, failed = run_cases([case], tmp_path)
    assert ran == 2
    assert [name.rpartition("::")[2] for name in failed] == ["test_b"]
