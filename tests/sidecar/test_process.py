"""Start and end of the process."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from tests.sidecar.conftest import StartSidecar
from tests.sidecar.process import ask

Launch = Callable[..., subprocess.Popen[str]]
DEADLINE_S = 10


@pytest.mark.parametrize("token", [None, "", "  "])
def test_without_a_token_it_does_not_start(launch: Launch, token: str | None) -> None:
    process = launch("--engine", "fake", "--port", "0", token=token)
    out, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 2
    assert out == ""
    assert errors.count("\n") == 1
    assert "TTS_SIDECAR_TOKEN" in errors


@pytest.mark.parametrize(
    "arguments",
    [["--engine", "xyz"], ["--port", "65536"], ["--port", "-1"], ["--threads", "0"], ["--nope"]],
)
def test_wrong_arguments_end_with_code_two(launch: Launch, arguments: list[str]) -> None:
    process = launch(*arguments)
    _, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 2
    assert "usage" in errors


def test_it_listens_on_the_loopback_address_alone(start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar("--engine", "fake")
    listening = [
        connection.laddr
        for connection in psutil.Process(sidecar.process.pid).net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening == [("127.0.0.1", sidecar.port)]


def test_a_taken_port_is_an_error_of_one_line(launch: Launch) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        process = launch("--engine", "fake", "--port", str(port))
        out, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert out == ""
    assert errors.count("\n") == 1
    assert str(port) in errors


@pytest.mark.parametrize("call", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(
    start_sidecar: StartSidecar, call: signal.Signals, tmp_path: Path
) -> None:
    """Nothing more on the standard output, nothing on the standard error, no file left."""
    sidecar = start_sidecar("--engine", "fake")
    assert ask(sidecar.client, text="Hola.").status_code == 200
    sidecar.process.send_signal(call)
    out, errors = sidecar.process.communicate(timeout=DEADLINE_S)
    assert sidecar.process.returncode == 0
    assert (out, errors) == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_it_ends_with_its_standard_input(start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar("--engine", "fake", "--exit-with-stdin")
    assert sidecar.process.stdin is not None
    sidecar.process.stdin.write("ignored\n")
    sidecar.process.stdin.flush()
    assert sidecar.client.get("/health").status_code == 200
    sidecar.process.stdin.close()
    assert sidecar.process.wait(DEADLINE_S) == 0


def test_without_the_option_the_end_of_standard_input_means_nothing(
    start_sidecar: StartSidecar,
) -> None:
    sidecar = start_sidecar("--engine", "fake")
    assert sidecar.process.stdin is not None
    sidecar.process.stdin.close()
    for _ in range(20):
        assert sidecar.client.get("/health").status_code == 200
    assert sidecar.process.poll() is None


@pytest.mark.models
def test_sigterm_ends_it_in_the_middle_of_a_take(
    start_sidecar: StartSidecar, models_dir: Path, tmp_path: Path
) -> None:
    sidecar = start_sidecar("--engine", "kokoro", "--models-dir", str(models_dir))
    text = "La casa estaba en lo alto de la colina y se veía todo el valle. " * 15
    with ThreadPoolExecutor(1) as pool:
        take = pool.submit(ask, sidecar.client, text=text)
        while not sidecar.client.get("/health").json()["loaded"]:
            assert not take.done()
        sidecar.process.terminate()
        assert sidecar.process.wait(DEADLINE_S) == 0
        assert isinstance(take.exception(DEADLINE_S), httpx.TransportError)
    assert list(tmp_path.iterdir()) == []
