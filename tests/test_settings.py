"""Settings: where they come from, what they may be, and what their errors give away."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from pydantic import SecretStr

from dubarr_watch.errors import ExitCode, KeyMissing, SettingsInvalid
from dubarr_watch.languages import parse_language
from dubarr_watch.settings import (
    Device,
    NotifyEvent,
    OutputMode,
    Profile,
    Settings,
    WatchMode,
    WhisperModel,
    almost_full,
    example_env,
    load_settings,
    resolve_profile,
)

ROOT = Path(__file__).parents[1]

# Name -> default, as README documents them; secrets are compared by what they hold.
DOCUMENTED = {
    "PROFILE": "auto",
    "TARGET_LANGS": "pl",
    "SOURCE_LANG": "",
    "VIDEOS_DIR": "/app/videos",
    "MODELS_DIR": "/app/models",
    "CONFIG_DIR": "/app/config",
    "WORK_DIR": "",
    "DATABASE_URL": "",
    "EXECUTOR": "local",
    "SCHEDULER": "",
    "CLUSTER_SECRET": "",
    "CLUSTER_CA": "",
    "CLUSTER_CERT": "",
    "CLUSTER_KEY": "",
    "CLUSTER_LEASE_SECONDS": "60",
    "DATABASE_ON_NETWORK": "false",
    "OUTPUT_MODE": "sidecar",
    "SUBTITLES": "true",
    "SETTLE_SECONDS": "10",
    "SCAN_INTERVAL": "300",
    "WATCH_MODE": "auto",
    "FOLLOW_LINKS": "false",
    "PROCESS_EXISTING": "false",
    "MAX_SPEEDUP": "1.25",
    "STALL_SECONDS": "600",
    "MAX_ATTEMPTS": "3",
    "TTS_PORT": "5050",
    "THREADS": "0",
    "NOTIFY_URLS": "",
    "NOTIFY_CONFIG": "",
    "NOTIFY_TAGS": "",
    "NOTIFY_ON": "done,done_with_warnings,failed,paused,worker_lost",
    "NOTIFY_DIGEST_SECONDS": "60",
    "LOG_LEVEL": "info",
    "LOG_FORMAT": "auto",
    "DEBUG_MODE": "false",
    "MOCK_MODE": "false",
    "API_HOST": "0.0.0.0",
    "API_PORT": "8000",
    "API_USER": "admin",
    "API_PASS": "admin",
    "URL_BASE": "",
    "TRUSTED_PROXIES": "",
    "UPLOAD_MAX_GIB": "100",
    "MIX_STYLE": "dub",
    "LOUDNESS": "r128",
    "STEREO": "false",
    "DUB_SONGS": "false",
    "QA": "auto",
    "QA_FAIL_SHARE": "0.3",
    "KEEP_WORK_DAYS": "7",
    "KEEP_WORK_GIB": "20",
    "HISTORY_DAYS": "365",
    "PATH_MAP": "",
    "MEDIA_PATH_MAP": "",
    "JELLYFIN_URL": "",
    "JELLYFIN_TOKEN": "",
    "EMBY_URL": "",
    "EMBY_TOKEN": "",
    "PLEX_URL": "",
    "PLEX_TOKEN": "",
    "KODI_URL": "",
    "KODI_USER": "kodi",
    "KODI_PASS": "",
    "RADARR_URL": "",
    "RADARR_API_KEY": "",
    "SONARR_URL": "",
    "SONARR_API_KEY": "",
    "OPENAI_API_KEY": "",
    "OPENAI_BASE_URL": "",
    "HF_TOKEN": "",
    "LLM_BACKEND": "openai",
    "LLM_MODEL": "gpt-6-luna",
    "LLM_FILE": "",
    "LLAMA_SERVER": "",
    "LLM_SLOTS": "0",
    "LLM_CONTEXT": "8192",
    "LLM_USD_IN": "0",
    "LLM_USD_OUT": "0",
    "TTS_MODEL": "xtts",
    "COQUI_TOS_AGREED": "false",
    "OPENAI_TTS_MODEL": "gpt-4o-mini-tts",
    "ELEVENLABS_API_KEY": "",
    "ELEVENLABS_MODEL": "eleven_multilingual_v2",
    "WHISPER_MODEL": "medium",
    "MIN_SPEAKERS": "0",
    "MAX_SPEAKERS": "0",
    "DIARIZATION_FALLBACK": "false",
    "SEPARATION": "auto",
    "DEVICE": "",
    "GPU_TTS": "0",
    "CPU_FALLBACK": "true",
    "CPU_SLOTS": "1",
    "ENGINE_MIB": "",
    "GPU_MARGIN_MIB": "512",
    "KEEP_ALIVE": "300",
    "LEASE_DIR": "",
    "JOBS": "0",
}


@pytest.fixture(autouse=True)
def config_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Leave nothing set but CONFIG_DIR, whatever the developer's shell holds."""
    for name in Settings.model_fields:
        for variable in (name, name.upper(), f"{name.upper()}_FILE"):
            monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("CONFIG_DIR", str(tmp_path))
    return tmp_path


