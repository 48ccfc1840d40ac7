"""`dubarr-watch models` and `languages` against a real HTTP server and real folders."""

from __future__ import annotations

import hashlib
import io
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from dubarr_watch.cli.pull_progress import LINE_EVERY_S, shown_progress
from dubarr_watch.engines import catalog
from dubarr_watch.engines.catalog import Model, ModelFile, ModelList, PullProgress
from dubarr_watch.engines.xtts_languages import XTTS_LANGUAGES
from tests.cli.conftest import Call, Home
from tests.engines.hubserver import HubServer

WEIGHTS = random.Random(1).randbytes(300_000)
VOICE = b"a voice that not every source has"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub with one small model, the only one that the program knows."""
    with HubServer({"/model.bin": WEIGHTS, "/voice.bin": VOICE, "/other.bin": VOICE}) as server:
        known = ModelList((Model("small", "speech", "MIT", (
            _file(server, "model.bin", WEIGHTS, optional=False),
            _file(server, "voice.bin", VOICE, optional=True),
            _file(server, "other.bin", VOICE, optional=True),
        )),))  # fmt: skip
        monkeypatch.setattr(catalog, "embedded_models", lambda: known)
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        yield server


def _file(hub: HubServer, path: str, body: bytes, *, optional: bool) -> ModelFile:
    digest = hashlib.sha256(body).hexdigest()
    return ModelFile(path, len(body), digest, url=f"{hub.url}/{path}", optional=optional)


class TestList:
    def test_what_is_missing_is_said_with_the_way_to_get_it(
        self, call: Call, home: Home, hub: HubServer
    ) -> None:
        """Size, licence, what it is for and where it comes from, in 80 columns."""
        said = call("models", "list")
        assert said.exit_code == 0
        for word in ("small", "speech", "300.1 kB", "MIT", "missing", "from 127.0.0.1"):
            assert word in said.stdout
        assert "dubarr-watch models pull" in said.stdout
        assert not home.models.exists()

    def test_the_document_tells_the_same(self, call: Call, home: Home, hub: HubServer) -> None:
        """States are words, sizes are bytes."""
        (model,) = call("models", "list", "--json").document["models"]
        assert model == {
            "name": "small", "role": "speech", "size_bytes": len(WEIGHTS) + 2 * len(VOICE),
            "licence": "MIT", "homepage": "", "gated": False, "agreement": "",
            "source": "127.0.0.1", "state": "missing", "left_out": [],
            "folder": str(home.models / "small"),
        }  # fmt: skip

    def test_every_model_of_the_product_is_listed(self, call: Call, home: Home) -> None:
        """The real list, without pulling any."""
        names = [one["name"] for one in call("models", "list", "--json").document["models"]]
        assert names == catalog.embedded_models().names()
        assert all(name in call("models", "list").stdout for name in names)


class TestPull:
    def test_a_pulled_model_is_ready(self, call: Call, home: Home, hub: HubServer) -> None:
        """Without a terminal progress is a few plain lines on standard error."""
        said = call("models", "pull")
        assert said.exit_code == 0
        assert "ready  small  fetched in" in said.stdout
        assert "small: 0% of 0 MB" in said.stderr
        assert 2 <= said.stderr.count("small: ") <= 4
        assert (home.models / "small" / "model.bin").read_bytes() == WEIGHTS
        again = call("models", "pull", "small", "--json")
        assert again.document["models"][0]["fetched"] is False

    def test_the_document_stands_alone(self, call: Call, home: Home, hub: HubServer) -> None:
        """Progress does not get into it."""
        said = call("models", "pull", "--json")
        (model,) = said.document["models"]
        assert (model["model"], model["fetched"]) == ("small", True)
        assert model["folder"] == str(home.models / "small")
        assert "small: " in said.stderr

    def test_an_unknown_name_is_wrong_usage(self, call: Call, home: Home, hub: HubServer) -> None:
        """The names that there are stand beside it."""
        said = call("models", "pull", "smal", "--json")
        assert said.exit_code == 2
        assert "smal" in said.document["error"]
        assert "small" in said.document["hint"]
        plain = call("models", "pull", "smal")
        assert (plain.exit_code, plain.stdout) == (2, "")

    def test_what_cannot_be_had_is_an_error(self, call: Call, home: Home, hub: HubServer) -> None:
        """Exit code 1, and no half model."""
        del hub.files["/model.bin"]
        said = call("models", "pull")
        assert said.exit_code == 1
        assert "Error:" in said.stderr
        assert not (home.models / "small").exists()

    def test_a_model_without_its_optional_files_says_so(
        self, call: Call, home: Home, hub: HubServer
    ) -> None:
        """When it is pulled, and whenever it is listed."""
        del hub.files["/voice.bin"]
        assert "small works without voice.bin" in call("models", "pull").stdout
        said = call("models", "list")
        assert "small works without voice.bin" in said.stdout
        assert "ready*" in said.stdout
        (model,) = call("models", "list", "--json").document["models"]
        assert (model["state"], model["left_out"]) == ("ready", ["voice.bin"])


class TestVerify:
    def test_a_whole_model_is_ok(self, call: Call, home: Home, hub: HubServer) -> None:
        """Every file is hashed and equal."""
        call("models", "pull")
        said = call("models", "verify", "--json")
        assert said.exit_code == 0
        (model,) = said.document["models"]
        assert model["state"] == "ok"
        assert all(file["got_sha256"] == file["want_sha256"] for file in model["files"])

    def test_one_changed_byte_is_damage(self, call: Call, home: Home, hub: HubServer) -> None:
        """Exit code 1; the file is named, and the next pull mends it."""
        call("models", "pull")
        with (home.models / "small" / "model.bin").open("r+b") as file:
            file.write(bytes([WEIGHTS[0] ^ 1]))
        said = call("models", "verify")
        assert said.exit_code == 1
        assert "model.bin: damaged" in said.stdout
        assert "dubarr-watch models pull" in said.stdout
        assert "damaged" in call("models", "list").stdout
        call("models", "pull")
        assert call("models", "verify").exit_code == 0

    def test_what_is_missing_is_for_the_user_to_provide(
        self, call: Call, home: Home, hub: HubServer
    ) -> None:
        """Exit code 4."""
        said = call("models", "verify", "--json")
        assert said.exit_code == 4
        assert said.document["models"][0]["state"] == "missing"

    def test_what_was_left_out_is_not_missing(self, call: Call, home: Home, hub: HubServer) -> None:
        """The model works without it."""
        del hub.files["/voice.bin"]
        call("models", "pull")
        said = call("models", "verify", "--json")
        assert said.exit_code == 0
        states = {file["path"]: file["state"] for file in said.document["models"][0]["files"]}
        assert states == {"model.bin": "ok", "voice.bin": "left_out", "other.bin": "ok"}

    def test_a_wrong_name_ends_it_at_once(self, call: Call, home: Home, hub: HubServer) -> None:
        """Wrong usage."""
        assert call("models", "verify", "large").exit_code == 2


class TestProgress:
    @pytest.mark.parametrize(("passed_s", "lines"), [(LINE_EVERY_S - 0.1, 1), (LINE_EVERY_S, 2)])
    def test_lines_keep_their_distance(self, passed_s: float, lines: int) -> None:
        """In a log file one every five seconds is enough."""
        written, now = Console(file=io.StringIO(), width=200), [100.0]
        with shown_progress(written, clock=lambda: now[0]) as report:
            report(PullProgress("small", "fetching", 0, 100_000_000))
            now[0] += passed_s
            report(PullProgress("small", "fetching", 50_000_000, 100_000_000))
        assert _text(written).count("\n") == lines

    def test_a_line_tells_rate_and_time_left(self) -> None:
        """From what came since the line before."""
        written, now = Console(file=io.StringIO(), width=200), [0.0]
        with shown_progress(written, clock=lambda: now[0]) as report:
            report(PullProgress("small", "fetching", 0, 100_000_000))
            now[0] = 10.0
            report(PullProgress("small", "fetching", 20_000_000, 100_000_000))
        assert "small: 20% of 100 MB  2.0 MB/s  about 40 s left  fetching" in _text(written)

    def test_the_end_is_always_told(self) -> None:
        """However soon it comes, and once."""
        written = Console(file=io.StringIO(), width=200)
        with shown_progress(written, clock=lambda: 0.0) as report:
            for done in (0, 50, 100, 100):
                report(PullProgress("small", "fetching", done, 100))
        assert _text(written).count("100%") == 1

    def test_a_terminal_gets_a_bar(self) -> None:
        """With bytes, and words that are no markup."""
        screen = Console(file=io.StringIO(), force_terminal=True, width=120)
        with shown_progress(screen) as report:
            report(PullProgress("small", "checking [bold]x", 50_000_000, 100_000_000))
        assert "50.0/100.0 MB" in _text(screen)
        assert "[bold]x" in _text(screen)


def test_languages_are_told_for_people_and_programs(call: Call, home: Home) -> None:
    """Without any setting."""
    assert "well into:" in call("languages").stdout
    known = {one["code"]: one for one in call("languages", "--json").document["languages"]}
    assert known["es"] == {
        "code": "es", "name": "Spanish", "speech": "kokoro", "translation": "fair", "well": True,
    }  # fmt: skip
    assert known["pl"]["well"] is False


FULL = {"PROFILE": "full", "OPENAI_API_KEY": "made-up", "HF_TOKEN": "made-up",
        "COQUI_TOS_AGREED": "true"}  # fmt: skip


def test_languages_are_those_of_the_profile_in_use(
    call: Call, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its voice speaks, and which of those nobody listens to."""
    for name, value in FULL.items():
        monkeypatch.setenv(name, value)
    told = call("languages").stdout
    assert "The full profile with XTTS v2 dubs" in told
    assert "into 17 languages:" in told
    assert "German (de)" in told
    document = call("languages", "--json").document
    assert (document["profile"], document["speech"]) == ("full", "XTTS v2")
    assert {one["code"] for one in document["languages"]} == set(XTTS_LANGUAGES)
    assert all(one["checked"] for one in document["languages"])
    assert {"code": "cy", "name": "Welsh"} in document["heard"]


