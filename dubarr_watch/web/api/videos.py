"""The library."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from dubarr_watch.store.browsing import VideoFilter
from dubarr_watch.web import shapes
from dubarr_watch.web.api.common import DeskOf

router = APIRouter(prefix="/videos", tags=["videos"])


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
