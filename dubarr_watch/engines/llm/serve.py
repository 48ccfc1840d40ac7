"""Becomes a llama.cpp server that ends when the daemon does: the process behind LLM_BACKEND=local.

With a llama-server program this process turns into it; without one it serves with the library
that the embedded profile has, on the CPU. Either way its standard input is a pipe of the daemon's:
when that closes, however the daemon died, the server goes too.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys
import threading
from pathlib import Path

from dubarr_watch.engines.llama import LlamaServer
from dubarr_watch.errors import DubarrError

LISTENING = "language model listening on "

_LOOK_S = 1.0


def main() -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--key-from", type=int, help="file descriptor that gives the key")
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--gpu", action="store_true")
    options = parser.parse_args()
    if options.program is None:
        _serve(options)
    else:
        _become(options)


def _serve(options: argparse.Namespace) -> None:
    try:
        server = LlamaServer(
            model=options.model,
            threads=options.threads,
            slots=options.slots,
            context=options.context,
            key=os.read(options.key_from, 4096).decode(),
        )
    except DubarrError as error:
        sys.exit(str(error))
    print(f"{LISTENING}{server.address}", flush=True)  # noqa: T201 - the daemon reads it
    threading.Thread(target=_end_with_daemon, daemon=True).start()
    threading.Event().wait()


def _end_with_daemon() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def _become(options: argparse.Namespace) -> None:
    """Turn into llama-server, and leave a process behind that ends it with the daemon."""
    server = os.getpid()
    if os.fork() == 0:
        _watch(server)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    arguments = [
        str(options.program),
        *("--model", str(options.model)),
        *("--host", "127.0.0.1", "--port", str(options.port)),
        *("--ctx-size", str(options.context), "--parallel", str(options.slots)),
        *("--n-gpu-layers", "999" if options.gpu else "0"),
        *("--threads", str(options.threads)),
    ]
    os.execv(options.program, arguments)  # noqa: S606 - no shell is wanted


def _watch(server: int) -> None:
    """Kill the server when standard input closes; end when the server has ended by itself."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)  # or the daemon would wait for the end of this output
    os.dup2(nothing, 2)
    while os.getppid() == server:
        ready, _, _ = select.select([0], [], [], _LOOK_S)
        if ready and not os.read(0, 4096):
            if os.getppid() == server:
                os.kill(server, signal.SIGKILL)
            break
    os._exit(0)


if __name__ == "__main__":
    main()
