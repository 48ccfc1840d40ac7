"""Media servers, Radarr and Sonarr as far as we talk to them: real HTTP on this machine.

Each lets in who knows its key, knows its own libraries, and keeps what it was told to look at.
"""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

TOKEN = "made-up-t0ken-of-a-server"
USER = "kodi"

Answer = tuple[int, Any]


class MediaServer:
    """One server; a subclass knows its paths.

    Attributes:
        looked_at: What it was told to look at.
        paths: Every path that was asked for, with its query.
        answers: Statuses of the next answers, before it behaves again.
        released: Cleared: answers wait.
    """

    version = "1.2.3"

    def __init__(self) -> None:
        self.looked_at: list[Any] = []
        self.paths: list[str] = []
        self.answers: list[int] = []
        self.body: bytes | None = None
        self.released = threading.Event()
        self.released.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(None)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"] == "application/json"
                self._answer(json.loads(body))

            def _answer(self, body: Any) -> None:
                outer.paths.append(self.path)
                outer.released.wait(30)
                parts = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                if outer.answers:
                    status, found = outer.answers.pop(0), None
                elif not outer.lets_in(self.headers):
                    status, found = 401, None
                else:
                    status, found = outer.asked(parts.path, query, body)
                sent = (
                    outer.body
                    if outer.body is not None
                    else (b"" if found is None else json.dumps(found).encode())
                )
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", f"https://other.example/?token={TOKEN}")
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # a client that hung up

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def lets_in(self, headers: Any) -> bool:
        raise NotImplementedError

    def asked(self, path: str, query: dict[str, str], body: Any) -> Answer:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Jellyfin(MediaServer):
    def lets_in(self, headers: Any) -> bool:
        return bool(headers.get("Authorization") == f'MediaBrowser Token="{TOKEN}"')

    def asked(self, path: str, query: dict[str, str], body: Any) -> Answer:
        if path == "/System/Info":
            return 200, {"ServerName": "home", "Version": self.version}
        if path == "/Library/Media/Updated" and body is not None:
            self.looked_at += [(one["Path"], one["UpdateType"]) for one in body["Updates"]]
            return 204, None
        return 404, None


class Emby(Jellyfin):
    def lets_in(self, headers: Any) -> bool:
        return bool(headers.get("X-Emby-Token") == TOKEN)


class Plex(MediaServer):
    sections = (("1", "/media/movies"), ("2", "/media/tv"), ("3", "/media/tv kids"))

    def lets_in(self, headers: Any) -> bool:
        return bool(headers.get("X-Plex-Token") == TOKEN)

    def asked(self, path: str, query: dict[str, str], body: Any) -> Answer:
        if path == "/library/sections":
            found = [
                {"key": key, "type": "movie", "Location": [{"id": 1, "path": folder}]}
                for key, folder in self.sections
            ]
            return 200, {"MediaContainer": {"size": len(found), "Directory": found}}
        for key, folder in self.sections:
            if path == f"/library/sections/{key}/refresh":
                if not query.get("path", "").startswith(folder):
                    return 400, None
                self.looked_at.append((key, query["path"]))
                return 200, None
        return 404, None


class Kodi(MediaServer):
    def lets_in(self, headers: Any) -> bool:
        code = base64.b64encode(f"{USER}:{TOKEN}".encode()).decode()
        return bool(headers.get("Authorization") == f"Basic {code}")

    def asked(self, path: str, query: dict[str, str], body: Any) -> Answer:
        if path != "/jsonrpc" or body is None or body.get("jsonrpc") != "2.0":
            return 404, None
        answer = {"id": body["id"], "jsonrpc": "2.0"}
        if body["method"] == "Application.GetProperties":
            return 200, {**answer, "result": {"version": {"major": 21, "minor": 2}}}
        if body["method"] == "VideoLibrary.Scan":
            self.looked_at.append(body["params"]["directory"])
            return 200, {**answer, "result": "OK"}
        return 200, {**answer, "error": {"code": -32601, "message": "Method not found."}}


class Radarr(MediaServer):
    name, owners, command, number = "Radarr", "movie", "RescanMovie", "movieId"
    root = "/movies"
    items: tuple[tuple[int, str], ...] = ((7, "/movies/Film"), (8, "/movies/Film 2"))
    id_name, overview = "tmdbId", ""

    def lets_in(self, headers: Any) -> bool:
        return bool(headers.get("X-Api-Key") == TOKEN)

    def asked(self, path: str, query: dict[str, str], body: Any) -> Answer:
        if path == "/api/v3/system/status":
            return 200, {"appName": self.name, "version": self.version}
        if path == "/api/v3/rootfolder":
            return 200, [{"id": 1, "path": self.root, "accessible": True}]
        if path == f"/api/v3/{self.owners}":
            asked = query.get(self.id_name)
            return 200, [
                {"id": number, "title": "x", "path": at, "overview": self.overview}
                for number, at in self.items
                if asked is None or f"-{asked}" in at
            ]
        if path == "/api/v3/command" and body is not None:
            if body["name"] != self.command:
                return 400, {"message": "unknown command"}
            self.looked_at.append(body[self.number])
            return 201, {"id": 1, "name": self.command, "status": "queued"}
        return 404, None


class Sonarr(Radarr):
    name, owners, command, number = "Sonarr", "series", "RescanSeries", "seriesId"
    root = "D:\\TV"
    items = ((3, "D:\\TV\\Show"), (4, "D:\\TV\\Show\\Nested"))
    id_name = "tvdbId"
