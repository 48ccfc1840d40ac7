"""Checkpoints, outputs and notifications."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from dubarr_watch.errors import NotInStore
from dubarr_watch.store import Store
from dubarr_watch.store.records import LineRecord, OutputRecord
from tests.store.conftest import a_job


def test_a_stage_is_kept_for_its_language(store: Store) -> None:
    """What all languages share is apart from each; the last of each counts."""
    job = a_job(store, "es", "fr")
    assert store.checkpoints.stage(job.id, "transcribe") is None
    saved = store.checkpoints.save_stage(job.id, "transcribe", "", "k", Path("a/b"), 2.5)
    assert store.checkpoints.stage(job.id, "transcribe") == saved
    assert store.checkpoints.stage(job.id, "transcribe", "es") is None
    store.checkpoints.save_stage(job.id, "mix", "es", "k1", Path("c"), 1.0)
    store.checkpoints.save_stage(job.id, "mix", "fr", "k2", Path("d"), 7.0)
    store.checkpoints.save_stage(job.id, "mix", "es", "k3", Path("e"), 1.5)
    mix = store.checkpoints.stage(job.id, "mix", "es")
    assert mix is not None
    assert (mix.key, mix.artifact) == ("k3", Path("e"))
    assert store.checkpoints.stage_seconds(job.id, "es") == {"transcribe": 2.5, "mix": 1.5}
    assert [s.stage + s.language for s in store.checkpoints.stages(job.id)] == [
        "transcribe", "mixfr", "mixes",
    ]  # fmt: skip


def test_a_line_is_kept_for_its_language(store: Store) -> None:
    """Lines come back by index; the last of each counts."""
    job = a_job(store, "es", "fr")
    assert store.checkpoints.lines(job.id, "es") == {}
    for index, language, key in ((2, "es", "a"), (0, "es", "b"), (0, "fr", "c"), (2, "es", "d")):
        store.checkpoints.save_line(job.id, language, index, key, '{"text": "¿qué?"}')
    lines = store.checkpoints.lines(job.id, "es")
    assert list(lines) == [0, 2]
    assert lines[2] == LineRecord(job.id, "es", 2, "d", '{"text": "¿qué?"}')
    assert lines[0].key == "b"


def test_checkpoints_are_dropped_for_one_job(store: Store) -> None:
    """Another job's stay."""
    one, two = a_job(store, name="a"), a_job(store, name="b")
    for job in (one, two):
        store.checkpoints.save_stage(job.id, "mix", "es", "k", Path("a"), 1)
        store.checkpoints.save_line(job.id, "es", 0, "k", "{}")
    store.checkpoints.drop(one.id)
    assert store.checkpoints.stages(one.id) == []
    assert store.checkpoints.lines(one.id, "es") == {}
    assert len(store.checkpoints.stages(two.id)) == 1
    assert len(store.checkpoints.lines(two.id, "es")) == 1


def test_a_checkpoint_of_a_forgotten_job_is_refused(store: Store) -> None:
    """A late take does not bring a job half back."""
    with pytest.raises(NotInStore, match="forgotten"):
        store.checkpoints.save_stage(99, "mix", "es", "k", Path("a"), 1)


def test_an_output_is_ours_as_long_as_it_is_unchanged(store: Store) -> None:
    """Another size or time, or another path, is somebody else's file."""
    job = a_job(store)
    path = Path("/videos/Film\udcff.Dubarr.es.mka")
    output = OutputRecord(path, job.id, "es", "sidecar", 500, 7, "fp")
    store.outputs.record(output)
    assert store.outputs.is_ours(path, 500, 7)
    assert not store.outputs.is_ours(path, 501, 7)
    assert not store.outputs.is_ours(path, 500, 8)
    assert not store.outputs.is_ours(path.with_suffix(".mkv"), 500, 7)
    assert store.outputs.by_path(path) == output
    assert store.outputs.by_fingerprint("fp") == [output]
    assert store.outputs.for_video(job.video.id) == [output]
    store.outputs.record(OutputRecord(path, job.id, "es", "sidecar", 600, 9, "fp2"))
    assert store.outputs.is_ours(path, 600, 9)
    assert not store.outputs.is_ours(path, 500, 7)
    store.outputs.forget(path)
    assert store.outputs.by_path(path) is None


def test_an_output_outlives_its_job(store: Store) -> None:
    """Forgetting a job does not turn its tracks into videos of the user's."""
    job = store.jobs.cancel(a_job(store).id)
    output = OutputRecord(Path("/a.mka"), job.id, "es", "sidecar", 1, 2, "fp")
    store.outputs.record(output)
    store.jobs.forget(job.id)
    assert store.outputs.is_ours(output.path, 1, 2)
    assert store.outputs.for_video(job.video.id) == [output]


def test_a_message_stays_pending_until_it_is_settled(store: Store) -> None:
    """A failed try keeps it there, with what went wrong; the same message is there once."""
    job = a_job(store)
    first = store.notifications.add_pending(job.id, "done")
    assert store.notifications.add_pending(job.id, "done") == first
    second = store.notifications.add_pending(job.id, "failed")
    test = store.notifications.add_pending(None, "test")
    assert store.notifications.add_pending(None, "test") == test
    store.notifications.settle([first.id], "pending", "no route", 1)
    assert [(m.id, m.attempts, m.detail) for m in store.notifications.pending()] == [
        (first.id, 1, "no route"), (second.id, 0, ""), (test.id, 0, ""),
    ]  # fmt: skip
    store.notifications.settle([first.id, second.id], "sent", "as one digest", 2)
    assert [m.id for m in store.notifications.pending()] == [test.id]
    assert store.notifications.add_pending(job.id, "done").id not in (first.id, second.id)
    newest = store.notifications.recent(10)
    assert [m.outcome for m in newest] == ["pending", "pending", "sent", "sent"]
    assert len(store.notifications.recent(1)) == 1


def test_a_message_outlives_its_job(store: Store) -> None:
    """The record of what was sent stays when the job is forgotten."""
    job = store.jobs.cancel(a_job(store).id)
    at = datetime(2026, 11, 22, 12, 0, tzinfo=timezone(timedelta(hours=2)))
    kept = store.notifications.record(job.id, "failed", "sent", "", 1, at)
    assert kept.at == datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
    store.jobs.forget(job.id)
    (message,) = store.notifications.recent()
    assert (message.job_id, message.id, message.at) == (None, kept.id, kept.at)


def test_a_time_without_a_zone_is_refused(store: Store) -> None:
    """Nobody could tell which moment it is."""
    with pytest.raises(ValueError, match="time zone"):
        store.notifications.record(None, "e", "sent", "", 1, datetime(2026, 1, 1))  # noqa: DTZ001
