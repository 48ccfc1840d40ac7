"""The paths of the first deployments, still served: thin, over the same desk."""

from __future__ import annotations

import asyncio
import contextlib

from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from dubarr_watch.logs import TAIL
from dubarr_watch.web.live.channel import Listener
from dubarr_watch.web.live.stream import SEND_S
from dubarr_watch.web.live.wire import Wire, as_json

router = APIRouter(tags=["older paths"])

_FIRST_LINES = 50


@router.websocket("/ws/logs")
async def logs_over_socket(socket: WebSocket) -> None:
    """The last 50 lines of the log, then new ones, each as one JSON message."""
    wire: Wire = socket.app.state.wire
    await socket.accept()
    with wire.logs.listened() as listener:
        telling = asyncio.create_task(_tell(socket, listener))
        try:
            while True:  # what a client says is not listened to
                await socket.receive_text()
        except (WebSocketDisconnect, KeyError):
            pass
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)


async def _tell(socket: WebSocket, listener: Listener) -> None:
    for line in TAIL.lines()[-_FIRST_LINES:]:
        await socket.send_text(as_json(line))
    while not listener.lost:
        await listener.news.wait()
        listener.news.clear()
        while listener.waiting and not listener.lost:
            text = listener.waiting.popleft().data
            try:
                async with asyncio.timeout(SEND_S):
                    await socket.send_text(text)
            except TimeoutError:
                break
    with contextlib.suppress(RuntimeError, TimeoutError):
        async with asyncio.timeout(SEND_S):
            await socket.close(1013)