def test_languages_of_a_voice_that_has_to_be_asked(
    call: Call, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And of one whose languages Whisper does not all know."""
    for name, value in {**FULL, "TTS_MODEL": "elevenlabs", "ELEVENLABS_API_KEY": "made-up"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ELEVENLABS_MODEL", "eleven_of_tomorrow")
    assert "ElevenLabs is asked when a job starts" in call("languages").stdout
    assert call("languages", "--json").document["languages"] is None
    monkeypatch.setenv("ELEVENLABS_MODEL", "eleven_v3")
    told = call("languages").stdout
    assert "of these nobody listens to the takes:" in told
    unchecked = [o["code"] for o in call("languages", "--json").document["languages"]
                 if not o["checked"]]  # fmt: skip
    assert "ceb" in unchecked
    assert "de" not in unchecked


def test_languages_are_listed_before_all_keys_are_set(
    call: Call, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROFILE", "full")
    assert "The full profile with XTTS v2" in call("languages").stdout


def _text(console: Console) -> str:
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_a_folder_for_models_that_cannot_be_written_is_named(
    call: Call, hub: HubServer, home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file in its place, for instance."""
    blocked = tmp_path / "file"
    blocked.write_text("x")
    monkeypatch.setenv("MODELS_DIR", str(blocked / "models"))
    said = call("models", "pull")
    assert said.exit_code == 4
    assert "cannot be written to" in said.stderr
