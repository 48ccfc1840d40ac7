"""What reaches a browser by itself: events, lines of the log, and what becomes of the slow."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from dubarr_watch.logs import TAIL, configure_logging
from dubarr_watch.web.live import stream
from dubarr_watch.web.live.channel import KEPT_EVENTS, MOST_WAITING, Channel
from tests.composing import make_talk
from tests.waiting import eventually
from tests.web.sites import PASSWORD, USER, Site, open_site


class Heard:
    """An open stream of events, read as a browser reads it."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines

    def next(self, name: str = "") -> dict[str, Any]:
        """Return the next event, of a name when one is given."""
        event: dict[str, Any] = {}
        for line in self._lines:
            key, _, value = line.partition(": ")
            if line:
                event[key] = value
            elif "event" in event:
                if name in ("", event["event"]):
                    return {**event, "data": json.loads(event["data"])}
                event = {}
        pytest.fail("the stream ended")


@pytest.fixture
def film(site: Site, tmp_path: Path) -> int:
    return site.shop.record(make_talk(site.shop.videos / "Film.mkv")).id


@pytest.fixture(autouse=True)
def log_kept(site: Site) -> None:
    configure_logging(site.shop.settings)


class TestEvents:
    def test_begin_with_everything_and_go_on_with_what_changes(self, site: Site, film: int) -> None:
        with site.client.stream("GET", "/api/v1/events") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            heard = Heard(answer.iter_lines())
            first = heard.next()
            assert first["event"] == "status"
            assert first["data"] == site.get("/api/v1/status")
            # As another process would: nobody here is told.
            job = site.shop.enqueue(site.shop.videos / "Film.mkv", "fr")
            told = heard.next("job")["data"]
            while told["id"] != job.id:
                told = heard.next("job")["data"]
            assert told["state"] == "queued"
            assert job.id in heard.next("queue")["data"]
            site.shop.store.jobs.cancel(job.id)
            while (told["id"], told["state"]) != (job.id, "cancelled"):
                told = heard.next("job")["data"]

    def test_go_on_where_a_broken_connection_ended(self, site: Site) -> None:
        with site.client.stream("GET", "/api/v1/events") as answer:
            heard = Heard(answer.iter_lines())
            heard.next()
            site.desk.tell("task", '{"id": 1}')
            last = heard.next("task")["id"]
        site.desk.tell("task", '{"id": 2}')
        headers = {"last-event-id": last}
        with site.client.stream("GET", "/api/v1/events", headers=headers) as answer:
            assert Heard(answer.iter_lines()).next("task")["data"] == {"id": 2}

    @pytest.mark.parametrize("last", ["", "what", "0-1", "deadbeef-3", "-", "9" * 90])
    def test_begin_anew_after_what_nobody_knows(self, site: Site, last: str) -> None:
        headers = {"last-event-id": last}
        with site.client.stream("GET", "/api/v1/events", headers=headers) as answer:
            assert Heard(answer.iter_lines()).next()["event"] == "status"

    def test_nobody_is_kept_who_left(self, site: Site) -> None:
        channel = site.app.state.wire.state
        eventually(lambda: channel.listeners == 0, "nobody listens")
        with site.client.stream("GET", "/api/v1/events") as answer:
            heard = Heard(answer.iter_lines())
            heard.next()
            assert channel.listeners == 1
        eventually(lambda: channel.listeners == 0, "nobody listens")


