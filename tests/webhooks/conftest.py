"""A library with an inbox, and the payloads of neighbours sent to it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dubarr_watch.library.intake import Library
from dubarr_watch.neighbours.inbox import Inbox
from dubarr_watch.store.inbox import InboxRecord, InboxState
from tests.library.conftest import House, film, house
from tests.waiting import eventually

__all__ = ["house"]

FOLDER = Path(__file__).parent / "payloads"
FILM = "movies/The Paper Lighthouse (2031)"
NEW = f"{FILM}/The Paper Lighthouse (2031) WEBDL-1080p.mkv"
OLD = f"{FILM}/The Paper Lighthouse (2031) HDTV-720p.mkv"


def golden(name: str, **changes: Any) -> Any:
    """Return a golden payload; `movie__tags=[...]` changes a value in it."""
    payload = copy.deepcopy(json.loads((FOLDER / f"{name}.json").read_text("utf-8")))
    for where, value in changes.items():
        *way, last = where.split("__")
        part = payload
        for key in way:
            part = part[key]
        part[last] = value
    return payload


def episode(number: int) -> str:
    return f"tv/Harbour Lights/Season 1/Harbour Lights - S01E{number:02d}.mkv"


@dataclass
class Post:
    """A house with an inbox; /movies and /tv are folders of its library."""

    house: House
    library: Library
    inboxes: list[Inbox] = field(default_factory=list)

    def open(self, *, start: bool = True, **options: Any) -> Inbox:
        inbox = Inbox(self.house.settings, self.house.store, self.library, **options)
        self.inboxes.append(inbox)
        if start:
            inbox.start()
        return inbox

    def send(self, name: str, **changes: Any) -> InboxRecord:
        """Send a golden payload and wait until it is worked off."""
        return self.tell(golden(name, **changes))

    def tell(self, payload: object) -> InboxRecord:
        """Send a payload and wait until it is worked off."""
        inbox = self.inboxes[-1] if self.inboxes else self.open()
        number = inbox.put(payload).id
        done: InboxRecord = eventually(lambda: self.settled(number), f"message {number}")
        return done

    def settled(self, number: int) -> InboxRecord | None:
        found = {record.id: record for record in self.house.store.inbox.recent(1000)}[number]
        return None if found.state is InboxState.PENDING else found

    def path(self, name: str) -> Path:
        return self.house.root / name

    def make(self, name: str, content: bytes = b"") -> Path:
        """Put a video into the library."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content or film(path.stem.replace(" ", "")))
        return path


@pytest.fixture
def post(house: House) -> Iterator[Post]:
    for name in ("movies", "tv"):
        (house.root / name).mkdir()
    house.set(path_map=(("/movies", f"{house.root}/movies"), ("/tv", f"{house.root}/tv")))
    made = Post(house, house.start())
    yield made
    for inbox in made.inboxes:
        inbox.stop()
