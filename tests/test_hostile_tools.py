"""ffprobe and ffmpeg that hang, flood or talk nonsense: an error with a reason, in bounded time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from dubarr_watch import media
from dubarr_watch.errors import MediaError, NotAVideo, ToolMissing
from dubarr_watch.media import asking, decode_samples, input_arguments, probe, probing, run_ffmpeg
from dubarr_watch.media.tools import ffmpeg_path, ffprobe_path, tool_listing
from dubarr_watch.store.records import JobState
from tests.composing import living_below, make_talk, open_shop
from tests.waiting import eventually

KEY = "sk-made-up-for-this-test"
Pretend = Callable[[str, str], Path]

HANG = "sleep 1000 & wait"
"""A shell that waits for a child, as wrapper scripts around ffmpeg do."""


@pytest.fixture
def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pretend]:
    """Put a script in ffmpeg's or ffprobe's place, by PATH, as users do."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def put(name: str, script: str) -> Path:
        program = folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        ffmpeg_path.cache_clear()
        ffprobe_path.cache_clear()
        return program

    yield put
    ffmpeg_path.cache_clear()
    ffprobe_path.cache_clear()


def nobody_left() -> bool:
    return not living_below(psutil.Process())


class TestFfprobe:
    @pytest.mark.parametrize(
        ("script", "words"),
        [
            (HANG, "did not answer within"),
            ("while :; do echo word word word word word; done", "tells more than"),
            ("while :; do echo word >&2; done", "did not answer within"),
            ("echo nonsense", "cannot be understood"),
            ("echo '[1]'", "cannot be understood"),
            ("echo '{\"streams\": [{}]}'", "cannot be understood"),
            (f"{sys.executable} -c \"print('[' * 200000)\"", "cannot be understood"),
        ],
        ids=["hangs", "floods", "complains", "nonsense", "list", "empty stream", "nested"],
    )
    def test_a_bad_answer_is_an_error_with_a_reason(
        self,
        pretend: Pretend,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        script: str,
        words: str,
    ) -> None:
        monkeypatch.setattr(probing, "PROBE_TIMEOUT_S", 1.0)
        monkeypatch.setattr(probing, "PROBE_BYTES", 1_000_000)
        pretend("ffprobe", script)
        begun = time.monotonic()
        with pytest.raises(MediaError, match=words):
            probe(tmp_path / "Film.mkv")
        assert time.monotonic() - begun < 30
        eventually(nobody_left, "its children end with it")

    def test_numbers_that_are_none_are_not_known(self, pretend: Pretend, tmp_path: Path) -> None:
        pretend(
            "ffprobe",
            """echo '{"format": {"duration": "nan", "start_time": "inf"},
            "streams": [{"index": 0, "duration": "-inf"}]}'""",
        )
        found = probe(tmp_path / "Film.mkv")
        assert (found.duration_s, found.start_s) == (0.0, 0.0)

    def test_a_job_ends_with_the_reason(self, pretend: Pretend, tmp_path: Path) -> None:
        film = make_talk(tmp_path / "Film.mkv", 4.0)
        pretend("ffprobe", "echo nonsense")
        with open_shop(tmp_path, max_attempts=1) as shop:
            ended = shop.dub(film)
            assert ended.job.state is JobState.FAILED
            assert "cannot be understood" in ended.job.reason

    def test_a_listing_that_hangs_means_that_the_tool_cannot_be_run(
        self, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(media.tools, "_ANSWER_WITHIN_S", 0.5)
        with pytest.raises(ToolMissing):
            tool_listing(str(pretend("ffmpeg", HANG)), "-version")


class TestFfmpeg:
    @pytest.mark.parametrize(
        "script",
        [HANG, "while :; do echo word >&2; done", "cat /dev/zero", "cat /dev/zero >&2"],
        ids=["hangs", "complains", "floods", "floods errors"],
    )
    def test_no_progress_ends_it_in_bounded_memory(
        self, pretend: Pretend, tmp_path: Path, script: str
    ) -> None:
        pretend("ffmpeg", script)
        before = psutil.Process().memory_info().rss
        with pytest.raises(MediaError, match="no progress"):
            run_ffmpeg(input_arguments(tmp_path / "Film.mkv"), path=tmp_path, stall_s=1.0)
        assert psutil.Process().memory_info().rss - before < 50e6
        eventually(nobody_left, "its children end with it")

    def test_many_words_before_a_failure_leave_the_last(
        self, pretend: Pretend, tmp_path: Path
    ) -> None:
        pretend(
            "ffmpeg", "head -c 20000000 /dev/zero >&2; printf '\\nThe\\033[2J end.' >&2; exit 1"
        )
        with pytest.raises(MediaError) as told:
            run_ffmpeg(input_arguments(tmp_path / "Film.mkv"), path=tmp_path)
        assert told.value.message == r"ffmpeg failed: The\x1b[2J end."


def test_they_are_told_no_secret(
    pretend: Pretend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by environment, whichever way they are started."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    seen = tmp_path / "environment"
    for tool in ("ffmpeg", "ffprobe"):
        pretend(tool, f"env >> {seen}; echo $0 >> {seen}; exit 1")
    with pytest.raises(MediaError):
        run_ffmpeg([], path=tmp_path)
    with pytest.raises(MediaError):
        list(decode_samples(tmp_path, channels=1, rate=8000, block=100))
    with pytest.raises(NotAVideo):
        probe(tmp_path / "Film.mkv")
    with pytest.raises(ToolMissing):
        tool_listing(ffmpeg_path(), "-version")
    told = seen.read_text()
    assert told.count("PATH=") >= 4
    assert KEY not in told


def test_a_program_that_ended_is_not_ended_again() -> None:
    """Its number may be another's by then."""
    process = subprocess.Popen(["true"], start_new_session=True)
    process.wait()
    asking.end_group(process)
