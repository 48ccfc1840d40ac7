"""`dubarr-watch doctor` on real folders and processes, and its limits from both sides."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dubarr_watch import media
from dubarr_watch.cli import doctor
from dubarr_watch.doctor import (
    CHECKS,
    CheckResult,
    CheckState,
    examine,
    exit_code,
    folders,
    machine,
    models,
)
from dubarr_watch.doctor import media_tools as tools
from dubarr_watch.doctor.models import health_result
from dubarr_watch.doctor.result import failed, missing, ok, skipped, warning
from dubarr_watch.engines.registry import specs_for
from dubarr_watch.errors import DiskFull, ExitCode, KeyMissing
from dubarr_watch.settings import Profile, Settings, load_settings
from dubarr_watch.store import Store
from tests.cli.conftest import Call, Home

# Apprise imports it where Python still has it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

NOBODY = 65534
SECRETS = {
    "OPENAI_API_KEY": "sk-very-secret-key",
    "API_PASS": "hunter2hunter2",
    "NOTIFY_URLS": "json://127.0.0.1:9/topsecrettoken",
}


@pytest.fixture
def mock(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A library that is ready, with fakes for models."""
    home.videos.mkdir()
    monkeypatch.setenv("MOCK_MODE", "true")
    return home


@pytest.fixture
def open_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """Folders that another user may enter; be that user with `as_nobody`."""
    root = Path(tempfile.mkdtemp(prefix="dubarr-"))
    root.chmod(0o755)
    found = Home(root / "config", root / "videos", root / "models")
    for name, folder in (
        ("CONFIG", found.config),
        ("VIDEOS", found.videos),
        ("MODELS", found.models),
    ):
        folder.mkdir()
        monkeypatch.setenv(f"{name}_DIR", str(folder))
    yield found
    shutil.rmtree(root)


@pytest.fixture
def as_nobody() -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    yield
    os.seteuid(0)


def one(name: str, **settings: object) -> CheckResult:
    """Run one check as the doctor does."""
    (result,) = examine(load_settings(**settings), {name: CHECKS[name]})
    return result


