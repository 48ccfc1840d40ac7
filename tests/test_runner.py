"""How a run of a job ends: retries, cancel, stop and the unexpected; engines in real processes."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs

from dubarr_watch.engines.base import EngineSpec
from dubarr_watch.engines.fakes import Faults
from dubarr_watch.errors import EngineCrashed
from dubarr_watch.runner import Ended
from dubarr_watch.store.records import JobRecord, JobState
from tests.composing import Call, Shop, living_below, make_talk, names, open_shop, states
from tests.engines.odd_engines import POISONED_S
from tests.waiting import eventually

_CANCEL = """
import sys
from pathlib import Path
from dubarr_watch.store.store import Store
with Store.open(Path(sys.argv[1])) as store:
    store.jobs.cancel(int(sys.argv[2]))
"""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path, real_processes=True) as opened:
        yield opened


@pytest.fixture
def film(shop: Shop) -> Path:
    return make_talk(shop.videos / "Film.mkv")


class TestBadLuck:
    def test_a_crashed_engine_is_tried_again_until_it_works(
        self, shop: Shop, film: Path, tmp_path: Path
    ) -> None:
        once = tmp_path / "crashed"
        shop.use(synthesizer={"faults": Faults(crash_on=(2,), once=once)})
        job = shop.enqueue(film, "es")
        first = shop.run(job)
        assert first.job.state is JobState.QUEUED
        assert first.job.reason.startswith(
            "Tried again after: The synthesizer process was ended by SIGKILL"
        )
        assert isinstance(first.error, EngineCrashed)
        second = shop.run(job)
        assert (second.job.state, second.job.attempts) == (JobState.DONE, 2)

    def test_after_max_attempts_it_has_failed_and_says_why(self, shop: Shop, film: Path) -> None:
        shop.set(max_attempts=2)
        shop.use(transcriber={"faults": Faults(crash_on=(1,))})
        job = shop.enqueue(film, "es")
        assert [shop.run(job).job.state for _ in range(2)] == [JobState.QUEUED, JobState.FAILED]
        ended = shop.store.jobs.get(job.id)
        assert ended.reason.startswith("The transcriber process was ended by SIGKILL")
        assert [r.state for r in shop.store.jobs.results(job.id)] == [JobState.FAILED]
        assert shop.work(job).exists(), "what was done is kept for `retry`"

    def test_an_engine_that_hangs_is_ended_and_tried_again(
        self, shop: Shop, film: Path, tmp_path: Path
    ) -> None:
        shop.set(stall_seconds=5.0)
        shop.use(diarizer={"faults": Faults(hang_on=(1,), once=tmp_path / "hung")})
        job = shop.enqueue(film, "es")
        first = shop.run(job)
        assert first.job.state is JobState.QUEUED
        assert first.job.reason == "Tried again after: The diarizer made no progress for 5 s."
        assert first.error is not None
        assert first.error.hint == "Raise STALL_SECONDS when this machine is only slow."
        assert living_below(psutil.Process()) == []
        assert shop.run(job).job.state is JobState.DONE

    def test_a_video_that_kills_its_engine_fails_after_three_attempts_and_blocks_nobody(
        self, shop: Shop
    ) -> None:
        """With the settings as they are, and the queue worked off as the daemon does it."""
        poisoned = EngineSpec("tests.engines.odd_engines:PoisonedTranscriber")
        shop.specs = replace(shop.specs, transcriber=poisoned)
        poison = shop.enqueue(make_talk(shop.videos / "Poison.mkv", POISONED_S + 1))
        other = shop.enqueue(make_talk(shop.videos / "Other.mkv", POISONED_S - 1))
        begun = []
        while job := shop.store.jobs.claim(shop.owner.id):
            begun.append(job.id)
            shop.runner().run(job)
        assert begun == [poison.id] * 3 + [other.id]
        failed, done = shop.store.jobs.get(poison.id), shop.store.jobs.get(other.id)
        assert (failed.state, done.state) == (JobState.FAILED, JobState.DONE)
        assert "was ended by SIGSEGV" in failed.reason
        assert names(shop.videos) == [
            "Other.Dubarr.es.mka", "Other.Dubarr.es.srt", "Other.mkv", "Poison.mkv",
        ]  # fmt: skip

    def test_an_engine_that_raises_fails_the_job_in_plain_words(
        self, shop: Shop, film: Path
    ) -> None:
        shop.set(max_attempts=1)
        shop.use(diarizer={"faults": Faults(fail_on=(1,))})
        ended = shop.dub(film, "es")
        assert ended.job.reason == "A fake engine failed as it was told to."

    def test_a_failed_job_goes_on_at_its_checkpoint_when_retried(
        self, shop: Shop, film: Path, tmp_path: Path
    ) -> None:
        shop.set(max_attempts=1)
        shop.use(synthesizer={"faults": Faults(crash_on=(2,), once=tmp_path / "crashed")})
        job = shop.dub(film, "es").job
        assert job.state is JobState.FAILED
        finished = shop.store.checkpoints.stages(job.id)
        shop.store.jobs.retry(job.id)
        shop.set(debug_mode=True)
        assert shop.run(job).job.state is JobState.DONE
        assert shop.store.checkpoints.stages(job.id)[: len(finished)] == finished


class TestStopping:
    def test_another_process_cancels_it(self, shop: Shop, film: Path) -> None:
        def cancel(job: JobRecord) -> None:
            command = [sys.executable, "-c", _CANCEL, str(shop.settings.database_path), str(job.id)]
            subprocess.run(command, check=True)

        ended = self.during_speech(shop, film, cancel)
        assert (ended.job.state, ended.job.reason) == (JobState.CANCELLED, "Cancelled.")
        assert names(shop.videos) == ["Film.mkv"]
        assert not shop.work(ended.job).exists()
        assert shop.store.checkpoints.stages(ended.job.id) == []
        assert living_below(psutil.Process()) == []

    def test_the_program_stops_and_the_job_is_queued_again(self, shop: Shop, film: Path) -> None:
        stopping = threading.Event()
        ended = self.during_speech(shop, film, lambda job: stopping.set(), stopping)
        assert ended.job.state is JobState.QUEUED
        assert ended.job.reason == "Stopped with the program; it goes on where it was."
        spoken = len(shop.store.checkpoints.lines(ended.job.id, "es"))
        assert spoken
        assert living_below(psutil.Process()) == []
        shop.use(synthesizer={})
        assert shop.run(ended.job).job.state is JobState.DONE

    def test_cancel_wins_over_stop(self, shop: Shop, film: Path) -> None:
        stopping = threading.Event()

        def both(job: JobRecord) -> None:
            shop.store.jobs.cancel(job.id)
            stopping.set()

        ended = self.during_speech(shop, film, both, stopping)
        assert ended.job.state is JobState.CANCELLED
        assert not shop.work(ended.job).exists()

    def during_speech(
        self, shop: Shop, film: Path, act: object, stopping: threading.Event | None = None
    ) -> Ended:
        """Do something once a line was spoken, while each takes a quarter of a second."""
        assert callable(act)
        shop.use(synthesizer={"delay_s": 0.25})
        make_talk(film, 60.0)
        job = shop.enqueue(film, "es")

        def wait_and_act() -> None:
            eventually(lambda: shop.store.checkpoints.lines(job.id, "es"), "a spoken line")
            act(job)

        helper = threading.Thread(target=wait_and_act)
        helper.start()
        ended = shop.run(job, should_stop=(stopping or threading.Event()).is_set)
        helper.join()
        return ended


class TestOnFakesInProcess:
    @pytest.fixture
    def shop(self, tmp_path: Path) -> Iterator[Shop]:
        with open_shop(tmp_path) as opened:
            yield opened

    def test_the_unexpected_is_told_plainly_and_logged_with_its_traceback(
        self, shop: Shop, film: Path
    ) -> None:
        def burst(call: Call) -> None:
            raise ZeroDivisionError("division by zero")

        shop.spy.before = burst
        with capture_logs() as logs:
            ended = shop.dub(film, "es")
        assert ended.job.state is JobState.FAILED
        assert ended.job.reason.startswith(
            "Something unexpected went wrong: ZeroDivisionError: division by zero"
        )
        assert any(entry["event"] == "job failed unexpectedly" for entry in logs)

    def test_a_job_that_waits_for_its_command_waits_after_bad_luck_too(
        self, shop: Shop, film: Path
    ) -> None:
        def crash(call: Call) -> None:
            raise EngineCrashed("It was killed.")

        shop.spy.before = crash
        job = shop.enqueue(film, "es")
        claimed = shop.store.jobs.claim_job(job.id, shop.owner.id)
        assert shop.runner(park=True).run(claimed).job.state is JobState.WAITING

    def test_bad_luck_while_it_is_being_cancelled_leaves_nothing(
        self, shop: Shop, film: Path
    ) -> None:
        job = shop.enqueue(film, "es")

        def cancelled_and_crashed(call: Call) -> None:
            shop.store.jobs.cancel(job.id)
            raise EngineCrashed("It was killed.")

        shop.spy.before = cancelled_and_crashed
        assert shop.run(job).job.state is JobState.CANCELLED
        assert not shop.work(job).exists()

    def test_progress_is_kept_in_the_store_for_others_to_see(self, shop: Shop, film: Path) -> None:
        seen: list[tuple[str, float]] = []
        job = shop.enqueue(film, "es")

        def look(call: Call) -> None:
            now = shop.store.jobs.get(job.id)
            seen.append((now.stage, now.progress))

        shop.spy.before = look
        shop.run(job)
        told = list(dict.fromkeys(stage for stage, _ in seen))
        assert told == ["transcribe", "diarize", "voices", "translate", "synthesize", "report"]
        assert seen == sorted(seen, key=lambda entry: entry[1])

    def test_results_and_tracks_are_in_the_store(self, shop: Shop, film: Path) -> None:
        ended = shop.dub(film, "es", "en")
        results = {r.language: r for r in shop.store.jobs.results(ended.job.id)}
        assert {code: r.state for code, r in results.items()} == states(ended)
        assert results["es"].report is not None
        assert results["es"].report.is_file()
        assert '"within_slot"' in results["es"].summary
        assert results["en"].report is None
