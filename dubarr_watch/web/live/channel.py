"""One source of events for many listeners: each has a short queue, and who is slow is let go."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

KEPT_EVENTS = 500
"""So many can be caught up with after a broken connection."""

MOST_WAITING = 200
"""So many may wait for one listener: some minutes of a busy daemon."""

MOST_LISTENERS = 200


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        number: Counts up.
        name: What kind of event.
        data: JSON.
        written: As a server-sent event: made once, however many listen.
    """

    number: int
    name: str
    data: str
    written: bytes


@dataclass(eq=False, slots=True)
class Listener:
    """Somebody who listens.

    Attributes:
        wanted: Tells what is to be heard.
        waiting: What was not fetched yet.
        lost: Too much was waiting, or the channel closed: nothing more will come.
        news: Set when there is something to fetch.
    """

    wanted: Callable[[Event], bool]
    waiting: deque[Event] = field(default_factory=deque)
    lost: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)


class Channel:
    """Events for listeners; used on the event loop only.

    Attributes:
        epoch: Part of every event's id.
        closed: Whether nothing more comes.
        number: Of the last event.
    """

    def __init__(self) -> None:
        # Another start of the program counts anew: numbers of an earlier one mean nothing.
        self.epoch = secrets.token_hex(4)
        self.closed = False
        self.number = 0
        self._kept: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self._listeners: set[Listener] = set()

    def publish(self, name: str, data: str) -> None:
        """Tell everybody; nobody is waited for."""
        self.number += 1
        event = self.event(name, data)
        self._kept.append(event)
        for listener in list(self._listeners):
            if not listener.wanted(event):
                continue
            if len(listener.waiting) >= MOST_WAITING:
                self._let_go(listener)
            else:
                listener.waiting.append(event)
                listener.news.set()

    def event(self, name: str, data: str) -> Event:
        """Return an event that happened with the last one, for one listener alone."""
        written = f"id: {self.epoch}-{self.number}\nevent: {name}\ndata: {data}\n\n"
        return Event(self.number, name, data, written.encode())

    @contextmanager
    def listened(self, wanted: Callable[[Event], bool] = lambda event: True) -> Iterator[Listener]:
        """Listen for the length of a `with` block."""
        listener = Listener(wanted, lost=self.closed)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def missed(self, last_id: str) -> list[Event] | None:
        """Return what came after an event, or nothing when that can no longer be told."""
        epoch, _, number = last_id.partition("-")
        if epoch != self.epoch or not number.isdecimal() or len(number) > 18:
            return None
        first = self._kept[0].number if self._kept else self.number + 1
        if not first - 1 <= int(number) <= self.number:
            return None
        return [event for event in self._kept if event.number > int(number)]

    @property
    def crowded(self) -> bool:
        """Whether nobody more may listen."""
        return len(self._listeners) >= MOST_LISTENERS

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def close(self) -> None:
        """Let everybody go."""
        self.closed = True
        for listener in list(self._listeners):
            self._let_go(listener)

    def _let_go(self, listener: Listener) -> None:
        listener.lost = True
        listener.waiting.clear()
        listener.news.set()
        self._listeners.discard(listener)
