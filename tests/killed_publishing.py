"""`redo`, killed as it is about to publish: `python -m tests.killed_publishing JOB`."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from dubarr_watch.cli import main


def run() -> None:
    """Make line 0 of a job anew, and die when the first file is to get its final name."""
    rename = os.replace

    def die(source: Any, target: Any) -> None:
        if ".dubarr-" in os.fspath(source):
            os.kill(os.getpid(), signal.SIGKILL)
        rename(source, target)

    os.replace = die  # type: ignore[assignment]
    sys.argv = ["dubarr-watch", "redo", sys.argv[1], "--line", "0", "--text", "Otra cosa."]
    main()


if __name__ == "__main__":
    run()
