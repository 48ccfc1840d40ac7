"""Webhooks over HTTP, as neighbours and their scripts send them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dubarr_watch.neighbours.inbox import Inbox
from dubarr_watch.web.app import MAX_BODY_BYTES
from tests.library.conftest import House
from tests.programs import ROOT
from tests.waiting import eventually
from tests.web.sites import PASSWORD, USER, Site, Told, open_site
from tests.webhooks.conftest import golden

AT_ONCE = 50
BURST = Path(__file__).with_name("burst.py")
README = (ROOT / "README.md").read_text(encoding="utf-8")


@dataclass
class Office:
    """A served inbox, and the library behind it."""

    site: Site
    house: House
    root: Path

    def outcomes(self) -> list[str]:
        """Return what came of every webhook, newest first, once all are worked off."""

        def settled() -> list[str] | None:
            found = self.site.get("/api/v1/webhooks", limit=500)
            pending = any(one["state"] == "pending" for one in found)
            return None if pending else [one["outcome"] for one in found]

        found: list[str] = eventually(lambda: settled() or None, "worked off")
        return found

    def asked(self) -> set[tuple[str, tuple[str, ...]]]:
        """Return (name, languages) of everything that is asked for."""
        return {(r.target.name, r.languages) for r in self.house.store.requests.all_open()}


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    told = Told()
    movies = tmp_path / "videos" / "movies"
    movies.mkdir(parents=True)
    with open_site(tmp_path, told, path_map=f"/movies={movies}") as site:
        house = House(site.shop.videos, site.shop.store, site.shop.settings)
        library = house.start()
        inbox = Inbox(site.shop.settings, site.shop.store, library)
        told.hear = inbox.put
        inbox.start()
        yield Office(site, house, movies)
        inbox.stop()
        house.stop()


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("path", ["/webhook", "/api/v1/webhooks"])
def test_a_webhook_is_accepted_and_worked_off(office: Office, method: str, path: str) -> None:
    answer = office.site.client.request(method, path, json=golden("radarr_download"))
    assert answer.status_code == 202
    assert answer.json() == {"id": 1, "sender": "Radarr", "event": "Download"}
    assert "asked for German, French." in office.outcomes()[0]


@pytest.mark.parametrize(
    "name", sorted(p.stem for p in (Path(__file__).parent / "payloads").glob("*r_*.json"))
)
def test_every_event_of_radarr_and_sonarr_is_accepted(office: Office, name: str) -> None:
    """Also about files outside of the library: an error would mute us."""
    assert office.site.client.post("/webhook", json=golden(name)).status_code == 202
    assert office.outcomes()[0]


def test_what_is_no_payload_at_all_is_accepted_when_it_is_json(office: Office) -> None:
    for body in ("{}", "[]", "null", '{"eventType": "\\ud800"}', '{"eventType": "Test"}', "NaN"):
        answer = office.site.client.post(
            "/webhook", content=body, headers={"content-type": "application/json"}
        )
        assert answer.status_code == 202, body
    assert len(office.outcomes()) == 6


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"path=/a"])
def test_what_is_not_json_is_a_problem(office: Office, body: bytes) -> None:
    answer = office.site.client.post("/webhook", content=body)
    assert office.site.problem(answer)["status"] == 422


def test_a_form_says_the_same_as_json(office: Office) -> None:
    path = '/movies/It\'s a $5 "film" & more.mkv'
    answer = office.site.client.post("/webhook", data={"path": path, "languages": "de,fr"})
    assert answer.status_code == 202
    office.outcomes()
    assert office.asked() == {(Path(path).name, ("de", "fr"))}


def test_a_path_that_is_not_ours_is_a_problem_with_a_way_out(office: Office) -> None:
    problem = office.site.problem(office.site.client.post("/webhook", json={"path": "/a/b.mkv"}))
    assert problem["status"] == 422
    assert "PATH_MAP" in problem["hint"]
    assert "PATH_MAP" in office.outcomes()[0]


def test_a_body_has_an_end(office: Office) -> None:
    """The largest is taken, one byte more is not."""
    frame = len(json.dumps({"eventType": "Grab", "x": ""}))
    for size, status in ((MAX_BODY_BYTES, 202), (MAX_BODY_BYTES + 1, 413)):
        body = json.dumps({"eventType": "Grab", "x": "y" * (size - frame)})
        assert office.site.client.post("/webhook", content=body).status_code == status


def test_nobody_gets_in_without_the_key(office: Office) -> None:
    body = golden("radarr_test")
    key = office.site.desk.credentials.api_key
    with office.site.anybody() as nobody:
        assert nobody.post("/webhook", json=body).status_code == 401
        assert nobody.get("/api/v1/webhooks").status_code == 401
        assert nobody.post("/webhook", json=body, auth=(USER, PASSWORD)).status_code == 202
    with office.site.anybody(**{"X-Api-Key": key}) as known:
        assert known.post("/webhook", json=body).status_code == 202


def test_fifty_at_once_are_all_kept(office: Office) -> None:
    """On connections of their own, four times each; how soon is for `benchmarks.web` to say."""
    host, _, port = office.site.url.removeprefix("http://").partition(":")
    key = f"X-Api-Key: {office.site.desk.credentials.api_key}"
    body = json.dumps(golden("radarr_download"))
    command = [sys.executable, str(BURST), host, port, key, str(AT_ONCE), "4"]
    done = subprocess.run(
        command, input=body, check=True, timeout=60, capture_output=True, text=True
    )
    assert len(json.loads(done.stdout)) == 4 * AT_ONCE
    assert office.outcomes()
    assert office.house.store.inbox.recent(1)[0].id == 4 * AT_ONCE


def _scripts() -> list[str]:
    found = re.findall(r"```sh\n(#!/bin/sh\n.*?)```", README, re.S)
    assert len(found) == 2, "README's two ways without webhooks"
    return found


@pytest.mark.parametrize(
    "variables",
    [
        {"radarr_eventtype": "Download", "radarr_moviefile_path": '/movies/It\'s $5 "now".mkv'},
        {"sonarr_eventtype": "Download", "sonarr_episodefile_path": '/movies/It\'s $5 "now".mkv'},
        {"sonarr_eventtype": "Download",
         "sonarr_episodefile_paths": '/movies/It\'s $5 "now".mkv|/movies/B|C *.mkv'},
    ],
)  # fmt: skip
def test_the_documented_script_asks_for_what_radarr_or_sonarr_imported(
    office: Office, tmp_path: Path, variables: dict[str, str]
) -> None:
    """Run as they run it, with what they set; their test, and a rename, ask for nothing."""
    key = office.site.desk.credentials.api_key
    text = _scripts()[0].replace("KEY", key).replace("http://dubarr:8000", office.site.url)
    script = tmp_path / "dub.sh"
    script.write_text(text)
    script.chmod(0o755)
    run = {"check": True, "timeout": 30, "capture_output": True}
    path = "/usr/bin:/bin"
    name = next(iter(variables)).partition("_")[0]
    for event in ("Test", "Rename"):
        subprocess.run([script], env={"PATH": path, f"{name}_eventtype": event}, **run)  # type: ignore[call-overload]
    office.outcomes()
    assert office.asked() == set()
    subprocess.run([script], env={"PATH": path, **variables}, **run)  # type: ignore[call-overload]
    office.outcomes()
    several = ["B|C *.mkv"] if "sonarr_episodefile_paths" in variables else []
    assert office.asked() == {(one, ()) for one in ['It\'s $5 "now".mkv', *several]}


def test_the_documented_script_without_a_network_leaves_a_marker(tmp_path: Path) -> None:
    script = tmp_path / "dub.sh"
    script.write_text(_scripts()[1])
    films = [str(tmp_path / f"It's $5 *{number}.mkv") for number in range(3)]
    for event, there in (("Test", 0), ("Rename", 0), ("Download", 3)):
        for variables in (
            {"radarr_eventtype": event, "radarr_moviefile_path": films[0]},
            {"sonarr_eventtype": event, "sonarr_episodefile_paths": "|".join(films[1:])},
        ):
            subprocess.run(["/bin/sh", script], env=variables, check=True, timeout=30)
        assert sum(Path(f"{film}.dub").exists() for film in films) == there


def test_the_documented_command_of_bazarr_asks_for_its_video(office: Office) -> None:
    """With the values put in as Bazarr does it, in double quotes."""
    found = re.search(r"\| Bazarr.*\| `(curl .*?)` \|", README)
    assert found
    command = found[1].replace("KEY", office.site.desk.credentials.api_key)
    command = command.replace("http://dubarr:8000", office.site.url)
    for name, value in (("episode", "/movies/It's one.mkv"), ("subtitles", "/movies/a.srt")):
        command = command.replace(f"{{{{{name}}}}}", f'"{value}"')
    subprocess.run(command, shell=True, check=True, timeout=30, capture_output=True)
    office.outcomes()
    assert office.asked() == {("It's one.mkv", ())}


def test_the_documented_data_of_tautulli_asks_for_its_video(office: Office) -> None:
    found = re.search(r"\| Tautulli.*\| `(\{.*?\})` \|", README)
    assert found
    body = found[1].replace("{action}", "created").replace("{file}", "/movies/a.mkv")
    assert office.site.client.post("/webhook", json=json.loads(body)).status_code == 202
    office.outcomes()
    assert office.asked() == {("a.mkv", ())}