def _lines(error: pytest.ExceptionInfo[SettingsInvalid]) -> dict[str, str]:
    """Return the error's lines by the variable they name; each variable has one line."""
    lines = [line.split(": ", 1) for line in str(error.value).splitlines()]
    assert len({name for name, _ in lines}) == len(lines)
    return {line[0]: line[1] for line in lines}


def _shown_defaults() -> dict[str, str]:
    shown = (line[1:].split("=", 1) for line in example_env().splitlines() if "=" in line)
    return {name: value for name, value in shown if name.isupper() and " " not in name}


def test_every_setting_is_documented_with_its_default() -> None:
    """The list above, the settings and the example file name the same things."""
    assert _shown_defaults() == DOCUMENTED
    assert {name.upper() for name in Settings.model_fields} == set(DOCUMENTED)
    assert all(field.description for field in Settings.model_fields.values())


def test_the_example_file_is_up_to_date() -> None:
    """config.example.env is what the settings say."""
    shown = (ROOT / "config.example.env").read_text(encoding="utf-8")
    assert shown == example_env(), (
        "regenerate it: python -m dubarr_watch.settings > config.example.env"
    )


def test_the_example_file_is_printed_by_the_module() -> None:
    """The command that the failure above names does what it says."""
    command = [sys.executable, "-W", "error", "-m", "dubarr_watch.settings"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert printed.stdout == example_env()


def test_nothing_set_gives_the_defaults(monkeypatch: pytest.MonkeyPatch, config_dir: Path) -> None:
    """And the example file, taken as it is with every line let in, gives the same."""
    bare = load_settings()
    assert bare.target_langs == (parse_language("pl"),)
    assert (bare.source_lang, bare.device, bare.notify_config) == (None, None, None)
    assert bare.notify_on == tuple(NotifyEvent)
    assert bare.api_pass.get_secret_value() == "admin"
    monkeypatch.delenv("CONFIG_DIR")
    assert str(load_settings().config_dir) == "/app/config"
    for name, value in _shown_defaults().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == bare.model_copy(
        update={"config_dir": Path("/app/config"), "work_dir": Path("/app/config/work")}
    )


def test_every_setting_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, config_dir: Path
) -> None:
    """Lists by commas, words in any case, codes and names of languages."""
    values = {
        "PROFILE": "Full",
        "TARGET_LANGS": "de, French;es",
        "SOURCE_LANG": "en-GB",
        "VIDEOS_DIR": "~/Videos",
        "OUTPUT_MODE": "BOTH",
        "SUBTITLES": "no",
        "SETTLE_SECONDS": "2.5",
        "WATCH_MODE": "poll",
        "WHISPER_MODEL": "Large-V3",
        "DEVICE": "cuda",
        "NOTIFY_ON": "failed, Done",
        "LOG_LEVEL": "DEBUG",
        "DEBUG_MODE": "1",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.profile is Profile.FULL
    assert [language.code for language in settings.target_langs] == ["de", "fr", "es"]
    assert settings.source_lang == parse_language("English")
    assert settings.videos_dir == Path.home() / "Videos"
    assert settings.output_mode is OutputMode.BOTH
    assert settings.watch_mode is WatchMode.POLL
    assert settings.whisper_model is WhisperModel.LARGE_V3
    assert settings.device is Device.CUDA
    assert settings.notify_on == (NotifyEvent.FAILED, NotifyEvent.DONE)
    assert (settings.subtitles, settings.debug_mode) == (False, True)
    assert (settings.settle_seconds, settings.log_level) == (2.5, "debug")


def test_the_folders_of_config_dir(config_dir: Path) -> None:
    """Database, reports and work lie in CONFIG_DIR."""
    settings = load_settings()
    assert settings.database_path == config_dir / "dubarr.db"
    assert settings.reports_dir == config_dir / "reports"
    assert settings.work_dir == config_dir / "work"


def test_the_database_is_a_file_unless_a_server_is_named(
    monkeypatch: pytest.MonkeyPatch, config_dir: Path
) -> None:
    assert load_settings().database == config_dir / "dubarr.db"
    (config_dir / "url").write_text("postgresql://me:made-up@db/dubarr\n")
    monkeypatch.setenv("DATABASE_URL_FILE", str(config_dir / "url"))
    where = load_settings().database
    assert isinstance(where, SecretStr)
    assert where.get_secret_value() == "postgresql://me:made-up@db/dubarr"


@pytest.mark.parametrize("url", ["mysql://me:made-up@db/x", "dubarr", "postgres://x"])
def test_another_kind_of_database_is_refused_without_being_told(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(SettingsInvalid, match="must be postgresql://") as error:
        load_settings()
    assert "made-up" not in str(error.value)


def test_a_relative_folder_is_made_absolute(
    monkeypatch: pytest.MonkeyPatch, config_dir: Path
) -> None:
    """A later change of the working directory moves no library."""
    monkeypatch.chdir(config_dir)
    monkeypatch.setenv("VIDEOS_DIR", "films")
    assert load_settings().videos_dir == config_dir / "films"


def test_a_folder_s_name_need_not_be_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the file system allows, a setting allows."""
    monkeypatch.setenv("VIDEOS_DIR", os.fsdecode(b"/v/caf\xe9"))
    assert os.fsencode(load_settings().videos_dir) == b"/v/caf\xe9"


def test_an_empty_value_is_unset(monkeypatch: pytest.MonkeyPatch, config_dir: Path) -> None:
    """docker compose hands over `NAME=` for whatever its .env leaves out; so may every file."""
    bare = load_settings()
    (config_dir / "empty").write_text(" \n")
    (config_dir / "config.env").write_text("HF_TOKEN=\nDEVICE=\n")
    for name in DOCUMENTED.keys() - {"CONFIG_DIR"}:
        monkeypatch.setenv(name, "")
        monkeypatch.setenv(f"{name}_FILE", "")
    monkeypatch.setenv("OPENAI_API_KEY_FILE", str(config_dir / "empty"))
    assert load_settings() == bare


# Precedence


def test_a_value_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, config_dir: Path) -> None:
    """NAME_FILE names it; the line break at its end does not count."""
    (config_dir / "secret").write_text("hf_from_a_file\n")
    (config_dir / "langs").write_text("de,fr\n")
    monkeypatch.setenv("HF_TOKEN_FILE", str(config_dir / "secret"))
    monkeypatch.setenv("TARGET_LANGS_FILE", str(config_dir / "langs"))
    settings = load_settings()
    assert settings.hf_token is not None
    assert settings.hf_token.get_secret_value() == "hf_from_a_file"
    assert [language.code for language in settings.target_langs] == ["de", "fr"]


def test_the_order_of_sources(monkeypatch: pytest.MonkeyPatch, config_dir: Path) -> None:
    """Option, then environment, then NAME_FILE, then config.env, then default."""
    (config_dir / "file").write_text("3")
    found = [load_settings().settle_seconds]
    (config_dir / "config.env").write_text("# a comment\nSETTLE_SECONDS=2\nUNKNOWN=x\n")
    found.append(load_settings().settle_seconds)
    monkeypatch.setenv("SETTLE_SECONDS_FILE", str(config_dir / "file"))
    found.append(load_settings().settle_seconds)
    monkeypatch.setenv("SETTLE_SECONDS", "4")
    found.append(load_settings().settle_seconds)
    found.append(load_settings(settle_seconds=5).settle_seconds)
    assert found == [10, 2, 3, 4, 5]


def test_config_env_need_not_be_there(monkeypatch: pytest.MonkeyPatch, config_dir: Path) -> None:
    """Neither it nor CONFIG_DIR; CONFIG_DIR may even be a file, which others complain about."""
    (config_dir / "file").write_text("")
    for folder in (config_dir / "nowhere", config_dir / "file"):
        monkeypatch.setenv("CONFIG_DIR", str(folder))
        assert load_settings().config_dir == folder


# Bad values

BAD = {
    "PROFILE": ("big", "must be one of 'auto', 'full', 'embedded'."),
    "TARGET_LANGS": ("de,germn", "'germn' is not a language I know. Did you mean German (de)"),
    "SOURCE_LANG": ("zzzzzz", "'zzzzzz' is not a language I know."),
    "OUTPUT_MODE": ("mkv", "must be one of 'sidecar', 'mux', 'both'."),
    "SUBTITLES": ("perhaps", "input should be a valid boolean"),
    "SETTLE_SECONDS": ("soon", "input should be a valid number"),
    "SCAN_INTERVAL": ("0", "input should be greater than or equal to 1."),
    "WATCH_MODE": ("never", "must be one of 'auto', 'events', 'poll'."),
    "MAX_SPEEDUP": ("nan", "input should be"),
    "MAX_ATTEMPTS": ("2.5", "input should be a valid integer"),
    "DEVICE": ("tpu", "must be one of 'cuda', 'cpu', 'mps'."),
    "TTS_PORT": ("65536", "input should be less than or equal to 65535."),
    "API_PORT": ("-1", "input should be greater than or equal to 0."),
    "URL_BASE": ("/a/../b", "must be a path of letters, digits"),
    "TRUSTED_PROXIES": ("10.0.0.1, traefik", "name addresses or networks, e.g. 172.18.0.0/16"),
    "NOTIFY_ON": (
        "done,sometimes",
        "must be one of 'done', 'done_with_warnings', 'failed', 'paused', 'worker_lost'.",
    ),
    "LOG_LEVEL": ("loud", "must be one of 'debug', 'info', 'warning', 'error'."),
}


def test_all_bad_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line for each wrong variable, saying what it may be."""
    for name, (value, _) in BAD.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid) as error:
        load_settings()
    lines = _lines(error)
    assert lines.keys() == BAD.keys()
    for name, (_, text) in BAD.items():
        assert text in lines[name]
    assert error.value.exit_code is ExitCode.WRONG_USAGE


def test_files_that_cannot_be_read_are_named_with_the_rest(
    monkeypatch: pytest.MonkeyPatch, config_dir: Path
) -> None:
    """A missing secret, one that is no text, a broken config.env and a bad value: four lines."""
    (config_dir / "binary").write_bytes(b"\xff\xfe\x00")
    (config_dir / "config.env").write_bytes(b"HF_TOKEN=\xff\n")
    monkeypatch.setenv("HF_TOKEN_FILE", str(config_dir / "nowhere"))
    monkeypatch.setenv("MAX_ATTEMPTS_FILE", str(config_dir / "binary"))
    monkeypatch.setenv("MAX_SPEEDUP", "9")
    with pytest.raises(SettingsInvalid) as error:
        load_settings()
    lines = _lines(error)
    assert lines.keys() == {"CONFIG_DIR/config.env", "HF_TOKEN", "MAX_ATTEMPTS", "MAX_SPEEDUP"}
    assert "the file that HF_TOKEN_FILE names cannot be read: No such file" in lines["HF_TOKEN"]
    assert "it is not text" in lines["MAX_ATTEMPTS"]
    assert lines["CONFIG_DIR/config.env"] == "cannot be read: it is not text."


def test_a_config_env_that_is_a_folder_is_named(config_dir: Path) -> None:
    """docker makes a folder where a mounted file is not there."""
    (config_dir / "config.env").mkdir()
    with pytest.raises(SettingsInvalid, match=r"config\.env: cannot be read: Is a directory"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "lowest", "highest", "below", "above"),
    [
        ("SETTLE_SECONDS", "0", "86400", "-0.1", "86400.1"),
        ("SCAN_INTERVAL", "1", "86400", "0.9", "86401"),
        ("MAX_SPEEDUP", "1", "2", "0.99", "2.01"),
        ("STALL_SECONDS", "5", "86400", "4", "inf"),
        ("MAX_ATTEMPTS", "1", "20", "0", "21"),
        ("TTS_PORT", "0", "65535", "-1", "65536"),
        ("THREADS", "0", "256", "-1", "257"),
    ],
)
def test_both_sides_of_each_limit(
    monkeypatch: pytest.MonkeyPatch, name: str, lowest: str, highest: str, below: str, above: str
) -> None:
    """The limits themselves are allowed, what is beyond is not."""
    for value in (lowest, highest):
        monkeypatch.setenv(name, value)
        assert getattr(load_settings(), name.lower()) == float(value)
    for value in (below, above):
        monkeypatch.setenv(name, value)
        with pytest.raises(SettingsInvalid, match=f"^{name}: "):
            load_settings()


