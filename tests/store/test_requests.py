from __future__ import annotations

from pathlib import Path

import pytest

from dubarr_watch.errors import NotInStore
from dubarr_watch.store import Store
from dubarr_watch.store.records import JobOptions, Priority

FILM, MARKER = Path("/v/x/Film.mkv"), Path("/v/x/Film.mkv.dub")


def test_a_request_is_kept_with_everything_asked_for(store: Store) -> None:
    """Languages, options and marker come back as they went in."""
    options = JobOptions(mode="mux", style="voiceover", again=True, priority=Priority.HIGH)
    request = store.requests.add(FILM, False, ["de", "fr"], options, MARKER)
    assert (request.languages, request.options, request.marker) == (("de", "fr"), options, MARKER)
    assert request.open
    assert store.requests.get(request.id) == request
    assert store.requests.by_marker(MARKER) == request
    with pytest.raises(NotInStore):
        store.requests.get(99)


def test_the_same_marker_seen_again_asks_for_nothing_new(store: Store) -> None:
    """A marker is read at every scan, and asks once."""
    first = store.requests.add(FILM, False, ["de"], JobOptions(), MARKER)
    assert store.requests.add(FILM, False, ["de"], JobOptions(), MARKER).id == first.id
    assert len(store.requests.all_open()) == 1


def test_a_marker_whose_content_changed_asks_anew(store: Store) -> None:
    """What it asked for before is closed; another marker's request is not."""
    other = store.requests.add(FILM, False, ["it"], JobOptions(), Path("/v/x/Film.dub"))
    first = store.requests.add(FILM, False, ["de"], JobOptions(), MARKER)
    second = store.requests.add(FILM, False, ["de", "fr"], JobOptions(), MARKER)
    assert not store.requests.get(first.id).open
    assert [r.id for r in store.requests.all_open()] == [other.id, second.id]


def test_a_marker_that_was_done_may_ask_again(store: Store) -> None:
    """A closed request does not swallow a new marker of the same content."""
    first = store.requests.add(FILM, False, ["de"], JobOptions(), MARKER)
    store.requests.close(first.id)
    assert store.requests.by_marker(MARKER) is None
    assert store.requests.add(FILM, False, ["de"], JobOptions(), MARKER).id != first.id


def test_a_person_s_request_is_kept_once(store: Store) -> None:
    """Without a marker, the same words for the same video are one request; others are more."""
    first = store.requests.add(FILM, False, ["de"], JobOptions(), None)
    assert store.requests.add(FILM, False, ["de"], JobOptions(), None).id == first.id
    assert store.requests.add(FILM, False, ["fr"], JobOptions(), None).id != first.id
    assert len(store.requests.all_open()) == 2


def test_a_video_is_asked_for_by_its_own_and_by_folders_above(store: Store) -> None:
    """A folder beside it, a video of the same name elsewhere and closed requests do not count."""
    own = store.requests.add(FILM, False, [], JobOptions(), MARKER)
    near = store.requests.add(Path("/v/x"), True, ["de"], JobOptions(), Path("/v/x/.dub"))
    top = store.requests.add(Path("/v"), True, [], JobOptions(), Path("/v/.dub"))
    store.requests.add(Path("/v/y"), True, [], JobOptions(), Path("/v/y/.dub"))
    store.requests.add(Path("/v/Film.mkv"), False, [], JobOptions(), None)
    store.requests.add(Path("/v/x"), False, [], JobOptions(), None)
    closed = store.requests.add(Path("/"), True, [], JobOptions(), None)
    store.requests.close(closed.id)
    assert [r.id for r in store.requests.open_for(FILM)] == [own.id, near.id, top.id]
    assert own.languages == ()


def test_requests_follow_a_moved_video(store: Store) -> None:
    """A marker lost to a rename loses nothing."""
    request = store.requests.add(FILM, False, ["de"], JobOptions(), MARKER)
    store.requests.move(FILM, Path("/v/z/New.mkv"))
    assert [r.id for r in store.requests.open_for(Path("/v/z/New.mkv"))] == [request.id]
    assert store.requests.open_for(FILM) == []
    assert store.requests.get(request.id).marker == MARKER


def test_requests_follow_a_moved_folder_with_all_that_is_in_it(store: Store) -> None:
    """Neighbours whose names only begin alike stay."""
    folder = store.requests.add(Path("/v/x"), True, [], JobOptions(), Path("/v/x/.dub"))
    video = store.requests.add(FILM, False, [], JobOptions(), MARKER)
    beside = store.requests.add(Path("/v/x2/a"), False, [], JobOptions(), None)
    store.requests.move(Path("/v/x"), Path("/w/\udcff"))
    moved = store.requests.get(folder.id)
    assert (moved.target, moved.marker) == (Path("/w/\udcff"), Path("/w/\udcff/.dub"))
    assert store.requests.get(video.id).target == Path("/w/\udcff/Film.mkv")
    assert store.requests.get(video.id).marker == Path("/w/\udcff/Film.mkv.dub")
    assert store.requests.get(beside.id).target == Path("/v/x2/a")
