"""The names that other programs read: changing one of these breaks somebody's script."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.main import get_command

from dubarr_watch.cli.app import app
from dubarr_watch.dubbing.fitting import Outcome
from dubarr_watch.errors import ExitCode
from dubarr_watch.settings import Settings
from dubarr_watch.store.records import JobState
from tests.composing import make_talk, open_shop

REPORT = ["job", "video", "language", "state", "lines", "summary"]
LINE = [
    "index", "start_s", "end_s", "placed_s", "slot_s", "take_s", "speed", "attempts", "speaker",
    "source_text", "text", "outcome", "wer", "heard", "similarity", "check", "why",
]  # fmt: skip
SUMMARY = [
    "lines", "within_slot", "speed_p50", "speed_p95", "speed_max", "overlaps", "speech_iou",
    "loudness_lufs", "true_peak_dbtp", "speakers", "stage_seconds", "real_time_factor",
    "peak_rss_mib", "notes", "llm", "speech_chars", "wer_median", "lines_to_check",
    "starts_within", "takes_per_line", "depth_lu", "overlaps_kept",
    "speakers_sure", "speakers_told", "cast",
]  # fmt: skip
STAGES = [
    "extract", "transcribe", "diarize", "lines", "voices", "people", "translate", "cast",
    "synthesize", "mix", "publish", "report",
]  # fmt: skip
SETTINGS = {
    "PROFILE", "TARGET_LANGS", "SOURCE_LANG", "VIDEOS_DIR", "MODELS_DIR", "CONFIG_DIR",
    "OUTPUT_MODE", "SUBTITLES", "SETTLE_SECONDS", "SCAN_INTERVAL", "WATCH_MODE",
    "PROCESS_EXISTING", "MAX_SPEEDUP", "OPENAI_API_KEY", "HF_TOKEN", "TTS_MODEL", "WHISPER_MODEL",
    "DEVICE", "GPU_TTS", "NOTIFY_URLS", "NOTIFY_CONFIG", "NOTIFY_ON", "API_USER", "API_PASS",
    "DEBUG_MODE", "MOCK_MODE",
}  # fmt: skip


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The report of a job, as it lies in CONFIG_DIR/reports."""
    with open_shop(tmp_path_factory.mktemp("shop")) as shop:
        ended = shop.dub(make_talk(shop.videos / "Film.mkv"), "es")
        path = shop.settings.reports_dir / f"{ended.job.id}.es.json"
        found: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
        return found


def test_a_report(report: dict[str, object]) -> None:
    assert list(report) == REPORT
    assert (report["job"], report["language"], report["state"]) == (1, "es", "done")
    assert Path(str(report["video"])).name == "Film.mkv"


def test_a_line_of_a_report(report: dict[str, object]) -> None:
    lines = report["lines"]
    assert isinstance(lines, list)
    assert lines
    assert all(list(line) == LINE for line in lines)
    for line in lines:
        assert line["placed_s"] == line["start_s"], "a take starts where its line starts"
        assert 0 < line["take_s"] <= line["slot_s"] + 0.05
        assert line["outcome"] in set(Outcome)


def test_the_summary_of_a_report(report: dict[str, object]) -> None:
    summary = report["summary"]
    assert isinstance(summary, dict)
    assert list(summary) == SUMMARY
    assert sorted(summary["stage_seconds"]) == sorted(STAGES)
    assert summary["overlaps"] == 0
    assert summary["loudness_lufs"] == pytest.approx(-23, abs=0.5)
    assert summary["true_peak_dbtp"] <= -1.5
    assert summary["peak_rss_mib"] > 10


def test_how_a_line_ends() -> None:
    assert list(Outcome) == [
        "ok", "retried", "fallback_voice", "trimmed", "silent", "misspoken", "song",
    ]  # fmt: skip


def test_the_states_of_a_job() -> None:
    assert list(JobState) == [
        "waiting", "queued", "running", "done", "done_with_warnings", "failed", "cancelled",
        "skipped",
    ]  # fmt: skip


def test_the_settings() -> None:
    assert {name.upper() for name in Settings.model_fields} >= SETTINGS


def test_the_exit_codes() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "DONE": 0, "FAILED": 1, "WRONG_USAGE": 2, "CANNOT_DUB": 3, "USER_MUST_PROVIDE": 4,
    }  # fmt: skip


def test_the_commands() -> None:
    command = get_command(app)
    names = set(getattr(command, "commands", {}))
    assert names >= {
        "run", "dub", "status", "report", "redo", "glossary", "retry", "cancel", "forget", "models",
        "doctor", "demo",
    }  # fmt: skip
