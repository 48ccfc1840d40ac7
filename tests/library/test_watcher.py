"""Events: what is heard, and what happens when nothing can be heard."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent, Mask, WatchDescriptor

from dubarr_watch.library.hints import MAX_PATHS, Hints
from dubarr_watch.library.watcher import Watcher
from tests.waiting import eventually


class Ears:
    """A watcher, and what it heard."""

    def __init__(self, root: Path) -> None:
        self.paths: list[Path] = []
        self.lost = 0
        self.deaf = False
        self.watcher = Watcher(root, self._heard, self._lost, pause_s=0)

    def _heard(self, path: Path) -> None:
        if self.deaf:
            raise ValueError("boom")
        self.paths.append(path)

    def _lost(self) -> None:
        self.lost += 1


@pytest.fixture
def listen() -> Iterator[Callable[[Path], Ears]]:
    all_ears: list[Ears] = []

    def start(root: Path) -> Ears:
        ears = Ears(root)
        all_ears.append(ears)
        ears.watcher.start()
        return ears

    yield start
    for ears in all_ears:
        ears.watcher.stop()


Listen = Callable[[Path], Ears]


def test_each_change_is_heard_and_reading_is_not(tmp_path: Path, listen: Listen) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "old.mkv").write_bytes(b"x")
    ears = listen(root)
    assert ears.watcher.health().watches == 2
    (root / "old.mkv").read_bytes()
    os.listdir(root / "sub")
    (root / "sub" / "new.mkv").write_bytes(b"x")
    (root / "sub" / "new.mkv").rename(root / "moved.mkv")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "in.mkv").write_bytes(b"x")
    (tmp_path / "outside").rename(root / "inside")
    (root / "gone.mkv").touch()
    (root / "gone.mkv").unlink()
    wanted = {"sub/new.mkv", "moved.mkv", "inside", "gone.mkv"}
    eventually(lambda: {root / name for name in wanted} <= set(ears.paths))
    assert root / "old.mkv" not in ears.paths


def test_a_root_that_is_a_link_is_watched_and_told_by_its_own_name(
    tmp_path: Path, listen: Listen
) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    ears = listen(link)
    (tmp_path / "real" / "film.mkv").touch()
    eventually(lambda: link / "film.mkv" in ears.paths)


def test_names_that_are_no_utf8_are_heard(tmp_path: Path, listen: Listen) -> None:
    ears = listen(tmp_path)
    (tmp_path / "caf\udce9.mkv").touch()
    eventually(lambda: tmp_path / "caf\udce9.mkv" in ears.paths)


def test_an_error_in_a_handler_is_logged_and_watching_goes_on(
    tmp_path: Path, listen: Listen
) -> None:
    ears = listen(tmp_path)
    ears.deaf = True
    with capture_logs() as logs:
        (tmp_path / "first.mkv").touch()
        eventually(lambda: any(entry["event"] == "event_failed" for entry in logs))
    ears.deaf = False
    (tmp_path / "second.mkv").touch()
    eventually(lambda: tmp_path / "second.mkv" in ears.paths)
    assert not ears.watcher.check()


def test_a_full_queue_asks_for_a_scan_once_and_for_a_fresh_observer(
    tmp_path: Path, listen: Listen
) -> None:
    ears = listen(tmp_path)
    observer = ears.watcher._observer
    assert observer is not None
    overflow = InotifyEvent(WatchDescriptor(-1), Mask(InotifyConstants.IN_Q_OVERFLOW), 0, b"")
    observer._source.handle_event(overflow)
    observer._source.handle_event(overflow)
    assert ears.lost == 1
    assert ears.watcher.check()
    assert ears.watcher._observer is not observer
    (tmp_path / "after.mkv").touch()
    eventually(lambda: tmp_path / "after.mkv" in ears.paths)


def test_a_root_that_is_replaced_is_watched_anew(tmp_path: Path, listen: Listen) -> None:
    root = tmp_path / "root"
    root.mkdir()
    ears = listen(root)
    root.rename(tmp_path / "away")
    assert not ears.watcher.check()
    root.mkdir()
    assert ears.watcher.check()
    (root / "film.mkv").touch()
    eventually(lambda: root / "film.mkv" in ears.paths)
    assert not ears.watcher.check()


def test_a_root_that_comes_late_is_watched_when_it_is_there(tmp_path: Path, listen: Listen) -> None:
    root = tmp_path / "root"
    ears = listen(root)
    assert not ears.watcher.health().alive
    assert ears.watcher.health().problem
    assert not ears.watcher.check()
    root.mkdir()
    assert ears.watcher.check()
    assert ears.watcher.health().alive
    assert ears.watcher.health().problem == ""


def test_no_inotify_instance_is_a_problem_with_a_way_out(
    tmp_path: Path, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left() -> int:
        raise OSError(errno.EMFILE, "inotify instance limit reached")

    monkeypatch.setattr(
        "dubarr_watch.library.watcher.InotifyFD._create_inotify_fd", staticmethod(none_left)
    )
    ears = listen(tmp_path)
    assert "max_user_instances" in ears.watcher.health().problem


LIMITED = """
import sys, pathlib
pathlib.Path("/proc/sys/user/max_inotify_watches").write_text("10")
from dubarr_watch.library.watcher import Watcher
root = pathlib.Path(sys.argv[1])
watcher = Watcher(root, lambda path: None, lambda: None)
watcher.start()
health = watcher.health()
assert health.alive and health.watches == 10, health
assert "max_user_watches" in health.problem, health
watcher.stop()
print("told")
"""


def test_the_limit_of_watches_is_told_with_a_way_out(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / str(number)).mkdir()
    done = subprocess.run(
        ["unshare", "-Ur", sys.executable, "-c", LIMITED, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in done.stderr or "Read-only" in done.stderr or "Permission" in done.stderr:
        pytest.skip("user namespaces are not to be had here")
    assert done.stdout.splitlines()[-1:] == ["told"], done.stderr


def test_a_hint_counts_once_and_too_many_become_everything() -> None:
    hints = Hints()
    for _ in range(3):
        hints.add(Path("/a"))
    hints.add(Path("/b"))
    assert hints.take(0) == ([Path("/a"), Path("/b")], False)
    assert hints.take(0) == ([], False)
    for number in range(MAX_PATHS):
        hints.add(Path(f"/{number}"))
    assert not hints.take(0)[1]
    for number in range(MAX_PATHS + 1):
        hints.add(Path(f"/{number}"))
    assert hints.take(0) == ([], True)


def test_waiting_for_hints_ends_when_one_comes_or_someone_wakes() -> None:
    hints = Hints()
    taken: list[object] = []
    thread = threading.Thread(target=lambda: taken.append(hints.take(60)))
    thread.start()
    hints.add(Path("/a"))
    thread.join(60)
    assert taken == [([Path("/a")], False)]
    thread = threading.Thread(target=lambda: taken.append(hints.take(60)))
    thread.start()
    hints.wake()
    thread.join(60)
    assert taken[1:] == [([], False)]


OVERWHELMED = """
import sys, pathlib
from dubarr_watch.library.watcher import Watcher
lost = []
watcher = Watcher(pathlib.Path(sys.argv[1]), lambda path: None, lambda: lost.append(1), pause_s=0)
watcher.start()
print("watching", flush=True)
sys.stdin.readline()
import time
until = time.monotonic() + 30
while not lost and time.monotonic() < until:
    time.sleep(0.02)
assert lost, "no event was lost"
assert watcher.check()
assert watcher.health().alive
watcher.stop()
print("told", flush=True)
"""


def test_a_queue_that_really_overflows_asks_for_a_scan(tmp_path: Path) -> None:
    """A process that gets no time to read while more happens than the kernel keeps."""
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if most > 70_000:
        pytest.skip("this machine keeps too many events to overflow in a test")
    child = subprocess.Popen(
        [sys.executable, "-c", OVERWHELMED, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "watching\n"
        child.send_signal(signal.SIGSTOP)
        for number in range(most // 2 + 2000):  # made and closed: no two alike in a row
            (tmp_path / f"{number % 500}.mkv").unlink(missing_ok=True)
            (tmp_path / f"{number % 500}.mkv").touch()
        child.send_signal(signal.SIGCONT)
        said, _ = child.communicate("\n", timeout=60)
    assert said.splitlines()[-1] == "told"
