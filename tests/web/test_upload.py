"""Videos that come through the page."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from dubarr_watch.errors import WrongUsage
from dubarr_watch.web.desk import uploads
from dubarr_watch.web.desk.uploads import safe_name
from tests.composing import names
from tests.web.sites import Site

PATHS = ["/api/v1/videos/upload", "/upload"]


@pytest.fixture(autouse=True)
def empty(site: Site) -> Iterator[None]:
    yield
    for path in site.shop.videos.iterdir():
        path.unlink()
    site.looked_at.clear()


def send(site: Site, name: str, data: bytes, path: str = PATHS[0], **query: str) -> httpx.Response:
    return site.client.post(path, files={"file": (name, data)}, params=query)


@pytest.mark.parametrize("path", PATHS)
def test_a_video_lands_in_the_library(site: Site, path: str) -> None:
    data = os.urandom(3 << 20)
    answer = send(site, "Film.mkv", data, path)
    assert answer.status_code == 200, answer.text
    assert answer.json()["size_bytes"] == len(data)
    assert names(site.shop.videos) == ["Film.mkv"]
    assert (site.shop.videos / "Film.mkv").read_bytes() == data
    assert site.looked_at == [site.shop.videos / "Film.mkv"]


def test_the_body_may_be_the_file_itself(site: Site) -> None:
    answer = site.client.post(PATHS[0], content=iter([b"x" * 1000] * 50), params={"name": "A.mp4"})
    assert answer.status_code == 200, answer.text
    assert (site.shop.videos / "A.mp4").stat().st_size == 50_000


def test_nothing_that_is_there_is_replaced(site: Site) -> None:
    (site.shop.videos / "Film.mkv").write_bytes(b"mine")
    assert site.problem(send(site, "Film.mkv", b"other"))["status"] == 409
    assert (site.shop.videos / "Film.mkv").read_bytes() == b"mine"
    upload = site.desk.uploads.begin("New.mkv", "", None)
    upload.add(b"late")
    (site.shop.videos / "New.mkv").write_bytes(b"first")
    with pytest.raises(Exception, match="already"):
        upload.finish()
    upload.abandon()
    assert (site.shop.videos / "New.mkv").read_bytes() == b"first"
    assert names(site.shop.videos) == ["Film.mkv", "New.mkv"]


def test_only_one_writes_a_name_and_what_a_dead_one_left_is_no_hindrance(site: Site) -> None:
    upload = site.desk.uploads.begin("Film.mkv", "", None)
    upload.add(b"some")
    assert names(site.shop.videos)[0].startswith("."), "hidden until it is whole"
    assert site.problem(send(site, "Film.mkv", b"x"))["status"] == 409
    upload._file.close()  # as when its process dies
    assert send(site, "Film.mkv", b"whole").status_code == 200
    assert (site.shop.videos / "Film.mkv").read_bytes() == b"whole"
    assert names(site.shop.videos) == ["Film.mkv"]


def test_a_broken_connection_leaves_nothing(site: Site) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * 100_000
        raise ConnectionError("made up")

    with pytest.raises(ConnectionError):
        site.client.post(PATHS[0], content=broken(), params={"name": "Film.mkv"})
    deadline = 200
    while names(site.shop.videos) and deadline:
        site.client.get("/health")
        deadline -= 1
    assert names(site.shop.videos) == []


@pytest.mark.parametrize(
    ("limit", "status"), [(999, 422), (1000, 200)], ids=["one byte too many", "all that may"]
)
def test_it_may_be_so_large(
    site: Site, monkeypatch: pytest.MonkeyPatch, limit: int, status: int
) -> None:
    monkeypatch.setattr(site.desk.uploads, "_most_bytes", limit)
    answer = site.client.post(PATHS[0], content=iter([b"x" * 1000]), params={"name": "A.mkv"})
    assert answer.status_code == status, answer.text
    assert names(site.shop.videos) == (["A.mkv"] if status == 200 else [])


def test_there_must_be_room(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_SPARE_BYTES", 2**62)
    assert site.problem(send(site, "Film.mkv", b"x"))["status"] == 507
    assert names(site.shop.videos) == []


@pytest.mark.parametrize("folder", ["..", "nowhere", "/etc", "a/../..", "\0"])
def test_it_goes_nowhere_but_into_the_library(site: Site, folder: str) -> None:
    answer = send(site, "Film.mkv", b"x", folder=folder)
    assert site.problem(answer)["status"] == 422


def test_a_link_leads_nowhere_else(site: Site, tmp_path: Path) -> None:
    (site.shop.videos / "out").symlink_to(tmp_path)
    assert site.problem(send(site, "Film.mkv", b"x", folder="out"))["status"] == 422
    assert names(tmp_path) == []


@pytest.mark.parametrize("path", PATHS)
def test_what_is_no_form_with_a_file_is_refused(site: Site, path: str) -> None:
    multipart = {"content-type": "multipart/form-data; boundary=x"}
    for headers, body in [
        (multipart, b"nothing of a form"),
        (multipart, b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n'),
        (multipart, b'--x\r\nContent-Disposition: form-data; filename="a.mkv"\r\n\r\nhalf'),
        (multipart, b"--x\r\n" + b"H" * 20_000 + b": a\r\n\r\n"),
        ({"content-type": "multipart/form-data"}, b"x"),
        ({}, b"a body without a name"),
    ]:
        answer = site.client.post(path, content=body, headers=headers)
        assert site.problem(answer)["status"] == 422, body[:50]
    assert names(site.shop.videos) == []


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("Film.mkv", "Film.mkv"),
        ("../../etc/Film.mkv", "Film.mkv"),
        ("C:\\Videos\\Film.mkv", "Film.mkv"),
        ('a:b*c?"<>|.mkv', "a_b_c_____.mkv"),
        ("line\nbreak.mkv", "line_break.mkv"),
        ("  .hidden.mkv", "hidden.mkv"),
        ("Näh ☕.mkv", "Näh ☕.mkv"),
        ("ends with dots...mkv", "ends with dots.mkv"),
    ],
)
def test_a_name_is_made_safe(given: str, safe: str) -> None:
    assert safe_name(given) == safe


@pytest.mark.parametrize(
    "name", ["", ".mkv", "Film", "Film.exe", "..", "Film.mkv.part", "sample-x.mkv"]
)
def test_a_name_that_is_no_video_s_is_refused(name: str) -> None:
    with pytest.raises(WrongUsage):
        safe_name(name)


def test_a_long_name_leaves_room_for_its_tracks(tmp_path: Path) -> None:
    name = safe_name("ä" * 300 + ".mkv")
    assert len(name.encode()) + len(".Dubarr.es.mka") - len(".mkv") <= 255
    (tmp_path / name).touch()


def test_what_a_killed_process_left_is_gone_at_the_next_start(site: Site) -> None:
    """And only that: what was finished stays, and what bears no name of ours."""
    settings, works = site.shop.settings, site.desk.works
    desk = uploads.UploadDesk(settings, works)
    whole = desk.begin("Whole.mkv", "", None)
    whole.add(b"x")
    whole.finish()
    left = desk.begin("Left.mkv", "", None)
    left.add(b"x" * 1000)
    left._file.close()  # as the kernel does
    own = site.shop.videos / ".Own.mkv"
    own.write_bytes(b"x")
    (settings.config_dir / "run" / "uploads" / "other").write_bytes(os.fsencode(own))
    assert len(names(site.shop.videos)) == 3
    uploads.UploadDesk(settings, works)
    assert names(site.shop.videos) == [".Own.mkv", "Whole.mkv"]
    assert names(settings.config_dir / "run" / "uploads") == []
