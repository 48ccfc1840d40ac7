"""The command line: `python -m tts_sidecar --engine kokoro --port 5050`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tts_sidecar import __version__
from tts_sidecar.engines import ENGINES, make_engine
from tts_sidecar.engines.base import EngineOptions

TOKEN_VARIABLE = "TTS_SIDECAR_TOKEN"  # noqa: S105  the variable's name, not a token
LICENCE_VARIABLE = "COQUI_TOS_AGREED"


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

    engine = make_engine(options.engine, _engine_options(options))
    return serve(
        create_app(engine, token), port=options.port, exit_with_stdin=options.exit_with_stdin
    )


def _engine_options(options: argparse.Namespace) -> EngineOptions:
    return EngineOptions(
        models_dir=options.models_dir,
        threads=options.threads,
        device=options.device,
        uuid=options.uuid,
        mib=options.mib,
        frugal=options.frugal,
        slots=options.slots,
        references=tuple(options.references_dir),
        licence_agreed=os.environ.get(LICENCE_VARIABLE, "").lower() in ("1", "true", "yes", "on"),
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
        help="holds kokoro-82m-v1.0-int8/ and xtts-v2/; default: models",
    )
    parser.add_argument(
        "--threads",
        type=_at_least(1),
        default=_usable_cores(),
        metavar="N",
        help="CPU threads of one synthesis; default: the cores this process may use (%(default)s)",
    )
    _add_xtts_arguments(parser)
    parser.add_argument(
        "--exit-with-stdin", action="store_true", help="end when the standard input ends"
    )
    parser.add_argument("--version", action="version", version=__version__)
    return parser.parse_args(arguments)


def _add_xtts_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("xtts", "What only that engine looks at.")
    group.add_argument(
        "--device", choices=["cpu", "cuda", "mps"], default="cpu", help="default: cpu"
    )
    group.add_argument(
        "--uuid", default="", help="GPU that must be the first one, e.g. GPU-... or MIG-..."
    )
    group.add_argument(
        "--mib", type=_at_least(0), default=0, metavar="N", help="GPU memory it may use; 0: any"
    )
    group.add_argument("--frugal", action="store_true", help="take as little memory as possible")
    group.add_argument(
        "--slots",
        type=_at_least(0),
        default=0,
        metavar="N",
        help="takes made together; 0: as many as there is memory for",
    )
    group.add_argument(
        "--references-dir",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="folder whose recordings may be read; may be given several times",
    )


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is not a port; use 0 to 65535")
    return port


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is less than {least}")
        return value

    return number


def _usable_cores() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
