"""Several daemons on one database server: one watches and tells, all of them work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from pydantic import SecretStr

from dubarr_watch.heartbeat import Heartbeat, living
from dubarr_watch.lookout import Lookout
from dubarr_watch.settings import Settings, load_settings
from dubarr_watch.store import Store
from dubarr_watch.store.owners import Owner
from dubarr_watch.store.records import JobOptions, JobState
from dubarr_watch.workshop import Workshop
from tests.composing import make_talk, names
from tests.programs import Program
from tests.store.conftest import a_video
from tests.store.server import Emptied
from tests.test_notify import Service
from tests.waiting import eventually

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

LEASE_S = 0.6


@pytest.fixture
def url(emptied: Emptied) -> SecretStr:
    emptied.empty()
    return emptied.url


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.close()


class Machine:
    """A daemon's lookout on a machine of its own; the library is shared."""

    def __init__(self, folder: Path, name: str, url: SecretStr, **more: object) -> None:
        (folder / "videos").mkdir(exist_ok=True)
        (folder / name).mkdir()
        self.settings: Settings = load_settings(
            videos_dir=folder / "videos", config_dir=folder / name, mock_mode=True,
            settle_seconds=0.1, target_langs="es", database_url=url, **more,
        )  # fmt: skip
        self.settings.work_dir.mkdir()
        self.store = Store.open(url)
        self.owner = Owner.acquire(self.settings.config_dir)
        shop = SimpleNamespace(store=self.store, owner=self.owner, refusal=lambda language: "")
        self.lookout = Lookout(
            self.settings, cast(Workshop, shop), lambda: None, lambda: False, lease_s=LEASE_S
        )
        self.lookout.start()

    def fall_silent(self) -> None:
        """Give no sign of life any more, as a machine that is paused."""
        self.lookout._stopping.set()
        self.lookout._thread.join()

    def close(self) -> None:
        self.lookout.stop(lambda: 1.0)
        self.owner.release()
        self.store.close()


@pytest.fixture
def two(tmp_path: Path, url: SecretStr, service: Service) -> Iterator[tuple[Machine, Machine]]:
    told = SecretStr(service.url)
    machines = [Machine(tmp_path, name, url, notify_urls=told) for name in ("one", "two")]
    yield machines[0], machines[1]
    for machine in machines:
        machine.close()


def test_one_of_two_daemons_watches(two: tuple[Machine, Machine]) -> None:
    """A new video is one job, also when both could see it; the page of the other is well."""
    one, two_ = two
    assert (one.lookout.on_duty, two_.lookout.on_duty) == (True, False)
    assert two_.lookout.health().running
    make_talk(one.settings.videos_dir / "Film.mkv")
    eventually(lambda: len(one.store.jobs.queue()) == 1)
    assert two_.lookout._duty.library.health().folders == 0


def test_another_daemon_takes_over_from_a_silent_one(
    two: tuple[Machine, Machine], service: Service
) -> None:
    """A message is told once, by whoever has the role; a video that comes then is seen."""
    one, two_ = two
    one.fall_silent()
    eventually(lambda: two_.lookout.on_duty)
    assert not one.lookout._has_role()
    job = two_.store.jobs
    make_talk(one.settings.videos_dir / "Film.mkv")
    eventually(lambda: len(job.queue()) == 1)
    claimed = eventually(lambda: job.claim("somebody"), "no other transaction holds its row")
    job.finish(claimed.id, JobState.DONE, events=["done"])
    one.lookout._duty.notifier.wake()
    eventually(lambda: not two_.store.notifications.pending())
    assert len(service.messages) == 1
    one.lookout._turn()
    assert not one.lookout.on_duty


def test_a_daemon_that_stops_hands_over_at_once(two: tuple[Machine, Machine]) -> None:
    one, two_ = two
    one.lookout.stop(lambda: 1.0)
    assert one.store.roles.holder("lookout") in ("", two_.owner.id)
    eventually(lambda: two_.lookout.on_duty)


def test_a_process_elsewhere_lives_by_its_signs(
    two: tuple[Machine, Machine], tmp_path: Path
) -> None:
    """Its lock is in a folder that this machine does not see; one of our own is dead at once."""
    one, two_ = two
    lives = living(one.settings, one.store)
    assert lives(one.owner.id)
    assert not lives(two_.owner.id)
    with Heartbeat(two_.settings, two_.store, two_.owner.id, "", lease_s=LEASE_S):
        assert lives(two_.owner.id)
        job = two_.store.jobs.enqueue(a_video(two_.store).id, ["es"], JobOptions())
        two_.store.jobs.claim_job(job.id, two_.owner.id)
        assert one.store.recovery.recover(lives, max_attempts=3) == []
    assert not lives(two_.owner.id)
    assert [back.id for back in one.store.recovery.recover(lives, max_attempts=3)] == [job.id]
    one.owner.release()
    assert not lives(one.owner.id)


def test_two_daemons_share_one_queue(tmp_path: Path, url: SecretStr, service: Service) -> None:
    """In processes of their own: each video is dubbed once, and told once."""
    shared = {"DATABASE_URL": url.get_secret_value(), "NOTIFY_URLS": service.url,
              "NOTIFY_DIGEST_SECONDS": "0"}  # fmt: skip
    one, other = (Program(tmp_path / name, **shared) for name in ("one", "other"))
    other.environment["VIDEOS_DIR"] = str(one.videos)
    with one, other:
        one.start()
        other.start()
        for number in range(4):
            make_talk(one.videos / f"{number}.mkv", 1.0 + number / 4)
        with Store.open(url) as store:
            eventually(lambda: len(store.jobs.recent()) == 4, deadline_s=60)
            eventually(lambda: not store.notifications.pending())
            assert {job.state for job in store.jobs.recent()} == {JobState.DONE}
            assert {job.token for job in store.jobs.recent()} == {1}
    assert len([name for name in names(one.videos) if name.endswith(".mka")]) == 4
    titles = " ".join(str(message) for message in service.messages)
    assert [titles.count(f"{number}.mkv") > 0 for number in range(4)] == [True] * 4
    assert len(service.messages) <= 4
