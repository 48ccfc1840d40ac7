"""The job that a person means by a number or a path."""

from __future__ import annotations

import difflib
from pathlib import Path

from dubarr_watch.errors import NotInStore, printable
from dubarr_watch.store.records import JobRecord
from dubarr_watch.store.store import Store


def found_job(store: Store, name: str) -> JobRecord:
    """Return the job that a person means.

    Raises:
        NotInStore: There is none; the hint names the nearest.
    """
    job = store.jobs.find(name)
    if job is not None:
        return job
    known = [*store.jobs.running(), *store.jobs.queue(), *store.jobs.recent(1000)]
    if not known:
        raise NotInStore("There are no jobs yet.", hint="dubarr-watch dub FILE makes one.")
    if name.isdecimal():
        newest = sorted({job.id for job in known}, reverse=True)[:5]
        listed = ", ".join(map(str, newest))
        raise NotInStore(
            f"There is no job {name}.",
            hint=f"The newest are {listed}; `dubarr-watch status` tells more.",
        )
    raise NotInStore(
        f"There is no job for '{printable(name)}'.",
        hint=_nearest(Path(name).name, known),
    )


def _nearest(name: str, known: list[JobRecord]) -> str:
    by_name = {job.video.path.name: job for job in reversed(known)}
    near = difflib.get_close_matches(name, by_name, n=3, cutoff=0.5)
    if not near:
        return "`dubarr-watch status` lists the jobs."
    told = [f"{by_name[one].id} ({printable(by_name[one].video.path)})" for one in near]
    return f"Did you mean job {' or '.join(told)}?"
