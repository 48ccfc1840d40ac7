"""The life of the process: one line when it listens, and a prompt end."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
import threading
import weakref
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

# A synthesis cannot be interrupted from Python. It holds nothing that must be saved, so the
# process ends in the middle of it when it is still running this long after the call to end.
_GRACE_S = 0.4


def serve(app: ASGIApp, *, port: int, exit_with_stdin: bool) -> int:
    """Serve on 127.0.0.1 until SIGTERM, SIGINT or the end of the standard input.

    Args:
        app: What answers the requests.
        port: 0 takes a free one.
        exit_with_stdin: End when the standard input ends.

    Returns:
        The exit code: 0 after a call to end, 1 when the port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        sys.stderr.write(
            f"tts_sidecar: port {port} cannot be used: {error.strerror}; choose another --port.\n"
        )
        return 1
    # The phonemizer unpacks a library for each language and removes it at its own end; in a folder
    # of ours they go even at a sudden end. Finalizers run newest first, so this one runs last.
    scratch = Path(tempfile.mkdtemp(prefix="tts_sidecar-"))
    weakref.finalize(tempfile, shutil.rmtree, scratch, ignore_errors=True)
    tempfile.tempdir = str(scratch)
    server = _Server(
        uvicorn.Config(app, access_log=False, log_level="warning", lifespan="off"), scratch
    )
    if exit_with_stdin:
        threading.Thread(target=server.end_with_stdin, name="stdin", daemon=True).start()
    server.run(sockets=[listener])
    return 0


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, scratch: Path) -> None:
        super().__init__(config)
        self._scratch = scratch

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        for listener in sockets or []:
            host, port = listener.getsockname()
            sys.stdout.write(f"tts_sidecar listening on {host}:{port}\n")
            sys.stdout.flush()

    def handle_exit(self, sig: int, frame: object) -> None:
        self.end()

    def end_with_stdin(self) -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        self.end()

    def end(self) -> None:
        self.should_exit = True
        timer = threading.Timer(_GRACE_S, self._end_now)
        timer.daemon = True
        timer.start()

    def _end_now(self) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)
        os._exit(0)
