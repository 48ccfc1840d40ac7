"""The command line: `python -m tts_sidecar --engine kokoro --port 5050`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tts_sidecar import __version__
from tts_sidecar.engines import ENGINES, make_engine

TOKEN_VARIABLE = "TTS_SIDECAR_TOKEN"  # noqa: S105  the variable's name, not a token


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to end; return the exit code (0 ended, 1 port taken, 2 wrong usage)."""
    options = _parse(arguments)
    token = os.environ.pop(TOKEN_VARIABLE, "").strip()
    if not token:
        sys.stderr.write(f"tts_sidecar: set {TOKEN_VARIABLE}; every caller must send it.\n")
        return 2
    # Imported after the checks, so that wrong usage is answered at once.
    from tts_sidecar.process import serve
    from tts_sidecar.server import create_app

    engine = make_engine(options.engine, models_dir=options.models_dir, threads=options.threads)
    return serve(
        create_app(engine, token), port=options.port, exit_with_stdin=options.exit_with_stdin
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tts_sidecar", description="Speaks text for dubarr-watch, on 127.0.0.1 only."
    )
    parser.add_argument(
        "--engine", choices=sorted(ENGINES), default="kokoro", help="default: kokoro"
    )
    parser.add_argument(
        "--port", type=_port, default=5050, help="0 takes a free one; default: 5050"
    )
    parser.add_argument(
        "--models-dir",
        type=Path,
        default=Path("models"),
        metavar="DIR",
        help="holds kokoro-82m-v1.0-int8/model.onnx and voices/; default: models",
    )
    parser.add_argument(
        "--threads",
        type=_threads,
        default=_usable_cores(),
        metavar="N",
        help="CPU threads of one synthesis; default: the cores this process may use (%(default)s)",
    )
    parser.add_argument(
        "--exit-with-stdin", action="store_true", help="end when the standard input ends"
    )
    parser.add_argument("--version", action="version", version=__version__)
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is not a port; use 0 to 65535")
    return port


def _threads(text: str) -> int:
    threads = int(text)
    if threads < 1:
        raise argparse.ArgumentTypeError(f"{threads} is less than one thread")
    return threads


def _usable_cores() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
