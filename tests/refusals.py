"""Asks for what nobody may have: without credentials, from elsewhere, and outside the library.

The daemon, the speech process and the language model's server are real processes on real sockets.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from dubarr_watch.engines.context import EngineContext
from dubarr_watch.engines.llm.local import LocalLlmTranslator
from tests.composing import make_talk, names
from tests.programs import ROOT, Program
from tests.secrets_search import PAGES
from tests.sidecar.process import TOKEN, Sidecar
from tests.tiny.gguf import build_gguf
from tests.waiting import eventually

SIDECAR_PYTHON = ROOT / "tts_sidecar" / ".venv" / "bin" / "python"
MODEL_PATHS = ("/props", "/slots", "/metrics", "/completion", "/v1/completions", "/v1/embeddings",
               "/v1/chat/completions", "/tokenize", "/detokenize", "/apply-template", "/infill",
               "/lora-adapters")  # fmt: skip
SPEECH_PATHS = ("/health", "/voices", "/synthesize", "/load", "/unload", "/nothing")
HIDDEN = ("/..%2f..%2fetc/passwd", "/static/..%2f..%2fapp.py", "/static/%2e%2e/%2e%2e/server.py",
          "/api/v1/jobs/1/reports/..%2f..%2fapi-key", "/api/v1/jobs/..%2f..%2fapi-key",
          "/api/v1/videos/1/tracks/es/..%2f..%2fapi-key", "//etc/passwd")  # fmt: skip
PASSWORD = "made-up-for-refusals"


@dataclass
class Refusals:
    """What was asked for.

    Attributes:
        refused: How many requests were refused, by who refused them.
        let_in: Those that were not; should be empty.
        strangers: Where more than this machine could ask, or what was made outside of the library.
    """

    refused: dict[str, int] = field(default_factory=dict)
    let_in: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def note(self, who: str, what: str, answer: httpx.Response) -> None:
        """Count an answer."""
        if 400 <= answer.status_code < 500:
            self.refused[who] = self.refused.get(who, 0) + 1
        else:
            self.let_in.append(f"{who}: {what}: {answer.status_code} {answer.text[:200]}")


def ask_for_what_is_forbidden(folder: Path) -> Refusals:
    """Ask everybody for everything that they must refuse."""
    found = Refusals()
    _ask_the_daemon(found, folder / "daemon")
    _ask_the_speech_process(found)
    _ask_the_language_model(found, folder)
    return found


def _ask_the_daemon(found: Refusals, folder: Path) -> None:
    port = _free_port()
    program = Program(folder, API_HOST="127.0.0.1", API_PORT=str(port), API_PASS=PASSWORD)
    private = folder / "private"
    private.mkdir()
    make_talk(private / "Film.mkv", 4.0)
    (program.videos / "link").symlink_to(private)
    with program:
        program.start()
        url = f"http://127.0.0.1:{port}"
        key = eventually(lambda: _read(program.config / "api-key"), "the API key")
        with httpx.Client(base_url=url, trust_env=False, timeout=30) as nobody:
            for page in PAGES:
                if page != "/health":
                    found.note("nobody", page, nobody.get(page))
                    found.note("nobody", page, nobody.post(page, json={}))
            found.note("wrong key", "/", nobody.get("/", headers={"X-Api-Key": "0" * 32}))
            found.note("wrong password", "/", nobody.get("/", auth=("admin", "made-up")))
            for site in ("https://evil.example", "null", f"http://127.0.0.1:{port + 1}"):
                from_there = {"Origin": site}
                answer = nobody.post(
                    "/api/v1/jobs", json={}, headers=from_there, auth=("admin", PASSWORD)
                )
                found.note("another site", site, answer)
        allowed = {"X-Api-Key": key}
        with httpx.Client(base_url=url, trust_env=False, timeout=30, headers=allowed) as client:
            for path in _outside(program.videos):
                found.note("webhook", path, client.post("/webhook", json={"path": path}))
                body = {"path": path, "languages": ["es"]}
                found.note("jobs", path, client.post("/api/v1/jobs", json=body))
            for where, name in (("..", "a.mkv"), ("/etc", "a.mkv"), ("link", "a.mkv"),
                                ("link/..", "a.mkv"), ("a\0b", "a.mkv"), ("", ".."),
                                ("", "a.sh"), ("", ".mkv"), ("", "/")):  # fmt: skip
                query = {"folder": where, "name": name}
                answer = client.post("/api/v1/videos/upload", params=query, content=b"0123")
                found.note("upload", f"{where}/{name}", answer)
            for path in HIDDEN:
                found.note("hidden paths", path, _as_written(client, url, path))
        found.strangers += _listening_for_others(psutil.Process(program.daemon.pid))  # type: ignore[union-attr]
    if names(private) != ["Film.mkv"]:
        found.strangers.append(f"made outside of the library: {names(private)}")


def _outside(videos: Path) -> Iterator[str]:
    yield from ("/etc/passwd", "../../etc/passwd", "/proc/self/environ", "file:///etc/passwd",
                "http://127.0.0.1/a.mkv", "concat:/etc/a.mkv|/etc/b.mkv", "\\\\nas\\films\\a.mkv",
                "C:\\Windows\\a.mkv", "a\0b.mkv", "", ".", "/")  # fmt: skip
    yield from (f"{videos}/../config/dubarr.db", f"{videos}/../private/Film.mkv",
                f"{videos}/link/Film.mkv", f"{videos}2/a.mkv",
                f"{videos}/{'n' * 300}.mkv")  # fmt: skip


def _ask_the_speech_process(found: Refusals) -> None:
    with _sidecar() as sidecar:
        with httpx.Client(base_url=sidecar.client.base_url, trust_env=False) as nobody:
            for path in SPEECH_PATHS:
                for method in ("GET", "POST", "PUT", "OPTIONS"):
                    for token in ("", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x"):
                        told = {"Authorization": token} if token else {}
                        answer = nobody.request(method, path, headers=told)
                        found.note("speech process", f"{method} {path} {token}", answer)
        found.strangers += _listening_for_others(psutil.Process(sidecar.process.pid))
        found.strangers += _reached_from_outside(sidecar.port)


@contextmanager
def _sidecar() -> Iterator[Sidecar]:
    process = subprocess.Popen(
        [SIDECAR_PYTHON, "-m", "tts_sidecar", "--engine", "fake", "--port", "0"],
        env={"PATH": os.environ["PATH"], "TTS_SIDECAR_TOKEN": TOKEN}, cwd="/", text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        sidecar = Sidecar.listening(process)
        with sidecar.client:
            assert sidecar.client.get("/health").status_code == 200
            yield sidecar
    finally:
        process.kill()
        process.communicate()


def _ask_the_language_model(found: Refusals, folder: Path) -> None:
    model = build_gguf(folder / "tiny.gguf")
    context = EngineContext(kind="translator", stall_s=600)
    with LocalLlmTranslator(
        context=context, model=model, slots=1, tokens=2048, threads=1
    ) as translator:
        translator.server.begin()
        address, pid = translator.server.address, translator.server.pid
        assert address is not None
        assert pid is not None
        with httpx.Client(base_url=address, trust_env=False, timeout=30) as nobody:
            for path in MODEL_PATHS:
                for token in ("", "Bearer", "Bearer wrong"):
                    told = {"Authorization": token} if token else {}
                    body = {"prompt": "Hello", "messages": [], "content": "a"}
                    found.note("language model", path, nobody.post(path, json=body, headers=told))
                    if path in ("/props", "/slots", "/metrics"):
                        found.note("language model", path, nobody.get(path, headers=told))
            allowed = {"Authorization": f"Bearer {translator.server.client().api_key}"}
            assert nobody.get("/props", headers=allowed).status_code == 200
        found.strangers += _listening_for_others(psutil.Process(pid))
        found.strangers += _reached_from_outside(int(address.rpartition(":")[2]))


def _listening_for_others(process: psutil.Process) -> list[str]:
    """Return where a process and those below it listen for more than this machine."""
    return [
        f"{one.name()} listens on {where.laddr}"
        for one in [process, *process.children(recursive=True)]
        for where in one.net_connections("inet")
        if where.status == psutil.CONN_LISTEN and where.laddr.ip != "127.0.0.1"
    ]


def _reached_from_outside(port: int) -> list[str]:
    """Return the other addresses of this machine by which a port is reached."""
    others = [
        one.address
        for addresses in psutil.net_if_addrs().values()
        for one in addresses
        if one.family is socket.AF_INET and not one.address.startswith("127.")
    ]
    reached = []
    for address in others:
        with closing(socket.socket()) as knocking:
            knocking.settimeout(2)
            if knocking.connect_ex((address, port)) == 0:
                reached.append(f"{address}:{port} answers")
    return reached


def _as_written(client: httpx.Client, url: str, path: str) -> httpx.Response:
    """Ask for a path without letting httpx tidy it up."""
    request = client.build_request("GET", url)
    request.url = request.url.copy_with(raw_path=path.encode())
    return client.send(request)


def _read(path: Path) -> str:
    return path.read_text().strip() if path.is_file() else ""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
