from __future__ import annotations

import os
from pathlib import Path

import pytest

from dubarr_watch.errors import IllegalTransition, NotInStore
from dubarr_watch.store import Store
from dubarr_watch.store.records import OutputRecord, VideoRecord, VideoState
from tests.store.conftest import Where, a_job, a_video

ARRIVED, BASELINE, MISSING = VideoState.ARRIVED, VideoState.BASELINE, VideoState.MISSING


def _record(store: Store, path: Path, content: str, state: VideoState = ARRIVED) -> VideoRecord:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return store.videos.record(path, len(content), 1, content, state)


def test_a_video_is_found_by_id_path_and_content(store: Store, tmp_path: Path) -> None:
    """All three lead to the same record, with a time that has its zone."""
    video = _record(store, tmp_path / "a.mkv", "aaa", BASELINE)
    assert video.state is BASELINE
    assert video.seen_at.tzinfo is not None
    assert store.videos.get(video.id) == video
    assert store.videos.by_path(video.path) == video
    assert store.videos.by_fingerprint("aaa") == video
    assert store.videos.by_path(tmp_path / "b.mkv") is None
    assert store.videos.by_fingerprint("bbb") is None
    with pytest.raises(NotInStore):
        store.videos.get(99)


def test_a_video_seen_again_is_the_same_and_keeps_its_state(store: Store, tmp_path: Path) -> None:
    """A video of the first scan does not become a new one by being scanned again."""
    first = _record(store, tmp_path / "a.mkv", "aaa", BASELINE)
    again = store.videos.record(first.path, 3, 77, "aaa", ARRIVED)
    assert (again.id, again.state, again.mtime_ns) == (first.id, BASELINE, 77)


def test_a_moved_video_keeps_its_id(store: Store, tmp_path: Path) -> None:
    """The same content at a new path, gone from the old one, is the same video."""
    first = _record(store, tmp_path / "a.mkv", "aaa")
    (tmp_path / "a.mkv").rename(tmp_path / "b.mkv")
    moved = store.videos.record(tmp_path / "b.mkv", 3, 1, "aaa", ARRIVED)
    assert (moved.id, moved.path) == (first.id, tmp_path / "b.mkv")
    assert store.videos.by_path(tmp_path / "a.mkv") is None


def test_a_copy_is_a_video_of_its_own(store: Store, tmp_path: Path) -> None:
    """The same content at two paths is two videos, however often both are seen."""
    first = _record(store, tmp_path / "a.mkv", "aaa")
    copy = _record(store, tmp_path / "b.mkv", "aaa")
    assert copy.id != first.id
    assert _record(store, tmp_path / "a.mkv", "aaa").id == first.id
    assert _record(store, tmp_path / "b.mkv", "aaa").id == copy.id


def test_another_content_at_a_path_is_a_new_video(store: Store, tmp_path: Path) -> None:
    """The replaced video is missing, and its successor is what is found at the path."""
    old = _record(store, tmp_path / "a.mkv", "aaa", BASELINE)
    new = _record(store, tmp_path / "a.mkv", "better", ARRIVED)
    assert (new.id != old.id, new.state) == (True, ARRIVED)
    assert store.videos.get(old.id).state is MISSING
    assert store.videos.by_path(tmp_path / "a.mkv") == new
    back = _record(store, tmp_path / "a.mkv", "aaa")
    assert (back.id, back.state) == (old.id, BASELINE)
    assert store.videos.get(new.id).state is MISSING


def test_a_missing_video_comes_back_as_what_it_was(store: Store, tmp_path: Path) -> None:
    """A mount that blinks makes no video new."""
    one = _record(store, tmp_path / "a.mkv", "aaa", BASELINE)
    two = _record(store, tmp_path / "b.mkv", "bbb", BASELINE)
    store.videos.mark_missing([one.id, two.id])
    assert store.videos.get(one.id).state is MISSING
    assert list(store.videos.known()) == []
    assert store.videos.under(tmp_path) == []
    assert _record(store, tmp_path / "a.mkv", "aaa").state is BASELINE
    store.videos.touch(two.id, two.path, 5)
    assert store.videos.get(two.id).state is BASELINE


def test_a_touched_video_is_where_it_was_seen(store: Store, tmp_path: Path) -> None:
    """A video seen at a path pushes away whatever was known there."""
    one, two = (_record(store, tmp_path / n, n) for n in ("a.mkv", "b.mkv"))
    store.videos.touch(one.id, two.path, 9)
    found = store.videos.by_path(two.path)
    assert found is not None
    assert (found.id, found.mtime_ns) == (one.id, 9)
    assert store.videos.get(two.id).state is MISSING
    with pytest.raises(NotInStore):
        store.videos.touch(99, tmp_path / "c", 1)


