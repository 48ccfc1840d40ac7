"""The daemon between its neighbours, a real process: from Radarr's webhook to Jellyfin's look."""

from __future__ import annotations

import shutil
import socket
import time
from pathlib import Path

import httpx
import pytest

from dubarr_watch.media import probe
from dubarr_watch.store import Store
from dubarr_watch.store.inbox import InboxRecord, InboxState
from dubarr_watch.store.records import JobState
from tests.composing import make_talk
from tests.programs import Program, free_port
from tests.services.media_servers import TOKEN, Jellyfin
from tests.waiting import eventually
from tests.webhooks.conftest import NEW, golden


def client(program: Program, port: int) -> httpx.Client:
    key = program.config / "api-key"
    eventually(lambda: key.exists() and _answers(port), "page")
    return httpx.Client(
        base_url=f"http://127.0.0.1:{port}",
        headers={"X-Api-Key": key.read_text().strip()},
        trust_env=False,
    )


def _answers(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def inbox(program: Program) -> list[InboxRecord]:
    with Store.open(program.config / "dubarr.db") as store:
        return store.inbox.recent()


@pytest.mark.parametrize("mode", ["mux", "sidecar"])
def test_from_an_import_to_the_media_server(tmp_path: Path, mode: str) -> None:
    """A tagged film is dubbed once, though it is told twice and muxed in between."""
    port = free_port()
    with (
        Jellyfin() as jellyfin,
        Program(
            tmp_path, API_PORT=str(port), API_PASS="made-up-password", OUTPUT_MODE=mode,
            JELLYFIN_URL=jellyfin.url, JELLYFIN_TOKEN=TOKEN, SCAN_INTERVAL="1",
            PATH_MAP=f"/movies={tmp_path}/videos/movies", LOG_LEVEL="debug",
        ) as program,
    ):  # fmt: skip
        program.start()
        video = program.videos / NEW
        video.parent.mkdir(parents=True)
        talk = make_talk(tmp_path / "talk.mkv")
        with client(program, port) as radarr:
            body = golden("radarr_download")
            assert radarr.post("/webhook", json=body).status_code == 202
            shutil.copyfile(talk, video)
            before = time.time()
            job = program.ended(video.name)
            assert (job.languages, job.state) == (("de", "fr"), JobState.DONE)
            eventually(lambda: jellyfin.looked_at, "told")
            if mode == "mux":
                languages = [stream.language for stream in probe(video).of_kind("audio")]
                assert languages == ["eng", "ger", "fre"]
                # What Jellyfin goes by: a time of change that is another by more than a second.
                assert video.stat().st_mtime > before + 1
            assert radarr.post("/webhook", json=body).status_code == 202
            done = [InboxState.DONE] * 2
            eventually(lambda: [one.state for one in inbox(program)] == done, "worked off")
        _pass_scans(program)
        assert jellyfin.looked_at == [(str(video), "Modified")]
        running = [j for j in program.jobs() if j.state not in (JobState.DONE, JobState.SKIPPED)]
        assert (running, len([j for j in program.jobs() if j.state is JobState.DONE])) == ([], 1)
        log = program.log.read_text("utf-8", "replace")
        assert TOKEN not in log


def _pass_scans(program: Program) -> None:
    scans = program.log.read_text("utf-8", "replace").count('"event": "scanned"')
    eventually(
        lambda: program.log.read_text("utf-8", "replace").count('"event": "scanned"') > scans + 2,
        "three more scans",
    )
