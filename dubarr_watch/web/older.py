"""The paths of the first deployments, still served: thin, over the same desk."""

from __future__ import annotations

import asyncio
import contextlib

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from dubarr_watch.logs import TAIL
from dubarr_watch.web import shapes
from dubarr_watch.web.api.common import DeskOf
from dubarr_watch.web.api.uploading import UPLOAD_BODY, Folder, UploadName, receive_upload
from dubarr_watch.web.desk.jobs import Insight
from dubarr_watch.web.desk.uploads import Uploaded
from dubarr_watch.web.live.channel import Listener
from dubarr_watch.web.live.stream import SEND_S
from dubarr_watch.web.live.wire import Wire, as_json
from dubarr_watch.web.published import Published

router = APIRouter(tags=["older paths"])

_FIRST_LINES = 50


@router.post("/upload", max_body_size=2**62, openapi_extra=UPLOAD_BODY)
async def upload(request: Request, folder: Folder = "", name: UploadName = "") -> Uploaded:
    """As /api/v1/videos/upload."""
    return await receive_upload(request, folder, name)


@router.get(
    "/download/{job_id}",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}}}},
)
def download(desk: DeskOf, job_id: shapes.Id, language: shapes.LanguageName = "") -> Published:
    """The track that a job put beside its video."""
    found = desk.tracks.of_job(job_id, language)
    return Published(desk.tracks, found)


@router.post("/retry/{job_id}")
def retry(desk: DeskOf, job_id: shapes.Id) -> shapes.Job:
    """As /api/v1/jobs/{job_id}/retry."""
    return desk.jobs.retry(job_id)


@router.post("/purge/{job_id}", status_code=204)
def purge(desk: DeskOf, job_id: shapes.Id) -> None:
    """Forget a job that has ended, with its intermediate files and reports; tracks stay."""
    desk.jobs.forget(job_id, reports=True)


@router.post("/delete/{job_id}", status_code=204)
def delete(desk: DeskOf, job_id: shapes.Id) -> None:
    """The same, and delete the tracks that it put beside the video."""
    desk.jobs.forget(job_id, reports=True, first=desk.tracks.delete_of_job)


@router.get("/debug/{job_id}/{what}")
def debug(desk: DeskOf, job_id: shapes.Id, what: Insight) -> list[shapes.StageContent]:
    """What the stages of a job found, while it is kept."""
    return desk.jobs.insight(job_id, what)


@router.websocket("/ws/logs")
async def logs_over_socket(socket: WebSocket) -> None:
    """The last 50 lines of the log, then new ones, each as one JSON message."""
    wire: Wire = socket.app.state.wire
    if wire.logs.crowded:
        await socket.close(1013)
        return
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
    with contextlib.suppress(TimeoutError):
        for line in TAIL.lines()[-_FIRST_LINES:]:
            await _say(socket, as_json(line))
        while not listener.lost:
            await listener.news.wait()
            listener.news.clear()
            while listener.waiting and not listener.lost:
                await _say(socket, listener.waiting.popleft().data)
    with contextlib.suppress(RuntimeError, TimeoutError):
        async with asyncio.timeout(SEND_S):
            await socket.close(1013)


async def _say(socket: WebSocket, text: str) -> None:
    async with asyncio.timeout(SEND_S):
        await socket.send_text(text)