def test_a_video_that_we_changed_stays_the_video_that_it_was(store: Store, tmp_path: Path) -> None:
    """A track muxed into it makes no new video of it."""
    video = _record(store, tmp_path / "a.mkv", "aaa", BASELINE)
    store.videos.recontent(video.id, size_bytes=9, mtime_ns=8, fingerprint="with a dub")
    again = store.videos.record(video.path, 9, 8, "with a dub", ARRIVED)
    assert (again.id, again.state, again.size_bytes) == (video.id, BASELINE, 9)
    with pytest.raises(NotInStore):
        store.videos.recontent(99, size_bytes=9, mtime_ns=8, fingerprint="f")


def test_a_note_is_kept_and_taken_away(store: Store) -> None:
    """Why nothing is done with a video, in plain words."""
    video = a_video(store)
    store.videos.set_note(video.id, "it has no audio")
    assert store.videos.get(video.id).note == "it has no audio"
    store.videos.set_note(video.id, "")
    assert store.videos.get(video.id).note == ""


def test_a_folder_holds_what_is_in_and_below_it(store: Store) -> None:
    """Neighbours whose names only begin alike are not in it."""
    inside = [a_video(store, n, f) for n, f in (("a", "/v/x"), ("b", "/v/x/y"), ("\udcff", "/v/x"))]
    for name, folder in (("c", "/v/x y"), ("d", "/v/x0"), ("e", "/v"), ("f", "/v/x-")):
        a_video(store, name, folder)
    assert {v.id for v in store.videos.under(Path("/v/x"))} == {v.id for v in inside}
    assert len(store.videos.under(Path("/"))) == 7
    for place in (Path("/v/x"), Path("/")):
        told = [(v.id, os.fsencode(v.path), v.size_bytes, v.mtime_ns, v.state, v.note)
                for v in store.videos.under(place)]  # fmt: skip
        assert list(store.videos.brief(place)) == told


@pytest.mark.parametrize("name", ["caf\udce9.mkv", "a\nb'\"%;.mkv", "日本 🎬.mkv", "x" * 255])
def test_any_name_that_a_file_can_have_is_kept(store: Store, tmp_path: Path, name: str) -> None:
    """Names are bytes, be they UTF-8 or not."""
    path = tmp_path / name
    video = _record(store, path, name.encode("utf-8", "replace").decode())
    assert video.path == path
    assert video.path.exists()
    found = store.videos.by_path(path)
    assert found is not None
    assert next(iter(store.videos.known()))[0] == os.fsencode(path)
    assert a_job(store).id
    assert store.videos.under(tmp_path) == [found]


def test_forgetting_a_video_forgets_its_jobs_but_not_its_outputs(store: Store) -> None:
    """A published file stays known as ours for as long as it lies there."""
    job = a_job(store)
    output = OutputRecord(Path("/videos/Film.Dubarr.es.mka"), job.id, "es", "sidecar", 5, 6, "f")
    store.outputs.record(output)
    store.videos.forget(job.video.id)
    with pytest.raises(NotInStore):
        store.jobs.get(job.id)
    assert store.outputs.by_path(output.path) == output
    with pytest.raises(NotInStore):
        store.videos.forget(job.video.id)


def test_a_video_with_a_running_job_is_not_forgotten(store: Store) -> None:
    """Its job has to be cancelled first."""
    job = store.jobs.claim_job(a_job(store).id, "me")
    with pytest.raises(IllegalTransition, match=f"Job {job.id}.*Cancel"):
        store.videos.forget(job.video.id)


def test_ids_of_forgotten_videos_and_jobs_are_not_used_again(store: Store) -> None:
    """An id that somebody wrote down never means something else later."""
    first = a_job(store)
    store.videos.forget(first.video.id)
    second = a_job(store)
    assert second.id > first.id
    assert second.video.id > first.video.id


def test_a_hundred_thousand_videos_are_gone_through_while_writing(
    store: Store, where: Where
) -> None:
    """A library of any size is read in pieces, each video once, gone ones left out."""
    raw = "CAST('/v/' || i AS BLOB)" if isinstance(where, Path) else "('/v/' || i)::bytea"
    store._database.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
        f" INSERT INTO videos SELECT i, {raw}, i, i, CAST(i AS TEXT), 'baseline',"
        " CASE WHEN i % 10 = 0 THEN 1 ELSE 0 END, '', '2026-11-22T10:00:00.000000+00:00', '', NULL"
        " FROM n"
    )
    seen = set()
    for path, size_bytes, mtime_ns in store.videos.known():
        assert size_bytes == mtime_ns
        seen.add(path)
        if size_bytes % 20000 == 1:
            store.videos.set_note(size_bytes, "written meanwhile")
    assert len(seen) == 90000
    assert b"/v/10" not in seen
    assert b"/v/99999" in seen
