"""The command line.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the input cannot be dubbed, 4 something that the user
must provide is missing. With `--json` a command prints one JSON document on standard output and
nothing else; everything for people goes to standard error.
"""

from __future__ import annotations

import os

# Before anything loads numpy: between its short calls in a mix the waiting threads of BLAS spin,
# which took as long as the mix itself. Engines have processes, and threads, of their own.
os.putenv("OPENBLAS_NUM_THREADS", "1")

from dubarr_watch.cli.app import main

__all__ = ["main"]
