"""Stands for the speech process: speaks its protocol, holds GPU memory, and no model.

Started as `speech_program.py FOLDER -m tts_sidecar --engine ...`, with the arguments that the
interpreter of the real one gets. FOLDER is a fake driver's; a file `burst` in it makes it run out
of memory unless it is frugal, `burst-always` in any case.
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.gpu.fake_driver import hold_from_here

FOLDER = Path(sys.argv[1])


def option(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else ""


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer(200, b"[]")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/load":
            self._answer(200, b"{}")
        elif self._bursts():
            error = {"error": "The voice ran out of memory.", "hint": ""}
            self._answer(507, json.dumps(error).encode())
        else:
            self._answer(200, b"RIFF")

    def _bursts(self) -> bool:
        frugal = "--frugal" in sys.argv
        return (FOLDER / "burst-always").exists() or (not frugal and (FOLDER / "burst").exists())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Duration-Seconds", "1.0")
        self.send_header("X-Sample-Rate", "24000")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in the library
        pass


def main() -> None:
    if uuid := option("--uuid"):
        hold_from_here(FOLDER, uuid, int(option("--mib")) - 100)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"tts_sidecar listening on 127.0.0.1:{server.server_port}", flush=True)  # noqa: T201
    sys.stdin.read()


if __name__ == "__main__":
    main()
