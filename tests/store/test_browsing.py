"""The library page by page, at the size of a large one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dubarr_watch.store import Store
from dubarr_watch.store.browsing import VideoFilter
from dubarr_watch.store.records import JobState, OutputRecord
from tests.store.conftest import a_job, a_video, sqlite_file

VIDEOS = 20_000


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Twenty thousand videos, a tenth of them dubbed, a hundredth failed."""
    with Store.open(tmp_path_factory.mktemp("large") / "dubarr.db") as store:
        fill(store, VIDEOS)
        yield store


def fill(store: Store, count: int) -> None:
    """Put videos, tracks and jobs into an empty store."""
    run = store._database.execute
    path = "printf('/videos/Folder %03d/Film %05d.mkv', i % 500, i)"
    now = "'2026-11-22T10:00:00.000000+00:00'"
    with store.transaction():
        run(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            f" INSERT INTO videos SELECT i, CAST({path} AS BLOB), i, i, i, 'baseline', 0, '',"
            f" {now}, lower({path}), 'en' FROM n",
            count,
        )
        run(
            "INSERT INTO outputs SELECT CAST(path || '.es.mka' AS BLOB), id, id, 'es', 'sidecar',"
            " 1, 1, 'x' FROM videos WHERE id % 10 = 0"
        )
        run(
            "INSERT INTO jobs (video_id, languages, mode, style, again, priority, rank, state,"
            " reason, attempts, stage, progress, cancel_requested, owner, created_at)"
            " SELECT id, 'es', '', '', 0, 'normal', 1,"
            " CASE WHEN id % 100 = 0 THEN 'failed' ELSE 'done' END, '', 1, '', 1, 0, '',"
            f" {now} FROM videos WHERE id % 10 = 0"
        )


@pytest.mark.parametrize(
    ("asked", "total"),
    [
        ({}, VIDEOS),
        ({"offset": VIDEOS - 50}, VIDEOS),
        ({"search": "film 19999"}, 1),
        ({"search": "FOLDER 007/film"}, 40),
        ({"search": "nothing like it"}, 0),
        ({"which": VideoFilter.DUBBED}, VIDEOS // 10),
        ({"which": VideoFilter.NOT_DUBBED, "offset": 9000}, VIDEOS // 10 * 9),
        ({"which": VideoFilter.FAILED}, VIDEOS // 100),
        ({"which": VideoFilter.WORKING}, 0),
        ({"which": VideoFilter.DUBBED, "search": "7"}, None),
    ],
)
def test_a_page_of_twenty_thousand_asks_as_little_as_one_of_ten(
    large: Store, asked: dict[str, object], total: int | None
) -> None:
    """With as many questions to SQLite as a page of ten takes."""
    asking: list[str] = []
    connection = sqlite_file(large).connection()
    connection.set_trace_callback(asking.append)
    page = large.browsing.page(root=Path("/videos"), limit=50, **asked)  # type: ignore[arg-type]
    ids = [video.id for video in page.videos]
    outputs = large.browsing.outputs(ids)
    large.browsing.asked_for(ids)
    connection.set_trace_callback(None)
    assert total in (None, page.total)
    assert len(page.videos) == min(50, page.total)
    paths = [video.path for video in page.videos]
    assert paths == sorted(paths)
    if asked.get("which") is VideoFilter.DUBBED:
        assert set(outputs) == set(ids)
    assert len(asking) == 5


@pytest.mark.parametrize("which", VideoFilter)
def test_a_page_is_read_in_order_and_not_sorted(large: Store, which: VideoFilter) -> None:
    """The index on paths gives it; a sort would take all videos for each page."""
    asking: list[str] = []
    connection = sqlite_file(large).connection()
    connection.set_trace_callback(asking.append)
    large.browsing.page(which=which)
    connection.set_trace_callback(None)
    ids = next(query for query in asking if "OFFSET" in query)
    plan = " ".join(row[3] for row in large._database.execute(f"EXPLAIN QUERY PLAN {ids}"))
    assert "USING" in plan
    assert "INDEX videos_p" in plan
    assert (
        "TEMP B-TREE FOR ORDER BY" not in plan.replace("CORRELATED SCALAR SUBQUERY", "")
        or which is VideoFilter.FAILED
    )
    assert "SCAN outputs" not in plan
    assert "SCAN jobs" not in plan


def test_words_are_found_in_any_case_and_without_accents(store: Store) -> None:
    a_video(store, "Amélie (2001).mkv", "/videos/Films/Été")
    a_video(store, "Other.mkv", "/videos/Films")
    for search in ("amelie", "AMÉLIE 2001", "ete films", "(2001)", "ame"):
        found = store.browsing.page(search=search, root=Path("/videos")).videos
        assert [video.path.name for video in found] == ["Amélie (2001).mkv"], search
    for search in ("videos", "%", "_", "amelie other"):
        assert store.browsing.page(search=search, root=Path("/videos")).total == 0, search


def test_the_last_job_counts_for_what_failed(store: Store) -> None:
    first = a_job(store, "es")
    store.jobs.finish(first.id, JobState.FAILED, "x")
    assert store.browsing.page(which=VideoFilter.FAILED).total == 1
    again = a_job(store, "es")
    assert store.browsing.page(which=VideoFilter.FAILED).total == 0
    assert store.browsing.page(which=VideoFilter.WORKING).total == 1
    assert store.browsing.asked_for([again.video.id]) == {again.video.id: ["es"]}


def test_subtitles_alone_are_no_dub(store: Store) -> None:
    job = a_job(store, "es")
    for kind, total in (("subtitles", 0), ("sidecar", 1)):
        path = Path(f"/videos/{kind}")
        store.outputs.record(OutputRecord(path, job.id, "es", kind, 1, 1, "f"))
        assert store.browsing.page(which=VideoFilter.DUBBED).total == total
