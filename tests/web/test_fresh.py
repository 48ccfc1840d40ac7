"""Answers that many ask for: made once, and new as soon as somebody changes something."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from dubarr_watch.web import fresh
from dubarr_watch.web.fresh import Fresh
from tests.composing import make_talk
from tests.web.sites import Site


class Counting:
    """Makes answers, and counts them."""

    def __init__(self, status: int = 200) -> None:
        self.made = 0
        self.status = status

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.made += 1
        body = str(self.made).encode()
        await asyncio.sleep(0.01)
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": body})


def ask(app: Fresh, *requests: tuple[str, str], at_once: bool = False) -> list[str]:
    async def asking() -> list[str]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
            calls = [client.request(method, path) for method, path in requests]
            if at_once:
                return [one.text for one in await asyncio.gather(*calls)]
            return [(await one).text for one in calls]

    return asyncio.run(asking())


STATUS = ("GET", "/api/v1/status")


def test_a_crowd_gets_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "KEPT_S", 600.0)
    counting = Counting()
    assert ask(Fresh(counting), *[STATUS] * 20, at_once=True) == ["1"] * 20


def test_it_is_made_anew_after_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "KEPT_S", 0.0)
    assert ask(Fresh(Counting()), STATUS, STATUS) == ["1", "2"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_it_is_made_anew_after_a_change(method: str) -> None:
    assert ask(Fresh(Counting()), STATUS, (method, "/x"), STATUS, STATUS) == ["1", "2", "3", "3"]


def test_nothing_else_is_kept() -> None:
    other = ("GET", "/api/v1/jobs")
    query = ("GET", "/api/v1/status?x=1")
    assert ask(Fresh(Counting()), other, other, query, query) == ["1", "2", "3", "4"]
    assert ask(Fresh(Counting(503)), STATUS, STATUS) == ["1", "2"]


def test_what_a_request_changes_the_next_one_sees(site: Site) -> None:
    film = site.shop.record(make_talk(site.shop.videos / "Film.mkv")).id
    for code in ("fr", "it", "pt"):
        job = site.post("/api/v1/jobs", {"video_id": film, "languages": [code]})
        assert job["languages"] == site.get("/api/v1/status")["queue"][0]["languages"]
