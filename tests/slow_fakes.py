"""`dubarr-watch` on fakes that speak slowly: `python -m tests.slow_fakes SECONDS_A_LINE run`."""

from __future__ import annotations

import sys
from dataclasses import replace

from dubarr_watch import workshop
from dubarr_watch.cli import main
from dubarr_watch.engines.registry import EngineSpecs, specs_for
from dubarr_watch.settings import Profile, Settings


def run() -> None:
    """Run the program with its own arguments, the first one aside."""
    delay_s = float(sys.argv.pop(1))

    def slow(profile: Profile, settings: Settings) -> EngineSpecs:
        specs = specs_for(profile, settings)
        return replace(specs, synthesizer=replace(specs.synthesizer, options={"delay_s": delay_s}))

    workshop.specs_for = slow  # type: ignore[attr-defined]  # replaced, not used from outside
    main()


if __name__ == "__main__":
    run()
