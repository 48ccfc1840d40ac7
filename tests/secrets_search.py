"""Looks for secrets wherever a job leaves words, and in what every process is started with."""

from __future__ import annotations

import base64
import json
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import httpx
import psutil

from dubarr_watch.settings import Settings
from tests.composing import living_below, make_talk
from tests.engines.llm.llama_program import write_program
from tests.programs import Program
from tests.tiny.gguf import build_gguf
from tests.waiting import eventually

NAMES = [name for name, one in Settings.model_fields.items() if "SecretStr" in str(one.annotation)]
"""Every setting that holds one, of today and tomorrow."""

OWN = {"TTS_SIDECAR_TOKEN": "tts_sidecar", "LLAMA_API_KEY": "llama-server"}
"""What is made for a process at its start, and the only one that may know it."""

KINDS = ("engines.worker", "tts_sidecar", "llama-server", "ffmpeg")
PAGES = ("/", "/history", "/jobs/1", "/library", "/machine", "/logs", "/settings",
         "/settings/findings", "/metrics", "/health", "/api/v1/settings", "/api/v1/logs",
         "/api/v1/status", "/api/v1/jobs", "/api/v1/jobs/1", "/api/v1/videos", "/api/v1/doctor",
         "/api/v1/jobs/1/reports/es", "/api/v1/webhooks", "/api/v1/leases")  # fmt: skip
COMMANDS = (("status", "--json"), ("doctor",), ("report", "1", "--json"), ("models", "list"))


@dataclass
class Search:
    """What was looked for, where, and what was found.

    Attributes:
        secrets: By name, each in every form that it may be written in.
        places: How many files, answers, and arguments and environments of processes there were.
        found: `secret in place`; should be empty.
        kinds: How many processes of each kind were seen.
        strangers: Sockets of children that others than this machine reach; should be empty.
        asked: How many requests to neighbours carried a secret, so that there was one to lose.
    """

    secrets: dict[str, list[str]]
    places: int = 0
    found: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    strangers: list[str] = field(default_factory=list)
    asked: int = 0

    def look(self, place: str, text: str, *, but: tuple[str, ...] = ()) -> None:
        """Look for all of them, but for some, in one place."""
        self.places += 1
        self.found += [
            f"{name} in {place}"
            for name, forms in self.secrets.items()
            if name not in but and any(form in text for form in forms)
        ]


def search(folder: Path) -> Search:
    """Run a daemon with every secret set, at LOG_LEVEL=debug, through a job and its questions.

    The speech process, the language model's server and the other engines are real processes;
    neighbours and notification services answer everything by refusing it, and quote it.
    """
    write_program(folder)
    build_gguf(folder / "tiny.gguf")
    (folder / "tmp").mkdir()
    values = {name: f"made-up-{name.replace('_', '-')}-0815" for name in NAMES}
    in_file = "made-up-in-notify-config-0815"
    with _quoting() as (port, heard):
        (folder / "apprise.conf").write_text(f"json://127.0.0.1:{port}/{in_file}\n")
        values["notify_urls"] = f"json://me:{values['notify_urls']}@127.0.0.1:{port}/room"
        elsewhere = f"postgresql://me:{values['database_url']}@127.0.0.1:1/none"
        addresses = {
            name.upper(): f"http://127.0.0.1:{port}"
            for name in Settings.model_fields
            if name.endswith("_url") and name not in NAMES
        }
        hunt = Search({name: _forms(name, value) for name, value in values.items()})
        hunt.secrets["NOTIFY_CONFIG"] = [in_file]
        web = f"127.0.0.1:{_free_port()}"
        program = Program(
            folder, **{name.upper(): v for name, v in values.items() if name != "database_url"},
            **addresses,
            NOTIFY_CONFIG=str(folder / "apprise.conf"), NOTIFY_DIGEST_SECONDS="0",
            LOG_LEVEL="debug", DEBUG_MODE="true", PROFILE="embedded", TMPDIR=str(folder / "tmp"),
            API_HOST="127.0.0.1", API_PORT=web.rpartition(":")[2],
        )  # fmt: skip
        with program, _Watch(hunt) as watch:
            watch.follow(program.start(module=f"tests.crashes.killable {folder}").pid)
            make_talk(program.videos / "Film.mkv", 8.0)
            ended = program.ended("Film.mkv")
            assert ended.state.ended, ended
            _ask(hunt, f"http://{web}", values["api_pass"])
            eventually(lambda: any("room" in path for path in heard), "a message was sent")
            for words in COMMANDS:
                done = program.run(*words)
                hunt.look(" ".join(words), done.stdout + done.stderr)
            for words in (("status",), ("doctor",)):  # no such database is there
                done = program.run(*words, DATABASE_URL=elsewhere)
                hunt.look(f"{' '.join(words)} without its database", done.stdout + done.stderr)
            program.end(signal.SIGTERM)
        hunt.secrets |= watch.made
        hunt.secrets["API key"] = [(program.config / "api-key").read_text().strip()]
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.name not in ("api-key", "apprise.conf"):
                # The stand-in for llama-server writes down what it was started with.
                but = ("LLAMA_API_KEY",) if path.name == "started" else ()
                hunt.look(str(path.relative_to(folder)), _text(path.read_bytes()), but=but)
        watch.judge()
        hunt.asked = len(heard)
    return hunt


