"""The command line.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the input cannot be dubbed, 4 something that the user
must provide is missing. With `--json` a command prints one JSON document on standard output and
nothing else; everything for people goes to standard error.
"""

from __future__ import annotations

from dubarr_watch.cli.app import main

__all__ = ["main"]
