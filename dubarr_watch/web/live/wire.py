"""From the daemon's threads to the event loop: who looks, and who hears of it."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import ExitStack
from dataclasses import asdict

import structlog

from dubarr_watch.errors import DubarrError
from dubarr_watch.logs import TAIL, LogLine
from dubarr_watch.web.desk import Desk
from dubarr_watch.web.live.changes import Changes
from dubarr_watch.web.live.channel import Channel

log = structlog.get_logger(__name__)

LOOK_S = 0.5


class Wire:
    """Both channels of a served app, and the thread that feeds them.

    Args:
        desk: What is looked at.

    Attributes:
        state: Events of `Changes`.
        logs: Lines of the log, as events `line`.
    """

    def __init__(self, desk: Desk) -> None:
        self.state = Channel()
        self.logs = Channel()
        self.changes = Changes(desk)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look, name="web-changes", daemon=True)
        self._heard = ExitStack()
        desk.tell = self.tell

    def start(self) -> None:
        """Begin, on the event loop."""
        self._loop = asyncio.get_running_loop()
        self._heard.enter_context(TAIL.heard_by(self._hear))
        self._thread.start()

    def stop(self) -> None:
        """Let every listener go; safe from any thread."""
        self._stopping.set()
        self._heard.close()
        for channel in (self.state, self.logs):
            self._on_loop(channel.close)

    def tell(self, name: str, data: str) -> None:
        """Publish an event of the state; safe from any thread."""
        self._on_loop(self.state.publish, name, data)

    def _hear(self, line: LogLine) -> None:
        self._on_loop(self.logs.publish, "line", as_json(line))

    def _look(self) -> None:
        while not self._stopping.wait(LOOK_S):
            if not self.state.listeners:
                continue
            try:
                for name, data in self.changes.look():
                    self._on_loop(self.state.publish, name, data)
            except DubarrError as error:  # a database that is locked now may not be so soon
                log.warning("changes not seen", reason=error)

    def _on_loop(self, call: object, *values: str) -> None:
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        try:
            loop.call_soon_threadsafe(call, *values)  # type: ignore[arg-type]
        except RuntimeError:
            return  # it closed in this moment


def as_json(line: LogLine) -> str:
    """Return a line of the log as JSON."""
    return json.dumps(asdict(line), default=str)
