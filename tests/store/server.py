"""A PostgreSQL server of the tests' own, on a socket in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from pydantic import SecretStr

from dubarr_watch.store import Store
from tests.waiting import eventually

_PASSWORD = "made-up-for-tests"
_NOT_ROOT = "nobody"
"""The server refuses to run as root."""


class Server:
    """A running server.

    Args:
        folder: Holds its data and its socket.
        programs: Holds `initdb` and `postgres`.
    """

    def __init__(self, folder: Path, programs: Path) -> None:
        self._folder = folder
        self._programs = programs
        self._user = _NOT_ROOT if os.geteuid() == 0 else None
        self._groups: list[str] | None = None if self._user is None else []
        self._made = 0

    def make(self) -> None:
        """Make its data folder."""
        password = self._folder / "password"
        password.write_text(_PASSWORD)
        if self._user is not None:
            for path in (self._folder, password):
                shutil.chown(path, self._user)
        subprocess.run(
            [self._programs / "initdb", "--pgdata", self._folder / "data", "--username", "dubarr",
             "--auth", "scram-sha-256", "--pwfile", password, "--encoding", "UTF8",
             "--locale", "C.UTF-8", "--no-sync"],
            user=self._user, extra_groups=self._groups, cwd=self._folder,
            check=True, capture_output=True,
        )  # fmt: skip

    def start(self) -> None:
        """Start it, and wait until it answers."""
        # Not as a child of this process: other tests count those.
        self._control(
            "start", "--log", self._folder / "log", "--options",
            f"-k {self._folder} -c listen_addresses= -c fsync=off -c max_connections=200",
        )  # fmt: skip

        def answers() -> bool:
            with suppress(psycopg.OperationalError):
                psycopg.connect(self.url("postgres").get_secret_value()).close()
                return True
            return False

        eventually(answers, f"a database server: {self._folder / 'log'}")

    def stop(self) -> None:
        """End it."""
        if (self._folder / "data" / "postmaster.pid").exists():
            self._control("stop", "--mode", "immediate")

    def _control(self, *words: str | Path) -> None:
        subprocess.run(
            [self._programs / "pg_ctl", "--pgdata", self._folder / "data", "--wait", *words],
            user=self._user, extra_groups=self._groups, cwd=self._folder,
            check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def url(self, name: str) -> SecretStr:
        """Return the URL of a database."""
        host = quote(os.fspath(self._folder), safe="")
        return SecretStr(f"postgresql://dubarr:{_PASSWORD}@{host}/{name}")

    def new(self) -> SecretStr:
        """Make an empty database, and return its URL."""
        self._made += 1
        name = f"test_{self._made}"
        with psycopg.connect(self.url("postgres").get_secret_value(), autocommit=True) as own:
            own.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        return self.url(name)


def programs() -> Path | None:
    """Return the folder of the newest server that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_version)
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    return Path(on_path).resolve().parent if on_path else None


def _version(path: Path) -> int:
    name = path.parts[-3]
    return int(name) if name.isdecimal() else 0


@contextmanager
def running_server() -> Iterator[Server]:
    """Run a server for the length of a `with` block; without one the test is not run."""
    where = programs()
    if where is None:
        reason = "there is no PostgreSQL server (sudo apt install postgresql)"
        if os.environ.get("POSTGRESQL_REQUIRED"):
            pytest.fail(reason)
        pytest.skip(reason)
    # Not below pytest's own folder, which only this user may enter.
    folder = Path(tempfile.mkdtemp(prefix="dubarr-pg-"))
    server = Server(folder, where)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


class Emptied:
    """One database for many tests: each finds it as new."""

    def __init__(self, server: Server) -> None:
        self.url = server.new()
        with Store.open(self.url):
            pass
        self._own = psycopg.connect(self.url.get_secret_value(), autocommit=True)
        tables = self._own.execute(
            "SELECT string_agg(tablename, ', ') FROM pg_tables"
            " WHERE schemaname = 'public' AND tablename <> 'meta'"
        ).fetchone()
        assert tables is not None
        self._empty = f"TRUNCATE {tables[0]} RESTART IDENTITY CASCADE"

    def empty(self) -> None:
        """Remove every row of every table."""
        self._own.execute(self._empty.encode())
        self._own.execute("DELETE FROM meta WHERE key <> 'schema'")

    def close(self) -> None:
        """Close its connection."""
        self._own.close()
