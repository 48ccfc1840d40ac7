"""What neighbours say: a payload of any shape in, one plain value out; nothing is done here."""

from __future__ import annotations

from dubarr_watch.neighbours.payloads import arr, others
from dubarr_watch.neighbours.payloads.reading import (
    Arrived,
    Deleted,
    Ignored,
    News,
    Renamed,
    Test,
    Wanted,
    What,
)

__all__ = ["Arrived", "Deleted", "Ignored", "News", "Renamed", "Test", "Wanted", "What", "parse"]


def parse(payload: object) -> News:
    """Return what a webhook's payload says; who sent it is told by what is in it.

    Args:
        payload: Whatever the sender's JSON held.
    """
    if isinstance(payload, dict):
        news = arr.parse(payload) or others.parse(payload)
        if news is not None:
            return news
    return News("", "", Ignored("It is not like any payload that I know."))
