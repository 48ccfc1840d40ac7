"""`dubarr-watch` on fakes in real processes, which ends itself at a step of publishing when told.

python -m tests.crashes.killable FOLDER run

The speech process, the language model's server and the other engines are processes of their own,
as in the full profile. FOLDER holds `llama-server` and `tiny.gguf`. While it holds a file
`die at track written`, say, the program removes that and kills itself with SIGKILL when it has
come so far.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from dubarr_watch import workshop
from dubarr_watch.cli import main
from dubarr_watch.dubbing import muxing, publishing, track_file
from dubarr_watch.engines.base import EngineSpec
from dubarr_watch.engines.registry import EngineSpecs, specs_for
from dubarr_watch.settings import Profile, Settings

_PLACES = {muxing: "mux", track_file: "track", publishing: "subtitles"}


def run() -> None:
    """Run the program with its own arguments, the first one aside."""
    folder = Path(sys.argv.pop(1))

    def specs(profile: Profile, settings: Settings) -> EngineSpecs:
        return replace(
            specs_for(profile, settings),
            translator=EngineSpec(
                "dubarr_watch.engines.llm.local:LocalLlmTranslator",
                {"model": folder / "tiny.gguf", "slots": 1, "tokens": 4096, "threads": 1,
                 "program": folder / "llama-server"},
                owns_process=True,
            ),
            synthesizer=EngineSpec(
                "dubarr_watch.engines.sidecar:SidecarSynthesizer",
                {"engine": "fake", "models_dir": settings.models_dir, "port": 0, "threads": 1},
                owns_process=True,
            ),
        )  # fmt: skip

    workshop.specs_for = specs  # type: ignore[attr-defined]  # replaced, not used from outside
    for module, where in _PLACES.items():
        _listen(module, folder, where)
    main()


def _listen(module: Any, folder: Path, where: str) -> None:
    publish = module.publish

    def listening(place: publishing.Place, *arguments: Any, **named: Any) -> Path:
        def told(name: str) -> None:
            place.on_step(name)
            asked = folder / f"die at {where} {name}"
            if asked.exists():
                asked.unlink()
                os.kill(os.getpid(), signal.SIGKILL)

        done: Path = publish(replace(place, on_step=told), *arguments, **named)
        return done

    module.publish = listening


if __name__ == "__main__":
    run()