class TestTheCommand:
    def test_all_is_well(self, call: Call, mock: Home) -> None:
        """Every check is listed, nothing failed, and no file was made or left."""
        said = call("doctor")
        assert said.exit_code == 0
        for name in CHECKS:
            assert name.replace("_", " ") in said.stdout
        assert "Ready" in said.stdout
        assert list(mock.videos.iterdir()) == []
        assert not mock.config.exists()

    def test_the_document_stands_alone(self, call: Call, mock: Home) -> None:
        """One entry for each check, in order."""
        document = call("doctor", "--json").document
        assert [check["name"] for check in document["checks"]] == list(CHECKS)
        assert document["exit_code"] == 0
        assert set(document["checks"][0]) == {"name", "state", "found", "advice", "must_provide"}

    def test_what_the_user_must_provide_ends_with_four(self, call: Call, home: Home) -> None:
        """No folder for videos, no models."""
        said = call("doctor", "--json")
        assert said.exit_code == said.document["exit_code"] == 4
        bad = {check["name"] for check in said.document["checks"] if check["must_provide"]}
        assert {"videos_writable", "models"} <= bad
        assert "dubarr-watch models pull" in call("doctor").stdout

    def test_wrong_settings_are_a_result_and_not_the_end(
        self, call: Call, mock: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each wrong variable has its line; the other checks wait."""
        monkeypatch.setenv("SETTLE_SECONDS", "soon")
        monkeypatch.setenv("TARGET_LANGS", "klingonisch")
        said = call("doctor")
        assert said.exit_code == 1
        assert "SETTLE_SECONDS" in said.stdout
        assert "TARGET_LANGS" in said.stdout
        document = call("doctor", "--json").document
        assert [check["name"] for check in document["checks"]] == list(CHECKS)
        assert {check["state"] for check in document["checks"][1:]} == {"skipped"}

    def test_no_secret_is_ever_shown(
        self, call: Call, mock: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Only whether each is set; also not when sending fails."""
        for name, value in SECRETS.items():
            monkeypatch.setenv(name, value)
        said = call("doctor", "--json", "--notify")
        keys = next(c for c in said.document["checks"] if c["name"] == "keys")
        assert "OPENAI_API_KEY set" in keys["found"]
        assert "HF_TOKEN not set" in keys["found"]
        sent = said.document["checks"][-1]
        assert (sent["name"], sent["state"]) == ("test_message", "failed")
        for shown in (said.stdout, said.stderr, call("doctor", "--notify").stdout):
            for word in ("very-secret", "hunter2", "topsecrettoken"):
                assert word not in shown

    def test_a_hostile_folder_name_stays_a_name(
        self, call: Call, mock: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No markup, no control character reaches the terminal."""
        monkeypatch.setenv("VIDEOS_DIR", str(mock.videos / "[red]\x1b[31m\n\udcff"))
        said = call("doctor")
        assert "[red]\\x1b[31m\\n\\xff is not there" in said.stdout
        assert "\x1b" not in said.stdout
        assert call("doctor", "--json").exit_code == 4


class TestOneBadCheckSpoilsNothing:
    def test_a_check_that_breaks_is_its_own_failure(
        self, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The others go on, and the secret in its words is blotted out."""
        monkeypatch.setenv("OPENAI_API_KEY", SECRETS["OPENAI_API_KEY"])

        def broken(name: str, settings: Settings) -> CheckResult:
            raise ZeroDivisionError(f"with {SECRETS['OPENAI_API_KEY']}")

        checks = {"broken": broken, "sqlite": CHECKS["sqlite"]}
        first, second = examine(load_settings(), checks)
        assert first.state is CheckState.FAILED
        assert first.found == "The check itself broke: ZeroDivisionError: with ***"
        assert second.state is CheckState.OK

    def test_errors_keep_their_words_and_meaning(self, home: Home) -> None:
        """What only the user can provide is told apart."""

        def full(name: str, settings: Settings) -> CheckResult:
            raise DiskFull("Full.", hint="Free some.", path=Path("/x"))

        def key(name: str, settings: Settings) -> CheckResult:
            raise KeyMissing("No key.", hint="Set it.")

        disk, missing_key = examine(load_settings(), {"full": full, "key": key})
        assert (disk.found, disk.advice, disk.must_provide) == ("Full. (/x)", "Free some.", False)
        assert (missing_key.advice, missing_key.must_provide) == ("Set it.", True)

    def test_the_exit_code_is_the_worst_that_was_found(self) -> None:
        """Warnings are no failure; what must be provided wins."""
        good = [ok("a", ""), warning("b", "", ""), skipped("c", "")]
        assert exit_code(good) == ExitCode.DONE
        assert exit_code([*good, failed("d", "", "")]) == ExitCode.FAILED
        both = [*good, missing("e", "", ""), failed("d", "", "")]
        assert exit_code(both) == ExitCode.USER_MUST_PROVIDE


class TestConfiguration:
    def test_without_keys_embedded_runs_and_says_why(self, home: Home) -> None:
        """The names of the missing keys are in it."""
        result = one("profile")
        assert result.state is CheckState.OK
        assert result.found.startswith("embedded")
        assert "OPENAI_API_KEY, HF_TOKEN and COQUI_TOS_AGREED are not set" in result.found

    def test_a_part_of_what_full_needs_is_not_passed_over(self, home: Home) -> None:
        """Who set two of three keys wanted something."""
        result = one("profile", openai_api_key="sk-something", hf_token="hf_something")
        assert result.state is CheckState.WARNING
        assert "COQUI_TOS_AGREED is not set" in result.found
        assert "COQUI_TOS_AGREED: set it to true if you accept" in result.advice

    def test_full_without_a_key_is_for_the_user_to_provide(self, home: Home) -> None:
        """It names the variable."""
        result = one("profile", profile="full", hf_token="hf_something", coqui_tos_agreed=True)
        assert result.must_provide
        assert "OPENAI_API_KEY" in result.found
        assert "HF_TOKEN" not in result.found

    def test_full_shows_its_plan_as_a_table(self, home: Home) -> None:
        """A line for each stage, then how they share what there is."""
        skipped_ = one("plan")
        assert skipped_.state is CheckState.SKIPPED
        keys = {"openai_api_key": "k", "hf_token": "t", "coqui_tos_agreed": True}
        result = one("plan", device="cpu", **keys)
        assert result.state is CheckState.OK
        lines = result.found.splitlines()
        assert [line.split()[0] for line in lines[:-1]] == [
            "transcriber", "diarizer", "translator", "synthesizer",
        ]  # fmt: skip
        assert lines[-1] == "No GPU is used; one job at a time."

    def test_a_service_that_costs_is_not_tried(self, home: Home) -> None:
        """And nobody claims that it works."""
        keys = {"openai_api_key": "k", "hf_token": "t", "coqui_tos_agreed": True}
        result = one("translation", device="cpu", **keys)
        assert result.state is CheckState.SKIPPED
        assert "gpt-6-luna" in result.found

    def test_full_names_languages_that_its_voice_does_not_speak(self, home: Home) -> None:
        """With those that it does."""
        keys = {"openai_api_key": "k", "hf_token": "t", "coqui_tos_agreed": True}
        assert one("languages", target_langs="pl", **keys).state is CheckState.OK
        refused = one("languages", target_langs="pl,cy", **keys)
        assert refused.state is CheckState.FAILED
        assert "XTTS v2 does not speak Welsh. It speaks Arabic, " in refused.found

    def test_full_asks_for_the_models_of_its_plan(self, home: Home) -> None:
        """Without separation nobody has to pull what separates."""
        keys = {"openai_api_key": "k", "hf_token": "t", "coqui_tos_agreed": True}
        result = one("models", device="cpu", **keys)
        assert result.must_provide
        assert "xtts-v2 missing" in result.found
        assert "htdemucs" not in result.found
        assert "htdemucs missing" in one("models", device="cpu", separation="always", **keys).found

    def test_languages_are_good_poor_or_impossible(self, home: Home) -> None:
        """Spanish; Spanish and Polish; Japanese."""
        assert one("languages", target_langs="es").state is CheckState.OK
        poor = one("languages", target_langs="es,pl")
        assert poor.state is CheckState.WARNING
        assert "Polish (pl)" in poor.found
        assert "Spanish" not in poor.found
        assert one("languages", target_langs="es,ja").state is CheckState.FAILED

    def test_a_typing_error_in_config_env_is_found(self, home: Home) -> None:
        """Its name is shown with the nearest setting, its value is not."""
        home.config.mkdir()
        (home.config / "config.env").write_text("SUBTITLES=false\nOPENAI_API_KEI=sk-oops-secret\n")
        result = one("settings")
        assert result.state is CheckState.WARNING
        assert "OPENAI_API_KEI (OPENAI_API_KEY?)" in result.found
        assert "oops" not in result.found
        (home.config / "config.env").write_text("SUBTITLES=false\nOPENAI_API_KEY_FILE=\n")
        assert one("settings").state is CheckState.OK


class TestMediaTools:
    def test_the_real_tools_are_good(self, home: Home) -> None:
        """Those that the tests themselves run with."""
        assert one("ffmpeg").state is CheckState.OK
        assert one("ffprobe").state is CheckState.OK

    @pytest.mark.parametrize(
        ("version", "old"),
        [("5.0.9", True), ("4.4.2-0ubuntu0.22.04.1", True), ("5.1", False), ("n5.0", True),
         ("5.1.6-0+deb12u1", False), ("8.1", False), ("10.0", False), ("N-118000-gabcdef", False)],
    )  # fmt: skip
    def test_versions_from_five_one_on_are_new_enough(self, version: str, old: bool) -> None:
        """A build between releases has no number and counts as new."""
        assert tools.is_too_old(version) is old

    @pytest.mark.parametrize("part", ["ebur128", "aac"])
    def test_a_missing_part_is_named(
        self, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
    ) -> None:
        """A filter or an encoder that a build left out."""
        real = media.ffmpeg_path()
        crippled = tmp_path / "ffmpeg"
        crippled.write_text(f'#!/bin/sh\n"{real}" "$@" | grep -v " {part} "\n')
        crippled.chmod(0o755)
        monkeypatch.setattr(media, "ffmpeg_path", lambda: str(crippled))
        result = one("ffmpeg")
        assert result.must_provide
        assert f"lacks {part}." in result.found

    def test_a_tool_that_cannot_run_is_missing(
        self, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Built for another processor, or cut off."""
        broken = tmp_path / "ffprobe"
        broken.write_bytes(b"\x7fELF and nothing more")
        broken.chmod(0o755)
        monkeypatch.setattr(media, "ffprobe_path", lambda: str(broken))
        result = one("ffprobe")
        assert result.must_provide
        assert "cannot be run" in result.found


class TestFolders:
    def test_a_read_only_library_is_found(self, open_home: Home, as_nobody: None) -> None:
        """Tracks could not be put beside the videos."""
        os.seteuid(NOBODY)
        for name in ("videos_writable", "config_writable", "models_writable"):
            result = one(name)
            assert result.must_provide, name
            assert "Permission denied" in result.found
            assert f"user {NOBODY}" in result.advice

    def test_one_read_only_folder_in_it_is_found(self, open_home: Home, as_nobody: None) -> None:
        """But not one that is left alone anyway."""
        open_home.videos.chmod(0o777)
        for name in ("Good", "lost+found", "@eaDir"):
            (open_home.videos / name).mkdir()
        (open_home.videos / "Good").chmod(0o777)
        os.seteuid(NOBODY)
        assert one("videos_writable").state is CheckState.OK
        os.seteuid(0)
        (open_home.videos / "Good" / "Season 1").mkdir()
        os.seteuid(NOBODY)
        result = one("videos_writable")
        assert result.must_provide
        assert "Season 1" in result.found
        assert "lost+found" not in result.found

    def test_folders_that_can_be_made_are_fine(self, home: Home) -> None:
        """Except the library: an empty one would hide a mount that is not there."""
        assert "can be made" in one("config_writable").found
        assert one("models_writable").state is CheckState.OK
        assert one("videos_writable").must_provide

    def test_nothing_is_left_behind(self, home: Home) -> None:
        """Neither in the library nor in its folders."""
        (home.videos / "Film (2020)").mkdir(parents=True)
        result = one("videos_writable")
        assert result.state is CheckState.OK
        assert [path.name for path in home.videos.rglob("*")] == ["Film (2020)"]

    def test_space_has_two_limits(self, tmp_path: Path) -> None:
        """Below what is needed it fails, below what is safe it warns."""
        free = shutil.disk_usage(tmp_path).free
        slack = free // 2  # others write to this disk, too

        def state(needed: int, wanted: int) -> CheckState:
            found = folders.space_result("x", "X", tmp_path / "new", needed=needed, wanted=wanted)
            return found.state

        assert state(free + slack, free + slack) is CheckState.FAILED
        assert state(slack, free + slack) is CheckState.WARNING
        assert state(slack, slack) is CheckState.OK

    @pytest.mark.parametrize(
        ("kind", "state"),
        [("ext4", "ok"), ("", "ok"), ("nfs4", "failed"), ("cifs", "failed"), ("9p", "warning"),
         ("fuse.mergerfs", "warning"), ("fuse.sshfs", "failed"), ("tmpfs", "warning"),
         ("overlay", "warning")],
    )  # fmt: skip
    def test_a_database_belongs_on_a_local_disk(self, kind: str, state: str) -> None:
        """Network mounts fail, what is lost or slow warns."""
        assert folders.config_file_system_result("x", kind).state.value == state

    def test_silent_mounts_are_polled(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        """Only WATCH_MODE=events on one of them is a mistake."""
        monkeypatch.setattr(folders, "filesystem_kind", lambda path: "nfs4")
        assert one("videos_file_system").state is CheckState.OK
        assert "polled" in one("videos_file_system").found
        assert one("videos_file_system", watch_mode="events").state is CheckState.WARNING
        assert one("inotify").state is CheckState.SKIPPED
        assert one("inotify", watch_mode="events").state is not CheckState.SKIPPED

    @pytest.mark.parametrize(("count", "state"), [(8000, "ok"), (8001, "warning")])
    def test_folders_and_watches_are_compared(self, count: int, state: str) -> None:
        """Others need watches too, so a fifth is left to them; the advice is a command."""
        result = folders.inotify_result("x", count, 10_000)
        assert result.state.value == state
        assert ("sudo sysctl fs.inotify.max_user_watches=524288" in result.advice) == (
            state == "warning"
        )

    def test_the_limit_that_is_advised_is_large_enough(self) -> None:
        """With room for as many folders again."""
        assert "max_user_watches=2097152" in folders.inotify_result("x", 1_000_000, 8192).advice

    def test_folders_are_counted(self, home: Home) -> None:
        """The root is one of them."""
        (home.videos / "Series" / "Season 1").mkdir(parents=True)
        assert one("inotify", watch_mode="events").found.startswith("3 folders")
        assert one("inotify", watch_mode="poll").state is CheckState.SKIPPED


class TestTheMachine:
    @pytest.mark.parametrize(
        ("total", "state"), [(1999, "failed"), (2000, "warning"), (3499, "warning"), (3500, "ok")]
    )
    def test_memory_has_two_limits(self, total: int, state: str) -> None:
        """The embedded profile needs about 4 GB."""
        assert machine.memory_result("x", total, total).state.value == state

    def test_a_containers_limit_counts(self, tmp_path: Path) -> None:
        """It is smaller than the machine; `max` is none."""
        limit = tmp_path / "memory.max"
        limit.write_text(f"{1024 * machine.MIB}\n")
        assert machine.total_memory_mib(limit) == 1024
        limit.write_text("max\n")
        assert machine.total_memory_mib(limit) == machine.total_memory_mib(tmp_path / "none")

    @pytest.mark.parametrize(("cores", "state"), [(1, "warning"), (2, "ok")])
    def test_one_core_is_slow(self, cores: int, state: str) -> None:
        """Two are what the figures were measured on."""
        assert machine.processor_result("x", cores).state.value == state

    @pytest.mark.parametrize(("late_s", "state"), [(-86_401, "warning"), (-86_400, "ok")])
    def test_a_clock_before_the_installation_is_wrong(self, late_s: int, state: str) -> None:
        """A day is allowed for time zones and archives."""
        assert machine.clock_result("x", 1.7e9 + late_s, 1.7e9).state.value == state

    def test_a_damaged_database_fails(self, home: Home, store: Store) -> None:
        """A sound one is told with its size."""
        assert one("database").state is CheckState.OK
        store.close()
        home.database.write_bytes(b"no database " * 1000)
        assert one("database").state is CheckState.FAILED

    def test_a_daemon_is_seen(self, home: Home) -> None:
        """By the lock that it holds."""
        assert "None is running" in one("daemon").found
        lock = home.config / "run" / "daemon.lock"
        lock.parent.mkdir(parents=True)
        with lock.open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert one("daemon").found == "It is running."


class TestModels:
    def test_missing_models_are_named(self, home: Home) -> None:
        """And the command that gets them."""
        result = one("models")
        assert result.must_provide
        assert "kokoro-82m-v1.0-int8 missing" in result.found
        assert result.advice == "dubarr-watch models pull"
        assert one("models", mock_mode=True).state is CheckState.SKIPPED

    def test_the_speech_process_tells_who_speaks(self) -> None:
        """Few languages by name, many by number; its own engine first."""
        many = {f"{n:03d}": "espeak" for n in range(12)}
        health = {"engine": "kokoro", "device": "cpu", "problem": None,
                  "languages": {**many, "es": "kokoro", "it": "kokoro"}}  # fmt: skip
        result = health_result("x", health)
        assert result.state is CheckState.OK
        assert "kokoro speaks es, it; espeak speaks 12 others" in result.found
        broken = health_result("x", {**health, "problem": "Voices are missing."})
        assert broken.state is CheckState.WARNING
        assert "Voices are missing." in broken.found

    def test_the_speech_process_is_really_started(
        self, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In its own environment, with the engine that needs no model, and ended."""
        specs = specs_for(Profile.EMBEDDED, load_settings())
        options = {**specs.synthesizer.options, "engine": "fake"}
        fake = replace(specs, synthesizer=replace(specs.synthesizer, options=options))
        monkeypatch.setattr(models, "specs_for", lambda profile, settings: fake)
        result = one("speech_process")
        assert result.state is CheckState.OK
        assert "It starts and answers, on" in result.found
        assert "fake speaks" in result.found

    def test_a_speech_process_without_environment_is_missing(
        self, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It says how to make one."""
        monkeypatch.setattr("dubarr_watch.engines.sidecar._PLACES", (home.videos / "python",))
        result = one("speech_process")
        assert result.must_provide
        assert "make setup" in result.advice


class TestNotifications:
    def test_what_apprise_does_not_understand_fails(
        self, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The address itself is not repeated."""
        assert one("notifications").state is CheckState.SKIPPED
        monkeypatch.setenv("NOTIFY_URLS", "json://127.0.0.1/one nonsense://with-token")
        result = one("notifications")
        assert result.state is CheckState.FAILED
        assert "with-token" not in result.found
        monkeypatch.setenv("NOTIFY_URLS", "json://127.0.0.1/one")
        assert one("notifications").state is CheckState.OK

    def test_a_test_is_only_sent_when_asked_for(self, call: Call, mock: Home) -> None:
        """And skipped where nobody is to be told."""
        names = [check["name"] for check in call("doctor", "--json").document["checks"]]
        assert "test_message" not in names
        (last,) = call("doctor", "--json", "--notify").document["checks"][-1:]
        assert (last["name"], last["state"]) == ("test_message", "skipped")


def test_every_state_has_a_sign() -> None:
    """So that a new one cannot break the command."""
    assert set(doctor._SIGNS) == set(CheckState)
