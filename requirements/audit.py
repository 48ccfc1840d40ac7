"""Compare pinned packages with the list of known holes.

    uv run --no-project --with pip-audit requirements/audit.py requirements/*.txt

It ends with 1 when a package has a hole; with AUDIT_REQUIRED=1 also when one is not looked up.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

COMMAND = [sys.executable, "-m", "pip_audit", "--progress-spinner", "off", "--disable-pip",
           "--require-hashes", "--format", "json"]  # fmt: skip


def audited(path: str) -> list[dict[str, Any]]:
    """Return what pip-audit says of each package of a list; nothing when it could not look.

    Whether there are holes is read from its document and not from its exit code, which is 1 for
    everything.
    """
    done = subprocess.run([*COMMAND, "-r", path], capture_output=True, text=True, check=False)
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(done.stderr[-2000:], file=sys.stderr)
        return []
    return found


def judged(found: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Return the holes that were found, and the packages that could not be looked up."""
    holes = [
        f"{one['name']} {one['version']}: {hole['id']}, mended in "
        f"{', '.join(hole['fix_versions']) or 'no version yet'}"
        for one in found
        for hole in one.get("vulns", ())
    ]
    return holes, [str(one["name"]) for one in found if "skip_reason" in one]


def main() -> int:
    required, bad = bool(os.environ.get("AUDIT_REQUIRED")), False
    for path in sys.argv[1:]:
        found = audited(path)
        holes, unknown = judged(found)
        known = len(found) - len(unknown)
        print(f"{path}: {known} packages looked up, {len(holes)} holes")
        print("\n".join(holes), end="\n" if holes else "")
        if unknown or not found:
            who = f"{len(unknown)} of {len(found)}" if known else "all"
            print(f"  Not looked up, because the list does not answer: {who}", file=sys.stderr)
        bad = bad or bool(holes) or (required and (bool(unknown) or not found))
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