class TestChannel:
    def test_who_is_slow_is_let_go_and_not_buffered(self) -> None:
        async def listen() -> None:
            channel = Channel()
            with channel.listened() as slow, channel.listened() as quick:
                for number in range(MOST_WAITING):
                    channel.publish("n", str(number))
                    quick.waiting.clear()
                assert (slow.lost, len(slow.waiting)) == (False, MOST_WAITING)
                channel.publish("n", "one more")
                assert (slow.lost, len(slow.waiting)) == (True, 0)
                assert not quick.lost
                assert channel.listeners == 1

        asyncio.run(listen())

    def test_only_so_much_is_kept_to_catch_up_with(self) -> None:
        channel = Channel()
        for number in range(KEPT_EVENTS + 10):
            channel.publish("n", str(number))
        missed = channel.missed(f"{channel.epoch}-10")
        assert missed is not None
        assert len(missed) == KEPT_EVENTS
        assert channel.missed(f"{channel.epoch}-9") is None
        assert channel.missed(f"{channel.epoch}-{KEPT_EVENTS + 10}") == []
        assert channel.missed(f"{channel.epoch}-{KEPT_EVENTS + 11}") is None

    def test_a_client_that_takes_nothing_is_let_go(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On a real socket: its end does not read, and the sending side's buffers are full."""
        monkeypatch.setattr(stream, "SEND_S", 0.3)
        code = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        with open_site(tmp_path) as site, socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", int(site.url.rpartition(":")[2])))
            ask = f"GET /api/v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {code}\r\n\r\n"
            deaf.sendall(ask.encode())
            channel = site.app.state.wire.state
            eventually(lambda: channel.listeners == 1, "listening")
            large = json.dumps("x" * 500_000)

            def told() -> bool:
                site.desk.tell("task", large)
                time.sleep(0.05)
                return bool(channel.listeners == 0)

            eventually(told, "let go")

    def test_no_more_listen_than_may(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("dubarr_watch.web.live.channel.MOST_LISTENERS", 0)
        assert site.problem(site.client.get("/api/v1/events"))["status"] == 503


class TestLog:
    def test_is_shown_and_filtered(self, site: Site) -> None:
        log = structlog.get_logger("test")
        log.info("found a needle", job=71)
        log.warning("found a NEEDLE", video="Näh.mkv")
        log.info("straw", job=71)
        everything = site.get("/api/v1/logs", limit=3)
        assert [one["event"] for one in everything] == ["found a needle", "found a NEEDLE", "straw"]
        needles = site.get("/api/v1/logs", search="needle")
        assert [one["event"] for one in needles][-2:] == ["found a needle", "found a NEEDLE"]
        assert site.get("/api/v1/logs", job=71, search="straw")[-1]["fields"] == {"job": 71}
        assert site.get("/api/v1/logs", level="warning")[-1]["event"] == "found a NEEDLE"

    def test_holds_no_secret(self, site: Site) -> None:
        structlog.get_logger("test").info("leak", password=PASSWORD, key=f"x {PASSWORD} y")
        assert PASSWORD not in json.dumps(site.get("/api/v1/logs", search="leak"))

    def test_comes_live_with_its_filter(self, site: Site) -> None:
        with site.client.stream("GET", "/api/v1/logs/stream", params={"search": "yes"}) as answer:
            heard = Heard(answer.iter_lines())
            eventually(lambda: site.app.state.wire.logs.listeners, "listening")
            structlog.get_logger("test").info("no")
            structlog.get_logger("test").info("yes")
            assert heard.next()["data"]["event"] == "yes"

    def test_comes_over_a_web_socket(self, site: Site) -> None:
        for number in range(60):
            structlog.get_logger("test").info("line", number=number)
        url = f"ws{site.url.removeprefix('http')}/ws/logs"
        code = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        right = {"Authorization": f"Basic {code}"}
        with connect(url, additional_headers=right, proxy=None) as ws:
            first = [json.loads(ws.recv(10)) for _ in range(50)]
            assert [one["fields"]["number"] for one in first] == list(range(10, 60))
            structlog.get_logger("test").info("new")
            assert json.loads(ws.recv(10))["event"] == "new"
        with pytest.raises(InvalidStatus, match="401"):
            connect(url, proxy=None)
        foreign = {**right, "Origin": "http://evil.example"}
        with pytest.raises(InvalidStatus, match="403"):
            connect(url, additional_headers=foreign, proxy=None)

    def test_keeps_only_so_many_lines(self, site: Site) -> None:
        for _ in range(2100):
            structlog.get_logger("test").info("line")
        assert len(TAIL.lines()) == 2000
