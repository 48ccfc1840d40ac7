"""Whoever means ill, or leaves in the middle of it: what they cannot do."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from dubarr_watch.errors import IllegalTransition
from dubarr_watch.store.records import OutputRecord
from dubarr_watch.web import connections
from dubarr_watch.web.api import uploading
from dubarr_watch.web.connections import MOST_HEAD, Connection
from dubarr_watch.web.desk.tracks import TrackDesk
from tests.composing import make_talk, names
from tests.waiting import eventually
from tests.web.sites import PASSWORD, USER, Site, Told, open_site

BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


def opened(site: Site) -> socket.socket:
    """Return a bare connection to a site."""
    return socket.create_connection(("127.0.0.1", int(site.url.rpartition(":")[2])), timeout=20)


def ended(connection: socket.socket) -> bool:
    """Wait until the other side has ended a connection."""
    with suppress(ConnectionError):
        while connection.recv(65536):
            pass
    return True


def _served(site: Site) -> bool:
    with site.anybody() as nobody, suppress(httpx.TransportError):
        return nobody.get("/health").status_code == 200
    return False


def cut_off(connection: socket.socket, drip: bytes) -> bool:
    """Send something, or nothing, and tell whether the connection is at its end."""
    connection.settimeout(0.02)
    try:
        connection.sendall(drip)
        return not connection.recv(65536)
    except TimeoutError:
        return False
    except ConnectionError:
        return True


class TestConnections:
    @pytest.mark.parametrize(
        "begin",
        [
            b"",
            b"GET /health HTTP/1.1\r\nHost: a\r\nX-Slow: ",
            b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n",
        ],
        ids=["silent", "slow head", "slow body of one who was not let in"],
    )
    def test_one_that_asks_nothing_is_ended_however_slowly_it_drips(
        self, site: Site, monkeypatch: pytest.MonkeyPatch, begin: bytes
    ) -> None:
        monkeypatch.setattr(connections, "REQUEST_S", 0.5)
        with opened(site) as slow:
            slow.sendall(begin)
            drip = b"x" if begin else b""
            eventually(lambda: cut_off(slow, drip), "its end", connections.REQUEST_S * 10)

    def test_one_that_is_used_is_kept(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        """A web socket and a stream go on, though they ask nothing more."""
        monkeypatch.setattr(connections, "REQUEST_S", 0.3)
        url = f"ws{site.url.removeprefix('http')}/ws/logs"
        with (
            connect(url, additional_headers={"Authorization": BASIC}, proxy=None) as ws,
            site.client.stream("GET", "/api/v1/events") as answer,
        ):
            ticks = answer.iter_lines()
            deadline_s = time.monotonic() + 1.0
            while time.monotonic() < deadline_s:
                site.desk.tell("task", "{}")
                assert next(ticks) is not None
                ws.ping().wait(5)
            assert site.app.state.wire.logs.listeners == 1

    def test_only_so_many_are_open_and_who_is_in_is_served(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connections, "MOST_CONNECTIONS", 5)
        monkeypatch.setattr(Connection, "_told_s", float("-inf"))
        with open_site(tmp_path) as site:
            assert site.client.get("/health").status_code == 200  # one, kept alive
            with ExitStack() as many, capture_logs() as logs:
                for _ in range(4):
                    many.enter_context(opened(site))
                assert site.client.get("/api/v1/status").status_code == 200
                for _ in range(2):
                    assert ended(many.enter_context(opened(site)))
                assert [one["event"] for one in logs] == ["too many connections"]
                assert site.client.get("/api/v1/status").status_code == 200
            eventually(lambda: _served(site), "room again")

    @pytest.mark.parametrize(
        "begun",
        [b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"],
        ids=["before the body", "after it"],
    )
    def test_headers_have_an_end(self, site: Site, begun: bytes) -> None:
        with opened(site) as endless:
            endless.sendall(begun)
            header = b"X-Long: " + b"y" * 10_000 + b"\r\n"
            eventually(lambda: cut_off(endless, header), "its end", connections.REQUEST_S / 2)

    @pytest.mark.parametrize(("over", "status"), [(0, b"404"), (1, b"400")])
    @pytest.mark.parametrize("where", ["address", "header"])
    def test_a_head_is_so_long_at_most(
        self, site: Site, where: str, over: int, status: bytes
    ) -> None:
        """Sent at once, where counting what arrived would see its end as well."""
        known = [(b"authorization", BASIC.encode()), (b"host", b"a"), (b"connection", b"close")]
        length = MOST_HEAD + over - sum(len(name) + len(value) for name, value in known)
        if where == "address":
            lines = [b"GET /" + b"y" * (length - 1) + b" HTTP/1.1"]
        else:
            lines = [b"GET /nowhere HTTP/1.1", b"x: " + b"y" * (length - len("/nowhere") - 1)]
        lines += [name + b": " + value for name, value in known]
        with opened(site) as long:
            long.sendall(b"\r\n".join(lines) + b"\r\n\r\n")
            assert long.recv(65536).split()[1] == status

    def test_no_more_listen_to_the_log_than_may(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("dubarr_watch.web.live.channel.MOST_LISTENERS", 0)
        url = f"ws{site.url.removeprefix('http')}/ws/logs"
        with pytest.raises(InvalidStatus, match="403"):
            connect(url, additional_headers={"Authorization": BASIC}, proxy=None)


@pytest.fixture
def folder(site: Site) -> Iterator[Path]:
    yield site.shop.videos
    for path in site.shop.videos.iterdir():
        path.unlink()


class TestUploads:
    def test_what_was_finished_is_not_emptied_by_the_next_of_its_name(
        self, site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The second opens the hidden file just before the first gives it its name."""
        first = site.desk.uploads.begin("Film.mkv", "", None)
        first.add(b"whole")
        real_open = os.open

        def open_then_finish(*asked: object) -> int:
            handle = real_open(*asked)  # type: ignore[arg-type]
            if asked[0] != first._part:
                return handle
            monkeypatch.setattr(os, "open", real_open)
            first.finish()
            return handle

        monkeypatch.setattr(os, "open", open_then_finish)
        with pytest.raises(IllegalTransition):
            site.desk.uploads.begin("Film.mkv", "", None)
        assert (folder / "Film.mkv").read_bytes() == b"whole"

    def test_what_a_dead_one_finished_but_for_its_hidden_name_stays_whole(
        self, site: Site, folder: Path
    ) -> None:
        dead = site.desk.uploads.begin("Film.mkv", "", None)
        dead.add(b"whole")
        os.link(folder / names(folder)[0], folder / "Moved.mkv")
        dead._file.close()
        again = site.desk.uploads.begin("Film.mkv", "", None)
        again.add(b"again")
        again.finish()
        assert (folder / "Moved.mkv").read_bytes() == b"whole"
        assert (folder / "Film.mkv").read_bytes() == b"again"
        assert names(folder) == ["Film.mkv", "Moved.mkv"]

    def test_a_link_that_somebody_laid_is_not_written_through(
        self, site: Site, folder: Path, tmp_path: Path
    ) -> None:
        other = tmp_path / "dubarr.db"
        other.write_bytes(b"precious")
        (folder / ".Film.mkv.dubarr-0.tmp").symlink_to(other)
        answer = site.client.post("/upload", files={"file": ("Film.mkv", b"video")})
        assert answer.status_code == 200, answer.text
        assert other.read_bytes() == b"precious"
        assert (folder / "Film.mkv").read_bytes() == b"video"
        assert not (folder / "Film.mkv").is_symlink()

    def test_one_that_stands_still_is_over_and_its_name_is_free(
        self, site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As of a telephone that left the house: its connection never ends."""
        monkeypatch.setattr(uploading, "QUIET_S", 0.4)
        head = (
            f"POST /upload?name=Film.mkv HTTP/1.1\r\nHost: a\r\nAuthorization: {BASIC}\r\n"
            "Content-Length: 1000000\r\n\r\n"
        )
        with opened(site) as gone:
            gone.sendall(head.encode() + b"some")
            eventually(lambda: names(folder) != [], "begun")
            assert gone.recv(65536).startswith(b"HTTP/1.1 422")
            eventually(lambda: names(folder) == [], "nothing left")
            answer = site.client.post("/upload", files={"file": ("Film.mkv", b"whole")})
            assert answer.status_code == 200, answer.text


class TestTracks:
    def test_a_link_in_the_place_of_a_track_gives_nothing_away(
        self, site: Site, tmp_path: Path
    ) -> None:
        job = site.shop.dub(make_talk(site.shop.videos / "Linked.mkv"), "es").job
        track = site.shop.track(job)
        secret = tmp_path / "api-key"
        secret.write_text("made-up secret")
        track.unlink()
        track.symlink_to(secret)
        try:
            for path in (f"/download/{job.id}",
                         f"/api/v1/videos/{job.video.id}/tracks/es/sidecar"):  # fmt: skip
                assert site.problem(site.client.get(path))["status"] == 404
            answer = site.client.delete(f"/api/v1/videos/{job.video.id}/tracks/es/sidecar")
            assert site.problem(answer)["status"] == 404
            assert secret.exists()
        finally:
            for left in site.shop.videos.iterdir():
                left.unlink()

    @pytest.mark.parametrize(
        "path", ["/download/{job}", "/api/v1/videos/{video}/tracks/es/sidecar"]
    )
    def test_a_track_that_is_swapped_after_it_was_looked_at_gives_nothing_away(
        self, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
    ) -> None:
        job = site.shop.dub(make_talk(site.shop.videos / "Swapped.mkv"), "es").job
        address = path.format(job=job.id, video=job.video.id)
        track, secret = site.shop.track(job), tmp_path / "api-key"
        secret.write_text("made-up secret")
        assert site.client.get(address).content == track.read_bytes()
        part = site.client.get(address, headers={"range": "bytes=0-3"})
        assert (part.status_code, part.content) == (206, track.read_bytes()[:4])
        look = TrackDesk.track

        def swap(*asked: Any) -> OutputRecord:
            found = look(*asked)
            track.unlink()
            track.symlink_to(secret)
            return found

        monkeypatch.setattr(TrackDesk, "track", swap)
        try:
            assert site.problem(site.client.get(address))["status"] == 404
        finally:
            for left in site.shop.videos.iterdir():
                left.unlink()


class TestErrors:
    def test_what_nobody_foresaw_is_a_problem_without_details(self, tmp_path: Path) -> None:
        def break_down(payload: object) -> None:
            raise RuntimeError("/app/config/dubarr.db made-up secret")

        with open_site(tmp_path, Told(hear=break_down)) as site, capture_logs() as logs:  # type: ignore[arg-type]
            answer = site.client.post("/webhook", json={})
            told = site.problem(answer)
            # It is logged after it is answered.
            eventually(lambda: [one for one in logs if one["event"] == "request failed"], "logged")
        assert told["status"] == 500
        assert "made-up" not in answer.text
        assert "/app" not in answer.text
        assert "content-security-policy" in answer.headers

    @pytest.mark.parametrize(
        "path",
        ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2f..%2fapp.py",
         "/static//etc/passwd", "/download/..%2f1", "/api/v1/videos/1/tracks/..%2f..%2f/sidecar",
         "/api/v1/jobs/1/reports/..%2f..%2fapi-key", "/debug/1/..%2f..%2fapi-key"],
    )  # fmt: skip
    def test_no_path_leads_out(self, site: Site, path: str) -> None:
        async def ask() -> bytes:  # httpx would tidy the path up
            reading, writing = await asyncio.open_connection(
                "127.0.0.1", int(site.url.rpartition(":")[2])
            )
            head = f"GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: {BASIC}\r\n"
            writing.write(f"{head}Connection: close\r\n\r\n".encode())
            answer = await reading.read()
            writing.close()
            return answer

        status = asyncio.run(ask()).split(b" ", 2)[1]
        assert status in (b"404", b"422"), status
