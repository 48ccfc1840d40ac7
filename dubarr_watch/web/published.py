"""A published file on its way to whoever asked for it."""

from __future__ import annotations

from contextlib import ExitStack

from anyio import to_thread
from fastapi.responses import FileResponse
from starlette.types import Receive, Scope, Send

from dubarr_watch.errors import printable
from dubarr_watch.store.records import OutputRecord
from dubarr_watch.web.desk.tracks import TrackDesk


class Published(FileResponse):
    """Sends what was opened and looked at, whatever is put in its place meanwhile.

    Args:
        tracks: Who opens it.
        track: What was published.

    Raises:
        NotInStore: Before anything is sent: see `TrackDesk.opened`.
    """

    def __init__(self, tracks: TrackDesk, track: OutputRecord) -> None:
        super().__init__(
            track.path,
            media_type="application/octet-stream",
            filename=printable(track.path.name),
        )
        self._tracks = tracks
        self._track = track

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        with ExitStack() as held:
            opening = self._tracks.opened(self._track)
            self.path = await to_thread.run_sync(held.enter_context, opening)
            await super().__call__(scope, receive, send)
