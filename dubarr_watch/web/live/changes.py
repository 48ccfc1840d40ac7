"""What changed since the last look, as events; it looks only while somebody listens."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from dubarr_watch.web.desk import Desk

Told = tuple[str, str]
"""Name of an event and its data."""


class Changes:
    """Compares two looks at the state of things.

    The events and their data:

    - `status`: all of /api/v1/status; what follows changes it
    - `job`: a job of it that is new or changed
    - `queue`: ids of the next jobs, in the order in which they will start
    - `counts`: jobs by state
    - `leases`: GPU memory that is held or waited for
    - `task`: a pull of a model or a line made anew, with its progress
    - `video`: the id of a video of which more is known now

    Args:
        desk: What is looked at.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._version = -1
        self._seen: dict[str, Any] = {}

    def status(self) -> Told:
        """Return everything, for somebody who begins to listen."""
        return "status", self._desk.overview.status().model_dump_json()

    def look(self) -> Iterator[Told]:
        """Yield what changed since the last look."""
        version = self._desk.store.changes()
        if version == self._version:
            return
        self._version = version
        status = self._desk.overview.status()
        jobs = {one.id: one.model_dump_json() for one in [*status.running, *status.queue,
                                                          *status.recent]}  # fmt: skip
        known = self._seen.get("jobs", {})
        for job, data in jobs.items():
            if known.get(job) != data:
                yield "job", data
        self._seen["jobs"] = jobs
        yield from self._once("queue", [one.id for one in status.queue])
        yield from self._once("counts", status.counts)
        leases = [one.model_dump(mode="json") for one in self._desk.machine.leases()]
        yield from self._once("leases", leases)

    def _once(self, name: str, value: object) -> Iterator[Told]:
        data = json.dumps(value)
        if self._seen.get(name) != data:
            self._seen[name] = data
            yield name, data


Publish = Callable[[str, str], None]