# Secrets

SECRETS = {
    "OPENAI_API_KEY": "sk-open-sesame",
    "HF_TOKEN": "hf_open_sesame",
    "API_PASS": "pass-sesame",
    "DATABASE_URL": "postgresql://dubarr:door%2Dsesame@db.example/dubarr",
    "NOTIFY_URLS": "tgram://123456:bot-sesame/99887766 mailto://me:mail%2Dsesame@example.org",
}


@pytest.mark.parametrize(
    ("least", "most", "bad"), [("3", "3", False), ("3", "2", True), ("3", "0", False)]
)
def test_there_are_not_more_speakers_at_least_than_at_most(
    monkeypatch: pytest.MonkeyPatch, least: str, most: str, bad: bool
) -> None:
    """0 at most is no bound."""
    monkeypatch.setenv("MIN_SPEAKERS", least)
    monkeypatch.setenv("MAX_SPEAKERS", most)
    if not bad:
        assert load_settings().max_speakers == int(most)
        return
    with pytest.raises(SettingsInvalid) as error:
        load_settings()
    assert _lines(error) == {"MAX_SPEAKERS": "is smaller than MIN_SPEAKERS=3"}


def test_secrets_are_shown_by_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by the settings themselves, nor by an error about another setting beside them."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    shown = f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"
    assert "sesame" not in shown
    monkeypatch.setenv("MAX_SPEEDUP", "9")
    with pytest.raises(SettingsInvalid) as error:
        load_settings()
    assert "sesame" not in "".join(traceback.format_exception(error.value))
    assert b"sesame" not in pickle.dumps(error.value)


