"""A worker in a process of its own, which waits when its track is about to get its final name.

python -m tests.claimant FOLDER STEP: claims the next job with a short lease, makes FOLDER/asked at
that step of publishing, goes on when FOLDER/go is there, and writes into FOLDER/ended how its run
ended.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from dubarr_watch.dubbing import track_file
from dubarr_watch.dubbing.publishing import Place, publish
from tests.composing import open_shop
from tests.waiting import eventually

LEASE_S = 0.2


def main(folder: Path, step: str) -> None:
    """Run one job."""

    def waiting(place: Place, *arguments: Any, **named: Any) -> Path:
        def told(name: str) -> None:
            place.on_step(name)
            if name == step:
                (folder / "asked").touch()
                eventually((folder / "go").exists)

        return publish(replace(place, on_step=told), *arguments, **named)

    track_file.publish = waiting  # type: ignore[attr-defined]  # replaced, not used from outside
    with open_shop(folder) as shop:
        job = shop.store.jobs.claim(shop.owner.id, lease_s=LEASE_S)
        assert job is not None
        ended = shop.runner().run(job)
        (folder / "ended").write_text(f"{type(ended.error).__name__} {ended.job.state}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
