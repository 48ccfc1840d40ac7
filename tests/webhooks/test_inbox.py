"""What a neighbour says is stored, survives everything, and is done once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dubarr_watch.errors import WrongUsage
from dubarr_watch.library.asking import GONE, REPLACED
from dubarr_watch.neighbours import inbox as inbox_module
from dubarr_watch.neighbours.inbox import KEPT, MAX_ATTEMPTS, Inbox, InboxFull
from dubarr_watch.neighbours.letters import Letters
from dubarr_watch.store import Store
from dubarr_watch.store.inbox import InboxState
from dubarr_watch.store.records import JobOptions, JobState, Priority
from tests.composing import make_talk
from tests.library.conftest import film
from tests.library.test_changes import publish
from tests.programs import Program
from tests.waiting import eventually
from tests.webhooks.conftest import FILM, NEW, OLD, Post, episode, golden

DONE, IGNORED, REFUSED, FAILED = (
    InboxState.DONE, InboxState.IGNORED, InboxState.REFUSED, InboxState.FAILED,
)  # fmt: skip


class TestImports:
    def test_tags_of_a_film_choose_its_languages(self, post: Post) -> None:
        path = post.make(NEW)
        record = post.send("radarr_download")
        assert (record.sender, record.event, record.state) == ("Radarr", "Download", DONE)
        assert record.outcome == f"{path.name}: asked for German, French."
        assert post.house.job(path).languages == ("de", "fr")

    def test_without_a_tag_it_is_taken_as_any_new_video(self, post: Post) -> None:
        path = post.make(NEW)
        post.send("radarr_download", movie__tags=["kids"])
        assert post.house.job(path).languages == ("pl",)

    def test_the_tag_dub_asks_even_for_what_was_there_before_the_first_start(
        self, post: Post
    ) -> None:
        post.house.stop()
        path = post.make(episode(1))
        post.library = post.house.start()
        post.send("sonarr_import")
        assert post.house.job(path).languages == ("pl",)

    def test_a_file_that_has_not_arrived_is_waited_for(self, post: Post) -> None:
        """Radarr's folder may be copied to ours only afterwards."""
        post.send("radarr_download")
        post.house.pass_scans()
        assert post.house.jobs() == []
        assert post.house.job(post.make(NEW)).languages == ("de", "fr")

    def test_the_same_files_told_twice_in_two_shapes_are_one_job_each(self, post: Post) -> None:
        """Sonarr tells of every file, and then of all together."""
        paths = [post.make(episode(n)) for n in (1, 2, 3)]
        post.send("sonarr_import")
        post.send("sonarr_import")
        post.send("sonarr_import_complete")
        for path in paths:
            post.house.job(path)
        post.send("sonarr_import_complete")
        post.house.pass_scans()
        assert sorted(job.video.path for job in post.house.jobs()) == paths

    def test_a_better_version_ends_the_running_job_of_the_old_one(self, post: Post) -> None:
        """And gets what was asked for it."""
        old = post.make(OLD)
        post.library.ask(old, ["es"], JobOptions())
        running = post.house.store.jobs.claim_job(post.house.job(old).id, "test")
        old.unlink()
        new = post.make(NEW)
        record = post.send("radarr_download_upgrade")
        assert f"Job {running.id} is superseded." in record.outcome
        found = post.house.store.jobs.get(running.id)
        assert (found.cancel_requested, found.reason) == (True, REPLACED)

        def languages() -> set[str]:
            jobs = [job for job in post.house.jobs() if job.video.path == new]
            return {code for job in jobs for code in job.languages}

        eventually(lambda: languages() == {"es", "de", "fr"}, "both requests")

    def test_a_better_version_under_the_same_name(self, post: Post) -> None:
        path = post.make(NEW)
        running = post.house.store.jobs.claim_job(post.house.job(path).id, "test")
        post.make(NEW, film("better"))
        upgrade = golden("radarr_download_upgrade")
        upgrade["deletedFiles"][0]["path"] = upgrade["movieFile"]["path"]
        post.tell(upgrade)
        assert post.house.store.jobs.cancel_requested(running.id)
        assert post.house.job(path).languages == ("de", "fr")

    def test_what_it_is_said_to_speak_is_not_dubbed(self, post: Post) -> None:
        """Where its tracks do not say it themselves: by default, and by tag."""
        path = post.make(NEW, film(languages="und"))
        post.send(
            "radarr_download",
            movieFile__mediaInfo__audioLanguages=[],
            movieFile__languages=[],
            movie__originalLanguage={"id": 4, "name": "German"},
        )
        assert post.house.job(path).languages == ("fr",)
        path = post.make(episode(1), film(languages="und"))
        post.send("sonarr_import", series__tags=[], episodeFile__mediaInfo__audioLanguages=["pol"])
        assert "in Polish already" in post.house.job(path, JobState.SKIPPED).reason

    def test_the_tag_nodub_forbids_until_it_is_taken_away(self, post: Post) -> None:
        path = post.make(NEW)
        record = post.send("radarr_download", movie__tags=["nodub", "dub-de"])
        assert record.outcome == f"{path.name}: not to be dubbed."
        marker = path.with_name(f"{path.name}.nodub")
        assert marker.exists()
        post.house.pass_scans()
        assert [j for j in post.house.jobs() if not j.state.ended] == []
        post.send("radarr_download")
        assert not marker.exists()
        assert post.house.job(path).languages == ("de", "fr")

    def test_nobody_answers_what_a_tag_asks_for_before_nodub_is_gone(
        self, post: Post, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever looks in that very moment would answer that it is not to be dubbed."""
        path = post.make(NEW)
        post.send("radarr_download", movie__tags=["nodub"])
        post.house.pass_scans()
        unlink = Path.unlink
        looking = threading.Thread(target=post.library.settle_requests)

        def unlink_later(file: Path, missing_ok: bool = False) -> None:
            if file.name.endswith(".nodub"):
                looking.start()
                looking.join(0.5)
            unlink(file, missing_ok)

        monkeypatch.setattr(Path, "unlink", unlink_later)
        post.send("radarr_download")
        looking.join()
        assert post.house.job(path).languages == ("de", "fr")

    def test_a_prohibition_of_the_user_s_stays(self, post: Post) -> None:
        path = post.make(NEW)
        marker = path.with_name(f"{path.name}.nodub")
        marker.write_text("mine")
        post.send("radarr_download")
        assert marker.read_text() == "mine"

    def test_a_tag_that_names_no_language_is_told(self, post: Post) -> None:
        post.make(NEW)
        record = post.send("radarr_download", movie__tags=["dub-de-later"])
        assert record.outcome.startswith("No language is called later")
        assert record.state is DONE


class TestOtherEvents:
    def test_a_rename_carries_the_request_along(self, post: Post) -> None:
        post.library.ask(post.path(NEW), ["de"], JobOptions())
        record = post.send("radarr_rename")
        path = post.make(NEW.rpartition("/")[0] + "/The Paper Lighthouse.mkv")
        assert record.outcome == f"{Path(NEW).name} is {path.name} now."
        assert post.house.job(path).languages == ("de",)

    @pytest.mark.parametrize("how", ["another file", "a link", "no file yet"])
    def test_nothing_follows_a_file_that_is_still_there(self, post: Post, how: str) -> None:
        """Whatever its new name is said to be."""
        old = post.make(NEW)
        job = post.house.job(old)
        track = old.with_name(f"{old.stem}.Dubarr.pl.mka")
        publish(post.house, job, track)
        post.house.finish(job)
        new = old.with_name("The Paper Lighthouse.mkv")
        if how == "another file":
            post.make(f"{FILM}/{new.name}", film("another"))
        elif how == "a link":
            new.hardlink_to(old)
        record = post.send("radarr_rename")
        assert (record.state, "still there" in record.outcome) == (REFUSED, True)
        assert (old.exists(), track.exists()) == (True, True)
        assert {one.path for one in post.house.store.outputs.for_video(job.video.id)} == {track}

    @pytest.mark.parametrize("name", ["radarr_movie_file_delete", "radarr_movie_delete"])
    def test_a_deletion_cancels(self, post: Post, name: str) -> None:
        path = post.make(NEW)
        job = post.house.store.jobs.claim_job(post.house.job(path).id, "test")
        path.unlink()
        assert f"cancelled job {job.id}" in post.send(name).outcome
        assert post.house.store.jobs.get(job.id).reason == GONE

    def test_the_root_of_the_library_is_not_taken_for_deleted(self, post: Post) -> None:
        """Whatever somebody has for a film's folder."""
        payload = golden("radarr_movie_delete", movie__folderPath=str(post.house.root))
        assert post.tell(payload).state is REFUSED

    @pytest.mark.parametrize("name", ["radarr_test", "sonarr_test", "tautulli_test"])
    def test_a_test_creates_nothing(self, post: Post, name: str) -> None:
        record = post.send(name)
        assert (record.state, record.outcome) == (DONE, "The connection works.")
        assert post.house.store.requests.all_open() == []

    @pytest.mark.parametrize("payload", [golden("radarr_grab"), golden("sonarr_unknown"), [], 3])
    def test_what_asks_for_nothing_is_kept_as_ignored(self, post: Post, payload: object) -> None:
        with capture_logs() as logs:
            record = post.tell(payload)
        assert (record.state, bool(record.outcome), record.payload) == (IGNORED, True, "")
        assert [log["state"] for log in logs if log["event"] == "webhook"] == [IGNORED]


class TestOutside:
    def test_what_radarr_says_of_a_file_elsewhere_is_kept_as_refused(self, post: Post) -> None:
        """It is accepted all the same, and says which setting is missing."""
        record = post.send("radarr_download", movieFile__path="/films/a.mkv")
        assert record.state is REFUSED
        assert "PATH_MAP=/films=" in record.outcome
        assert post.house.store.requests.all_open() == []

    @pytest.mark.parametrize(
        "payload",
        [
            {"path": ""}, {"path": "/etc/passwd"}, {"path": "/movies/../../a.mkv"},
            {"path": "/movies/a.txt"}, {"path": "/movies/sample.mkv"}, {"path": "/movies/.b/a.mkv"},
            {"path": "/movies/a.mkv", "languages": "germn"}, {"path": "/movies"},
            {"path": "/movies/a.mkv", "mode": "loud"}, {"path": "/movies/\ud800.mkv"},
        ],
    )  # fmt: skip
    def test_who_asks_for_one_path_is_told_what_is_wrong(
        self, post: Post, payload: dict[str, str]
    ) -> None:
        """And it can be seen later, too."""
        inbox = post.open()
        with pytest.raises(WrongUsage) as error:
            inbox.put(payload)
        (record,) = post.house.store.inbox.recent()
        assert (record.state, record.outcome) == (REFUSED, str(error.value))


class TestWanted:
    def test_a_path_may_say_what_it_wants(self, post: Post) -> None:
        path = post.make("movies/a.mkv")
        assert post.send("plain_with_wishes").state is DONE
        job = eventually(
            lambda: next((j for j in post.house.jobs() if j.options.mode == "mux"), None), "job"
        )
        assert (job.video.path, job.languages) == (path, ("de", "fr"))
        assert job.options == JobOptions("mux", "", True, Priority.HIGH)

    def test_a_folder_stands_for_the_videos_in_it(self, post: Post) -> None:
        paths = [post.make(episode(n)) for n in (1, 2)]
        post.tell({"path": "/tv/Harbour Lights", "languages": "fr"})
        for path in paths:
            assert eventually(lambda p=path: _in_french(post, p), f"{path}")  # type: ignore[misc]

    @pytest.mark.parametrize("name", ["bazarr_post_processing", "tautulli_added", "plain"])
    def test_a_video_of_old_is_asked_for(self, post: Post, name: str) -> None:
        post.house.stop()
        path = post.make(episode(1) if name.startswith("bazarr") else NEW)
        post.library = post.house.start()
        assert post.send(name).state is DONE
        assert post.house.job(path).languages == ("pl",)

    def test_bazarr_is_not_told_and_its_error_is_kept(self, post: Post) -> None:
        record = post.send("bazarr_post_processing", episode="/elsewhere/a.mkv")
        assert record.state is REFUSED


def _in_french(post: Post, path: Path) -> bool:
    return any(j.video.path == path and j.languages == ("fr",) for j in post.house.jobs())


class TestDurability:
    def test_what_fails_is_tried_again_and_then_given_up(
        self, post: Post, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The next message is worked off all the same."""
        calls: list[Path] = []

        def broken(path: Path) -> None:
            calls.append(path)
            raise RuntimeError("made up")

        monkeypatch.setattr(post.library, "look_at", broken)
        post.open(retry_s=0.01)
        record = post.send("radarr_download", movie__tags=[])
        assert (record.state, len(calls)) == (FAILED, MAX_ATTEMPTS)
        assert post.send("radarr_test").state is DONE

    def test_many_at_once_are_all_on_disk_in_order(self, post: Post) -> None:
        inbox = post.open(start=False)
        ids: list[int] = []
        start = threading.Barrier(50)

        def send(number: int) -> None:
            start.wait()
            ids.append(inbox.put({"eventType": f"Event{number}"}).id)

        threads = [threading.Thread(target=send, args=(n,)) for n in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        records = post.house.store.inbox.recent(100)
        assert sorted(ids) == sorted(record.id for record in records) == list(range(1, 51))
        assert {record.event for record in records} == {f"Event{n}" for n in range(50)}

    def test_there_is_an_end_to_what_waits_and_to_what_is_kept(
        self, post: Post, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = post.house.store
        store.inbox.add([("", f"{n}", "{}") for n in range(KEPT + 10)])
        monkeypatch.setattr(inbox_module, "MAX_PENDING", KEPT + 11)
        inbox = post.open(start=False)
        inbox.put({})
        with pytest.raises(InboxFull):
            inbox.put({})
        inbox.start()
        eventually(lambda: len(store.inbox.recent(9999)) == KEPT, "pruned")
        assert store.inbox.recent(1)[0].id == KEPT + 11
        inbox.put({})


def test_a_message_outlives_a_kill_between_store_and_work(tmp_path: Path) -> None:
    """Acknowledged, then SIGKILL: the daemon's next start does what it says."""
    with Program(tmp_path) as program:
        program.start()
        program.end(signal.SIGTERM)
        path = make_talk(program.videos / "Asked.mkv")
        taker = f"""
import os, signal
from pathlib import Path
from dubarr_watch.library.intake import Library
from dubarr_watch.neighbours.inbox import Inbox
from dubarr_watch.settings import load_settings
from dubarr_watch.store.store import Store
settings = load_settings()
store = Store.open(settings.database_path)
inbox = Inbox(settings, store, Library(settings, store, lambda: None))
inbox.put({{"path": {str(path)!r}, "languages": ["fr"]}})
os.kill(os.getpid(), signal.SIGKILL)
"""
        ended = subprocess.run(
            [sys.executable, "-c", taker],
            env={**os.environ, **program.environment},
            check=False,
            timeout=60,
        )
        assert ended.returncode == -signal.SIGKILL
        program.start()
        job = program.ended("Asked.mkv")
        assert (job.languages, job.state) == (("fr",), JobState.DONE)
        with Store.open(program.config / "dubarr.db") as store:
            assert [record.state for record in store.inbox.recent()] == [DONE]


def test_it_stops_in_time_though_a_message_takes_long(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it is at stays in the store for the next start."""
    begun, go_on = threading.Event(), threading.Event()

    def work_off(letters: Letters, news: object) -> tuple[InboxState, str]:
        begun.set()
        go_on.wait(30)
        return DONE, ""

    monkeypatch.setattr(Letters, "work_off", work_off)
    inbox = post.open()
    inbox.put(golden("radarr_download"))
    assert begun.wait(30)
    inbox.stop(0.2)
    assert post.house.store.inbox.count_pending() == 1
    go_on.set()


def test_an_inbox_that_never_started_can_be_stopped(post: Post) -> None:
    Inbox(post.house.settings, post.house.store, post.library).stop()