def test_a_secret_that_cannot_be_read_stays_unshown(
    monkeypatch: pytest.MonkeyPatch, config_dir: Path
) -> None:
    """What a broken file holds is not told."""
    (config_dir / "secret").write_bytes(b"open-sesame\xff")
    monkeypatch.setenv("HF_TOKEN_FILE", str(config_dir / "secret"))
    with pytest.raises(SettingsInvalid) as error:
        load_settings()
    assert "sesame" not in "".join(traceback.format_exception(error.value))


def test_every_secret_is_known_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each whole value, each URL of several, and the parts that a service's own URL repeats."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    secrets = load_settings().secrets()
    assert set(SECRETS.values()) < set(secrets)
    assert {"tgram://123456:bot-sesame/99887766", "bot-sesame", "99887766"} < set(secrets)
    assert {"mail%2Dsesame", "mail-sesame"} < set(secrets)
    assert {"door%2Dsesame", "door-sesame"} < set(secrets)
    assert "db.example" not in secrets
    assert "mailto" not in secrets
    assert secrets == sorted(secrets, key=len, reverse=True)
    assert "admin" not in load_settings(api_pass="admin").secrets()


# Profile


ALL = {"OPENAI_API_KEY": "k", "HF_TOKEN": "t", "COQUI_TOS_AGREED": "true"}
"""What the full profile needs with the engines that are the default."""

