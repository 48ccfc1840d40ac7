"""What every router needs."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from dubarr_watch.web.desk import Desk


def _desk(connection: HTTPConnection) -> Desk:
    desk: Desk = connection.app.state.desk
    return desk


DeskOf = Annotated[Desk, Depends(_desk)]
"""Parameter that brings the desk."""
