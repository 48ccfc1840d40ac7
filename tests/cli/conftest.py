"""The command line, called as a person does, on a folder of its own."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from dubarr_watch.cli import main
from dubarr_watch.settings import Settings
from dubarr_watch.store import Store


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """The one JSON document that is all of standard output."""
        return json.loads(self.stdout)


Call = Callable[..., Said]


@dataclass(frozen=True)
class Home:
    """The folders that the environment names."""

    config: Path
    videos: Path
    models: Path

    @property
    def database(self) -> Path:
        return self.config / "dubarr.db"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)
    found = Home(tmp_path / "config", tmp_path / "videos", tmp_path / "models")
    monkeypatch.setenv("CONFIG_DIR", str(found.config))
    monkeypatch.setenv("VIDEOS_DIR", str(found.videos))
    monkeypatch.setenv("MODELS_DIR", str(found.models))
    return found


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with Store.open(home.database) as opened:
        yield opened


@pytest.fixture
def call(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Call]:
    """Call a command in this process; returns its exit code and what it wrote."""

    def run(*arguments: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["dubarr-watch", *(os.fspath(one) for one in arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        written = capsys.readouterr()
        return Said(code, written.out, written.err)

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield run
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
