"""What the daemon does once a day, on a real database and real folders."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from dubarr_watch import workshop
from dubarr_watch.dubbing.keeping import Keeping
from dubarr_watch.errors import UserMustProvide
from dubarr_watch.settings import Settings, load_settings
from dubarr_watch.store import Store
from dubarr_watch.store.backups import copies
from dubarr_watch.store.records import JobOptions, JobState, VideoState
from dubarr_watch.upkeep import Upkeep
from tests.waiting import eventually


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = load_settings(config_dir=tmp_path / "config")
    settings.work_dir.mkdir(parents=True)
    return settings


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with Store.open(settings.database_path) as opened:
        yield opened


def test_each_day_has_its_copy_however_often_it_starts(settings: Settings, store: Store) -> None:
    days = ["2026-01-30"]
    upkeep = Upkeep(settings, store, today=lambda: days[-1], look_every_s=0.01)
    upkeep.start()
    eventually(lambda: len(copies(settings.database_path)) == 1, "first copy")
    days.append("2026-01-31")
    eventually(lambda: len(copies(settings.database_path)) == 2, "second copy")
    upkeep.stop()
    made = copies(settings.database_path)[0].stat().st_mtime_ns
    again = Upkeep(settings, store, today=lambda: days[-1])
    again.start()
    again.stop()
    assert copies(settings.database_path)[0].stat().st_mtime_ns == made


def test_a_copy_that_cannot_be_made_is_told_and_tried_again(
    settings: Settings, store: Store
) -> None:
    in_the_way = settings.config_dir / "backups"
    in_the_way.write_text("a file where the folder should be")
    with capture_logs() as logs:
        upkeep = Upkeep(settings, store, today=lambda: "2026-01-30", look_every_s=0.01)
        upkeep.start()
        eventually(lambda: [entry for entry in logs if entry["event"] == "upkeep"], "told")
        in_the_way.unlink()
        eventually(lambda: len(copies(settings.database_path)) == 1, "copy")
        upkeep.stop()


def test_what_nobody_expected_is_told_and_does_not_end_the_nights(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = [OSError("a disk that answers with errors")]

    def prune(self: Keeping) -> list[int]:
        if wrong:
            raise wrong.pop()
        return []

    upkeep = Upkeep(settings, store, today=lambda: "2026-01-30", look_every_s=0.01)
    with capture_logs() as logs:
        monkeypatch.setattr(Keeping, "prune", prune)
        upkeep._thread.start()
        eventually(lambda: len(copies(settings.database_path)) == 1, "copy")
        upkeep.stop()
    assert [entry["log_level"] for entry in logs if entry["event"] == "upkeep"] == ["error"]


def test_a_damaged_database_is_told(settings: Settings, store: Store) -> None:
    store._database.damage = lambda: ["row missing"]  # type: ignore[method-assign]
    with capture_logs() as logs:
        upkeep = Upkeep(settings, store, today=lambda: "2026-01-30")
        upkeep.start()
        upkeep.stop()
    (told,) = [entry for entry in logs if entry["event"] == "database damaged"]
    assert "dubarr-watch restore" in told["advice"]
    assert copies(settings.database_path) == []


def test_work_of_unknown_jobs_goes_at_the_start(settings: Settings, store: Store) -> None:
    (settings.work_dir / "17").mkdir()
    (settings.work_dir / "17" / "sound.wav").write_bytes(b"x")
    upkeep = Upkeep(settings, store)
    upkeep.start()
    upkeep.stop()
    assert list(settings.work_dir.iterdir()) == []


def test_each_day_old_history_goes_with_its_reports(settings: Settings, store: Store) -> None:
    settings.reports_dir.mkdir()
    video = store.videos.record(Path("/videos/Gone.mkv"), 1, 1, "x", VideoState.ARRIVED)
    job = store.jobs.enqueue(video.id, ["es"], JobOptions(), state=JobState.FAILED, reason="No.")
    store.videos.mark_missing([video.id])
    report = settings.reports_dir / f"{job.id}.es.json"
    report.touch()
    for day, days_kept, left in (("30", 365, True), ("31", 0, True), ("32", 1e-9, False)):
        kept = settings.model_copy(update={"history_days": days_kept})
        upkeep = Upkeep(kept, store, today=f"2026-01-{day}".format)
        upkeep.start()
        upkeep.stop()
        assert bool(store.jobs.recent()) == report.exists() == left, days_kept


def test_a_clock_that_is_set_ahead_forgets_nothing_that_day(
    settings: Settings, store: Store
) -> None:
    """Nor does one that is set back; one that stays ahead is believed the day after."""
    settings.reports_dir.mkdir()
    video = store.videos.record(Path("/videos/Gone.mkv"), 1, 1, "x", VideoState.ARRIVED)
    store.jobs.enqueue(video.id, ["es"], JobOptions(), state=JobState.FAILED, reason="No.")
    store.videos.mark_missing([video.id])
    now: dict[str, Any] = {"day": "30", "ahead_s": 0.0}
    kept = settings.model_copy(update={"history_days": 1e-9})
    with capture_logs() as logs:
        upkeep = Upkeep(
            kept, store, today=lambda: f"2026-01-{now['day']}", look_every_s=0.01,
            clock=lambda: time.time() + now["ahead_s"],
        )  # fmt: skip
        now |= {"ahead_s": 86_400.0}
        upkeep.start()
        eventually(lambda: store.meta.get("backup day") == "2026-01-30", "first day")
        assert [entry["days"] for entry in logs if entry["event"] == "clock jumped"] == [1.0]
        assert store.jobs.recent()
        now |= {"day": "31"}
        eventually(lambda: not store.jobs.recent(), "believed")
        upkeep.stop()


class TestDatabaseOnANetwork:
    """A network mount is told by its kind alone: none can be mounted where tests run."""

    @pytest.fixture(autouse=True)
    def network(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(workshop, "filesystem_kind", lambda path: "nfs4")

    def test_it_is_refused_before_there_is_a_database(self, tmp_path: Path) -> None:
        settings = load_settings(config_dir=tmp_path / "config", mock_mode=True)
        with (
            pytest.raises(UserMustProvide, match=r"nfs4.*DATABASE_ON_NETWORK=true"),
            workshop.open_workshop(settings),
        ):
            pass
        assert not (tmp_path / "config" / "dubarr.db").exists()

    def test_it_is_used_when_the_user_says_so(self, tmp_path: Path) -> None:
        settings = load_settings(
            config_dir=tmp_path / "config", mock_mode=True, database_on_network=True
        )
        with workshop.open_workshop(settings) as opened:
            assert opened.store.jobs.queue() == []
