"""What runs beside the page, as far as the page has to do with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dubarr_watch.engines.crew import Crew
from dubarr_watch.gpu.inventory import Gpu
from dubarr_watch.languages import Language
from dubarr_watch.library.intake import LibraryHealth
from dubarr_watch.neighbours.inbox import Receipt
from dubarr_watch.settings import Profile
from dubarr_watch.store.records import JobRecord


@dataclass(frozen=True, slots=True)
class Works:
    """The daemon's other parts.

    Attributes:
        profile: Which engines run.
        look_at: Lets the library look at a file soon.
        library_health: How the library is looked after.
        ring: Tells the workers that there may be a job.
        working: Whether every worker lives.
        refusal: Says why a language cannot be dubbed into; empty when it can.
        hear: Takes a webhook's payload; see `Inbox.put`.
        redo: Makes a line of a job anew: job, language, line, text or nothing, and who is told
            of its progress.
        gpus: Devices that work can be put on.
        engines: What runs now, `busy` or `idle`, by the seam that it serves.
        crew: Workers on other machines.
        stopping: Whether the daemon was asked to stop.
    """

    profile: Profile
    look_at: Callable[[Path], None]
    library_health: Callable[[], LibraryHealth]
    ring: Callable[[], None]
    working: Callable[[], bool]
    refusal: Callable[[Language], str]
    hear: Callable[[object], Receipt]
    redo: Callable[[JobRecord, Language, int, str | None, Callable[[str, float], None]], object]
    gpus: tuple[Gpu, ...]
    engines: Callable[[], dict[str, str]]
    crew: Callable[[], Crew] = Crew
    stopping: Callable[[], bool] = bool
