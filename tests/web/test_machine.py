"""Settings, models, findings and tasks as the page shows them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dubarr_watch.demo.listener import PushListener
from dubarr_watch.errors import DubarrError, IllegalTransition
from dubarr_watch.settings import Settings
from dubarr_watch.web.app import THREADS
from dubarr_watch.web.desk import machine
from dubarr_watch.web.desk.tasks import MOST_WAITING, Report, Tasks
from tests.waiting import eventually
from tests.web.sites import PASSWORD, Site, open_site

HANGING = pytest.mark.parametrize(
    ("method", "path", "work"),
    [
        ("GET", "/api/v1/doctor?again=true", "examine"),
        ("GET", "/settings/findings", "examine"),
        ("POST", "/api/v1/notifications/test", "test_services"),
    ],
)


def hanging(
    monkeypatch: pytest.MonkeyPatch, work: str, patience_s: float
) -> tuple[list[None], threading.Event]:
    """Let some work of the desk hang; return what tells that it was begun, and what ends it."""
    begun, go_on = list[None](), threading.Event()

    def hang(settings: Settings) -> list[object]:
        begun.append(None)
        go_on.wait(120)
        return []

    monkeypatch.setattr(machine, work, hang)
    monkeypatch.setattr(machine, "PATIENCE_S", patience_s)
    return begun, go_on


class TestSettings:
    def test_each_has_its_source_and_secrets_are_hidden(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "config").mkdir()
        (tmp_path / "config" / "config.env").write_text("MAX_SPEEDUP=1.1\nSTEREO=\n")
        (tmp_path / "token").write_text("made-up-token-of-nobody")
        for name in Settings.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.setenv("CONFIG_DIR", str(tmp_path / "config"))
        monkeypatch.setenv("SETTLE_SECONDS", "3")
        monkeypatch.setenv("HF_TOKEN_FILE", str(tmp_path / "token"))
        with open_site(tmp_path) as site:
            answer = site.client.get("/api/v1/settings")
        shown = {one["name"]: one for one in answer.json()}
        assert set(shown) == {name.upper() for name in Settings.model_fields}
        sources = {name: shown[name]["source"] for name in
                   ("MAX_SPEEDUP", "STEREO", "SETTLE_SECONDS", "HF_TOKEN", "QA")}  # fmt: skip
        assert sources == {
            "MAX_SPEEDUP": "config.env", "STEREO": "default", "SETTLE_SECONDS": "environment",
            "HF_TOKEN": "file", "QA": "default",
        }  # fmt: skip
        assert (shown["SETTLE_SECONDS"]["value"], shown["SETTLE_SECONDS"]["default"]) == (
            "3.0",
            "10",
        )
        assert (shown["HF_TOKEN"]["value"], shown["HF_TOKEN"]["secret"]) == ("***", True)
        assert shown["OPENAI_API_KEY"]["value"] == ""
        assert PASSWORD not in answer.text
        assert "made-up-token-of-nobody" not in answer.text


class TestTasks:
    def test_a_pull_that_cannot_be_is_told(self, site: Site) -> None:
        told = site.problem(site.client.post("/api/v1/models/nothing/pull"))
        assert told["status"] == 422
        assert "Known models" in told["hint"]

    def test_a_task_is_followed_to_its_end(self, site: Site) -> None:
        go_on = threading.Event()

        def work(report: Report) -> None:
            report("half", 0.5)
            go_on.wait(30)

        task = site.desk.tasks.start("pull", "x", work)
        path = f"/api/v1/tasks/{task.id}"
        eventually(lambda: site.get(path)["progress"] == 0.5)
        with pytest.raises(IllegalTransition):
            site.desk.tasks.start("pull", "x", lambda report: None)
        go_on.set()
        eventually(lambda: site.get(path)["state"] == "done")
        assert site.get("/api/v1/tasks")[0]["finished_at"]

    def test_one_of_a_kind_is_done_at_a_time_and_the_others_say_how_many_are_before_them(
        self, tmp_path: Path
    ) -> None:
        """However many are asked for, one thread does them; another kind has its own."""
        go_on, done = threading.Semaphore(0), list[str]()

        def work(name: str) -> Callable[[Report], None]:
            def do(report: Report) -> None:
                assert go_on.acquire(timeout=30)
                done.append(name)

            return do

        with open_site(tmp_path) as site:
            tasks = site.desk.tasks
            first, *others = [tasks.start("redo", name, work(name)) for name in "abc"]
            eventually(lambda: tasks.get(first.id).state == "running")
            waiting = [tasks.get(one.id) for one in others]
            assert [(one.state, one.ahead) for one in waiting] == [("waiting", 1), ("waiting", 2)]
            assert sum(thread.name == "redo" for thread in threading.enumerate()) == 1
            with pytest.raises(IllegalTransition, match="already"):
                tasks.start("redo", "b", work("b"))
            other = tasks.start("pull", "a", lambda report: None)
            eventually(lambda: tasks.get(other.id).state == "done")
            go_on.release()
            eventually(lambda: tasks.get(others[0].id).state == "running")
            assert tasks.get(others[1].id).ahead == 1
            for number in range(MOST_WAITING - 1):
                tasks.start("redo", str(number), work("more"))
            with pytest.raises(IllegalTransition, match=f"{MOST_WAITING} of these wait"):
                tasks.start("redo", "one too many", work("more"))
            tasks.close(0)
            for _ in range(2 + MOST_WAITING):
                go_on.release()
            eventually(lambda: not any(t.name == "redo" for t in threading.enumerate()))
            assert done == ["a", "b"], "nothing is begun once the program stops"

    def test_none_is_begun_once_the_program_was_asked_to_stop(self, site: Site) -> None:
        """Also before the page ends, which is later."""
        stopping, go_on, done = threading.Event(), threading.Event(), list[str]()

        def first(report: Report) -> None:
            assert go_on.wait(60)
            done.append("first")

        tasks = Tasks(site.shop.settings, lambda name, data: None, stopping=stopping.is_set)
        running = tasks.start("redo", "first", first)
        tasks.start("redo", "second", lambda report: done.append("second"))
        eventually(lambda: tasks.get(running.id).state == "running")
        stopping.set()
        go_on.set()
        eventually(lambda: not any(t.name == "redo" for t in threading.enumerate()))
        assert done == ["first"]

    def test_a_task_that_fails_says_why(self, site: Site) -> None:
        def fail(report: object) -> None:
            raise DubarrError(f"It said {PASSWORD}.", hint="Wait.")

        task = site.desk.tasks.start("pull", "y", fail)
        found = eventually(lambda: (now := site.get(f"/api/v1/tasks/{task.id}"))["error"] and now)
        assert (found["state"], found["error"], found["hint"]) == (
            "failed",
            "It said ***.",
            "Wait.",
        )


class TestTheRest:
    def test_a_machine_without_a_gpu_has_none(self, site: Site) -> None:
        assert site.get("/api/v1/devices") == []
        assert site.get("/api/v1/leases") == []

    def test_the_models_are_those_of_the_profile(self, site: Site) -> None:
        found = site.get("/api/v1/models")
        assert {"kokoro-82m", "d-vector"} & {one["name"] for one in found}
        assert {one["state"] for one in found} <= {"missing", "ready", "damaged"}

    def test_the_languages_are_told_with_what_they_are_worth(self, site: Site) -> None:
        found = {one["code"]: one for one in site.get("/api/v1/languages")}
        assert (found["es"]["well"], found["de"]["well"]) == (True, False)

    def test_the_doctor_is_heard(self, site: Site) -> None:
        found = site.get("/api/v1/doctor")
        assert {"ffmpeg", "database"} <= {one["name"] for one in found["checks"]}
        assert site.get("/api/v1/doctor")["looked_at"] > 0

    @HANGING
    def test_what_hangs_keeps_nobody_else_waiting(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, path: str, work: str
    ) -> None:
        begun, go_on = hanging(monkeypatch, work, patience_s=60.0)
        with open_site(tmp_path) as site, ThreadPoolExecutor(3 * THREADS) as pool:
            asked = [pool.submit(site.client.request, method, path) for _ in range(3 * THREADS)]
            eventually(lambda: begun)
            assert site.get("/api/v1/videos")["total"] == 0
            assert not any(one.done() for one in asked)
            go_on.set()
            assert {one.result().status_code for one in asked} == {200}

    @HANGING
    def test_what_hangs_is_done_once_and_not_waited_for_without_end(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, path: str, work: str
    ) -> None:
        begun, go_on = hanging(monkeypatch, work, patience_s=1.0)
        with open_site(tmp_path) as site, ThreadPoolExecutor(3 * THREADS) as pool:
            asked = [pool.submit(site.client.request, method, path) for _ in range(3 * THREADS)]
            for answer in asked:
                told = site.problem(answer.result())
                assert (told["status"], "takes longer than 1 seconds" in told["detail"]) == (
                    503, True,
                )  # fmt: skip
            assert len(begun) == 1
            go_on.set()
            eventually(lambda: site.client.request(method, path).status_code == 200)

    def test_the_key_is_shown_to_who_is_in(self, site: Site) -> None:
        assert site.get("/api/v1/api-key") == {"api_key": site.desk.credentials.api_key}

    @pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # by a library of Apprise's
    def test_a_test_message_goes_out(self, site: Site, tmp_path: Path) -> None:
        assert site.post("/api/v1/notifications/test") == []
        with PushListener() as push, open_site(tmp_path, notify_urls=push.url) as told:
            (sent,) = told.post("/api/v1/notifications/test")
            assert sent["ok"]
            assert push.wait(10) is not None
