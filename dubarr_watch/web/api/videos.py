"""The library."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import FileResponse

from dubarr_watch.store.browsing import VideoFilter
from dubarr_watch.web import shapes
from dubarr_watch.web.api.common import DeskOf
from dubarr_watch.web.api.uploading import (
    UPLOAD_BODY,
    Folder,
    UploadName,
    receive_upload,
)
from dubarr_watch.web.desk.uploads import Uploaded
from dubarr_watch.web.published import Published

router = APIRouter(prefix="/videos", tags=["videos"])

Name = Annotated[str, Path(max_length=64, description="code or name")]
Kind = Annotated[str, Path(pattern="^(sidecar|mux|subtitles)$")]


@router.get("")
def list_videos(
    desk: DeskOf,
    search: Annotated[
        str, Query(max_length=200, description="words that must all be in the path")
    ] = "",
    which: VideoFilter = VideoFilter.ALL,
    limit: shapes.Limit = 50,
    offset: shapes.Offset = 0,
) -> shapes.Page[shapes.Video]:
    """The videos of the library, by path, with the languages they have and are asked for."""
    return desk.videos.page(search=search, which=which, limit=limit, offset=offset)


@router.get("/{video_id}")
def get_video(desk: DeskOf, video_id: shapes.Id) -> shapes.Video:
    """One video."""
    return desk.videos.get(video_id)


@router.get(
    "/{video_id}/tracks/{language}/{kind}",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}}}},
)
def download_track(desk: DeskOf, video_id: shapes.Id, language: Name, kind: Kind) -> Published:
    """A published file; of `mux` it is the video."""
    found = desk.tracks.track(video_id, language, kind)
    return Published(desk.tracks, found)


@router.delete("/{video_id}/tracks/{language}/{kind}", status_code=204)
def delete_track(desk: DeskOf, video_id: shapes.Id, language: Name, kind: Kind) -> None:
    """Delete a published file, if it is still what was published."""
    desk.tracks.delete_track(video_id, language, kind)


@router.post(
    "/upload",
    max_body_size=2**62,  # UPLOAD_MAX_GIB holds, and no other limit
    openapi_extra=UPLOAD_BODY,
)
async def upload_video(request: Request, folder: Folder = "", name: UploadName = "") -> Uploaded:
    """Put a video into the library: as a form's file, or as the body with `name`.

    It is written under a hidden name and never over something that is there; the library finds
    it as any other new file.
    """
    return await receive_upload(request, folder, name)
