"""Bytes that a fuzzer finds, for everything that reads what others write: `make fuzz`.

    python -m benchmarks.fuzz [--seconds 600]

atheris (libFuzzer) sees which branches an input reaches and changes it to reach others. Prints how
many inputs each parser had, and what was wrong with those that broke it; ends with 1 if any did.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

LONGEST_S = 5
MOST_MIB = 2048
MOST_BYTES = 4096


def _one(kind: str, options: list[str]) -> None:
    """Become the fuzzer of one parser."""
    import atheris

    with atheris.instrument_imports(include=["dubarr_watch", "pysubs2", "tomllib", "json"]):
        from tests.any_input import take

    atheris.Setup([sys.argv[0], *options], lambda data: take(kind, data) and None)
    atheris.Fuzz()


def fuzz(seconds: int) -> dict[str, tuple[int, str]]:
    """Return how many inputs each parser had, and the end of what its fuzzer said of a fault."""
    from tests.any_input import PARSERS, SEEDS

    found = {}
    each_s = max(1, seconds // len(PARSERS))
    for kind in PARSERS:
        with tempfile.TemporaryDirectory() as folder:
            corpus = Path(folder, "corpus")
            corpus.mkdir()
            for number, data in enumerate(SEEDS[kind]):
                (corpus / str(number)).write_bytes(data)
            options = [f"-max_total_time={each_s}", f"-timeout={LONGEST_S}", "-print_final_stats=1",
                       f"-rss_limit_mb={MOST_MIB}", f"-max_len={MOST_BYTES}",
                       f"-artifact_prefix={folder}/", str(corpus)]  # fmt: skip
            ran = subprocess.run(
                [sys.executable, "-m", "benchmarks.fuzz", "--only", kind, *options],
                capture_output=True, text=True, errors="replace", check=False,
                timeout=each_s * 2 + 120,
            )  # fmt: skip
            counted = re.search(r"number_of_executed_units: (\d+)", ran.stderr)
            fault = "" if ran.returncode == 0 else (ran.stdout + ran.stderr)[-3000:]
            found[kind] = (int(counted[1]) if counted else 0, fault)
            print(f"{kind}: {found[kind][0]} inputs, {'a fault' if fault else '0 faults'}",
                  file=sys.stderr, flush=True)  # fmt: skip
    return found


def main() -> int:
    if sys.argv[1:2] == ["--only"]:
        _one(sys.argv[2], sys.argv[3:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="for all parsers together")
    found = fuzz(parser.parse_args().seconds)
    print("| what reads | inputs tried | faults |\n| --- | ---: | ---: |")
    for kind, (tried, fault) in found.items():
        print(f"| {kind} | {tried} | {int(bool(fault))} |")
    for kind, (_, fault) in found.items():
        if fault:
            print(f"\n## {kind}\n\n```\n{fault}\n```")
    return int(any(fault for _, fault in found.values()))


if __name__ == "__main__":
    raise SystemExit(main())