LOCAL = {"LLM_BACKEND": "local", "TTS_MODEL": "kokoro"}


@pytest.mark.parametrize(
    ("profile", "given", "runs"),
    [
        ("auto", {}, Profile.EMBEDDED),
        *[("auto", {k: v for k, v in ALL.items() if k != name}, Profile.EMBEDDED) for name in ALL],
        ("auto", ALL, Profile.FULL),
        ("auto", {**LOCAL, "HF_TOKEN": "t"}, Profile.FULL),
        ("auto", LOCAL, Profile.EMBEDDED),
        ("embedded", ALL, Profile.EMBEDDED),
        ("full", ALL, Profile.FULL),
        ("full", {"TTS_MODEL": "openai", "OPENAI_API_KEY": "k", "HF_TOKEN": "t"}, Profile.FULL),
    ],
)
def test_which_profile_runs(
    monkeypatch: pytest.MonkeyPatch, profile: str, given: dict[str, str], runs: Profile
) -> None:
    """auto is full only when all that full needs is there."""
    for name, value in {"PROFILE": profile, **given}.items():
        monkeypatch.setenv(name, value)
    assert resolve_profile(load_settings()) is runs


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, "OPENAI_API_KEY, HF_TOKEN and COQUI_TOS_AGREED"),
        ({"HF_TOKEN": "t", "COQUI_TOS_AGREED": "true"}, "OPENAI_API_KEY"),
        ({"OPENAI_API_KEY": "  ", "HF_TOKEN": "t"}, "OPENAI_API_KEY and COQUI_TOS_AGREED"),
        (LOCAL, "HF_TOKEN"),
        ({"TTS_MODEL": "kokoro"}, "OPENAI_API_KEY and HF_TOKEN"),
        ({"LLM_BACKEND": "local", "TTS_MODEL": "openai", "HF_TOKEN": "t"}, "OPENAI_API_KEY"),
        (
            {"TTS_MODEL": "elevenlabs", "OPENAI_API_KEY": "k"},
            "HF_TOKEN and ELEVENLABS_API_KEY",
        ),
    ],
)
def test_full_with_something_missing_names_it(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], missing: str
) -> None:
    """The error names what is missing and nothing else, and each way out; exit code 4."""
    monkeypatch.setenv("PROFILE", "full")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(KeyMissing) as error:
        resolve_profile(load_settings())
    assert error.value.message == f"PROFILE=full needs {missing}."
    *advice, last = error.value.hint.splitlines()
    assert [line.partition(":")[0] for line in advice] == missing.replace(" and ", ", ").split(", ")
    assert last.startswith("Or set PROFILE=embedded")
    assert error.value.exit_code is ExitCode.USER_MUST_PROVIDE


def test_the_licence_of_xtts_is_explained_before_it_is_agreed_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It says what the licence does not allow, and what to choose instead."""
    monkeypatch.setenv("PROFILE", "full")
    with pytest.raises(KeyMissing, match=r"no commercial use.*another TTS_MODEL"):
        resolve_profile(load_settings())


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, []),
        ({"OPENAI_API_KEY": "k"}, ["HF_TOKEN", "COQUI_TOS_AGREED"]),
        ({"COQUI_TOS_AGREED": "yes"}, ["OPENAI_API_KEY", "HF_TOKEN"]),
        (ALL, []),
        ({"HF_TOKEN": "t", "PROFILE": "embedded"}, []),
    ],
)
def test_who_has_a_part_of_what_full_needs_is_told_the_rest(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], missing: list[str]
) -> None:
    """Who has nothing of it never asked for it."""
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert [one.name for one in almost_full(load_settings())] == missing
