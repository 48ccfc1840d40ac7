"""Publishes one track and stops dead at a named step, for the tests of crashes."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from dubarr_watch.dubbing.muxing import publish_muxed
from dubarr_watch.dubbing.passes import Watch
from dubarr_watch.dubbing.track_file import publish_sidecar
from dubarr_watch.languages import parse_language


def main() -> None:
    """Arguments: sidecar or mux, the step, the track, the target, the work folder."""
    how, stop_at, dub, target, work = sys.argv[1:]

    def stop(step: str) -> None:
        if step == stop_at:
            sys.stdout.write(f"{step}\n")
            sys.stdout.flush()
            time.sleep(600)

    language, watch = parse_language("es"), Watch(on_step=stop)
    if how == "mux":
        publish_muxed(
            Path(target),
            [(language, Path(dub))],
            work=Path(work),
            still_there=lambda: None,
            job=3,
            watch=watch,
        )
    else:
        publish_sidecar(
            Path(dub),
            target=Path(target),
            language=language,
            duration_s=2,
            still_there=lambda: None,
            job=3,
            may_replace=True,
            watch=watch,
        )


main()