class _Watch:
    """Notes what every process below one was started with, and where it listens."""

    def __init__(self, hunt: Search) -> None:
        self.made: dict[str, list[str]] = {}
        self._hunt = hunt
        self._seen: dict[tuple[int, str], tuple[str, str]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._root: psutil.Process | None = None

    def follow(self, pid: int) -> None:
        self._root = psutil.Process(pid)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.02):
            if self._root is not None:
                with suppress(psutil.Error):
                    own = self._root.cmdline()
                    for process in living_below(self._root):
                        with suppress(psutil.Error):
                            self._note(process, own)

    def _note(self, process: psutil.Process, own: list[str]) -> None:
        command = process.cmdline()
        if not command or command == own:
            return  # it is not yet what it is about to become
        words, environment = "\0".join(command), process.environ()
        self._seen[process.pid, words] = (words, json.dumps(environment))
        for name in OWN:
            if environment.get(name):
                self.made.setdefault(name, []).append(environment[name])
        for socket_ in process.net_connections("inet"):
            if socket_.status == psutil.CONN_LISTEN and socket_.laddr.ip != "127.0.0.1":
                self._hunt.strangers.append(f"{command}: {socket_.laddr}")

    def judge(self) -> None:
        """Look at what every process was started with."""
        for words, environment in self._seen.values():
            kind = next((one for one in KINDS if one in words.replace("/", ".")), "another")
            self._hunt.kinds[kind] += 1
            knows = tuple(name for name, who in OWN.items() if who in words)
            self._hunt.look(f"arguments of {words[:80]!r}", words)
            self._hunt.look(f"environment of {words[:80]!r}", environment, but=knows)


def _ask(hunt: Search, url: str, password: str) -> None:
    with httpx.Client(
        base_url=url, auth=("admin", password), trust_env=False, timeout=60
    ) as client:
        for page in PAGES:
            answer = client.get(page)
            assert answer.status_code == 200, (page, answer.text)
            hunt.look(page, answer.text)
        refused = client.get("/api/v1/status", auth=("admin", "wrong-made-up"))
        hunt.look("a refusal", refused.text)


def _forms(name: str, value: str) -> list[str]:
    core = value.partition("://me:")[2].partition("@")[0] or value
    users = ("admin", "kodi", "me", "anna")
    pairs = [base64.b64encode(f"{user}:{core}".encode()).decode() for user in users]
    return [core, quote(core, safe=""), core.upper(), *pairs]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def _quoting() -> Iterator[tuple[int, list[str]]]:
    """Serve refusals that quote the whole request."""
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _refuse(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            heard.append(self.path)
            told = f"{self.path}\n{self.headers}\n{_text(body)}".encode()
            self.send_response(403, "made-up refusal")
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
        setattr(Handler, f"do_{method}", Handler._refuse)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield int(server.server_address[1]), heard
        server.shutdown()
        thread.join()
