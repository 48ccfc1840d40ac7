"""The real speech process, started from its own environment."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.sidecar.process import TOKEN, Sidecar

StartSidecar = Callable[..., Sidecar]

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / "tts_sidecar" / ".venv" / "bin" / "python"


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """Folder of the embedded models, as `make models` fills it."""
    folder = Path(os.environ.get("MODELS_DIR") or Path.home() / ".cache/dubarr-watch/models")
    model = folder / "kokoro-82m-v1.0-int8" / "model.onnx"
    if not model.is_file():
        pytest.fail(f"{model} is missing; run `make models` or set MODELS_DIR.")
    return folder


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this test run share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `python -m tts_sidecar` with arguments; killed at the end if still running.

    Further keywords are variables of its environment.
    """
    with ExitStack() as stack:

        def start(
            *arguments: str, token: str | None = TOKEN, **variables: str
        ) -> subprocess.Popen[str]:
            process = _popen(arguments, token, tmp_path, variables)
            stack.callback(_reap, process)
            return process

        yield start


@pytest.fixture
def start_sidecar(launch: Callable[..., subprocess.Popen[str]]) -> Iterator[StartSidecar]:
    """Start a sidecar on a free port and wait until it listens."""
    with ExitStack() as stack:

        def start(*arguments: str, **variables: str) -> Sidecar:
            sidecar = Sidecar.listening(launch("--port", "0", *arguments, **variables))
            stack.callback(sidecar.client.close)
            return sidecar

        yield start


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One fake sidecar for a module's tests."""
    with shared_sidecar(["--engine", "fake"], tmp_path_factory.mktemp("scratch")) as client:
        yield client


@pytest.fixture(scope="module")
def kokoro(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[httpx.Client]:
    """One Kokoro sidecar for a module's tests."""
    arguments = ["--engine", "kokoro", "--models-dir", str(models_dir)]
    with shared_sidecar(arguments, tmp_path_factory.mktemp("scratch")) as client:
        yield client


@pytest.fixture(scope="module")
def espeak_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One Kokoro sidecar whose models folder is empty."""
    empty = tmp_path_factory.mktemp("models")
    arguments = ["--engine", "kokoro", "--models-dir", str(empty)]
    with shared_sidecar(arguments, tmp_path_factory.mktemp("scratch")) as client:
        yield client


@contextmanager
def shared_sidecar(
    arguments: list[str], scratch: Path, variables: Mapping[str, str] | None = None
) -> Iterator[httpx.Client]:
    """Run a sidecar for several tests; the client knows its token."""
    process = _popen(["--port", "0", *arguments], TOKEN, scratch, variables or {})
    try:
        sidecar = Sidecar.listening(process)
        with sidecar.client:
            yield sidecar.client
    finally:
        _reap(process)


def _popen(
    arguments: Sequence[str], token: str | None, scratch: Path, variables: Mapping[str, str]
) -> subprocess.Popen[str]:
    unset = ("TTS_SIDECAR_TOKEN", "COQUI_TOS_AGREED")
    environment = {key: value for key, value in os.environ.items() if key not in unset}
    environment |= {"TMPDIR": str(scratch), **variables}
    if token is not None:
        environment["TTS_SIDECAR_TOKEN"] = token
    return subprocess.Popen(
        [str(PYTHON), "-m", "tts_sidecar", *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _reap(process: subprocess.Popen[str]) -> None:
    if process.stdin is not None and process.stdin.closed:
        process.stdin = None  # a test has closed it; communicate would flush it
    if process.poll() is None:
        process.terminate()
    try:
        process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
