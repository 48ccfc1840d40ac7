"""The page in a real browser, served by the real daemon on fakes, with real files."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from queue import Queue

import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect

from dubarr_watch.errors import StoreUnreachable, WrongUsage
from dubarr_watch.store.records import JobState
from tests.chromium import NEEDS_CHROMIUM, PHONE, open_browser
from tests.composing import make_silence, make_talk
from tests.programs import Program, drop, free_port
from tests.waiting import eventually
from tests.web.browsing import mark, opened, ready, same_as_before
from tests.web.household import CARD, house_with_a_card, lease
from tests.web.sites import PASSWORD, USER, Site, open_site

pytestmark = NEEDS_CHROMIUM

SECONDS_A_LINE = 0.35
LINES = 8


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as found:
        yield found


def program(folder: Path, **environment: str) -> Program:
    given = {"API_HOST": "127.0.0.1", "API_USER": USER, "API_PASS": PASSWORD,
             "UPLOAD_MAX_GIB": "0.01", **environment}  # fmt: skip
    return Program(folder, API_PORT=str(free_port()), **given)


def url(made: Program) -> str:
    return f"http://127.0.0.1:{made.environment['API_PORT']}"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A daemon that speaks slowly enough to be watched."""
    with program(tmp_path_factory.mktemp("house")) as made:
        made.start(seconds_a_line=SECONDS_A_LINE)
        yield made


@pytest.fixture
def page(browser: Browser, house: Program) -> Iterator[Page]:
    with opened(browser, url(house), USER, PASSWORD) as found:
        yield found


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_talk(tmp_path_factory.mktemp("talk") / "Talk.mkv", 3.2 * LINES)


@pytest.fixture(scope="module")
def done(house: Program, talk: Path) -> str:
    """The address of a job that is done."""
    drop(talk, house.videos, "Heard.mkv")
    return f"/jobs/{house.ended('Heard.mkv').id}"


def video_of(page: Page, name: str) -> None:
    """Open a video's own page."""
    page.goto(f"/library?search={name}")
    page.get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    ready(page)


class TestGettingIn:
    def test_nobody_is_let_in_without_the_password(self, browser: Browser, house: Program) -> None:
        with opened(browser, url(house), USER, "wrong", may_fail=["401"]) as page:
            answer = page.goto("/")
            assert answer
            assert answer.status == 401
        with opened(browser, url(house), USER, PASSWORD) as page:
            page.goto("/")
            expect(page.get_by_role("heading", level=1)).to_have_text("Queue")

    def test_a_default_password_is_told_with_the_way_out(
        self, browser: Browser, tmp_path: Path
    ) -> None:
        """Whoever comes from elsewhere sees what to set."""
        with program(tmp_path, API_PASS="admin") as made:
            made.start()
            elsewhere = {"X-Forwarded-For": "192.0.2.7"}
            with opened(
                browser, url(made), USER, "admin", may_fail=["403"], extra_http_headers=elsewhere
            ) as page:
                answer = page.goto("/")
                assert answer
                assert answer.status == 403
                expect(page.get_by_role("heading", level=1)).to_have_text("Set a password first")
                expect(page.locator("main")).to_contain_text("API_PASS")


class TestWatching:
    def test_an_empty_queue_says_what_to_do(self, browser: Browser, tmp_path: Path) -> None:
        with program(tmp_path) as made:
            made.start()
            with opened(browser, url(made), USER, PASSWORD) as page:
                page.goto("/")
                expect(page.locator("#running")).to_contain_text("Nothing to do")
                expect(page.locator("#running")).to_contain_text(str(made.videos))
                page.goto("/library")
                expect(page.locator("#videos")).to_contain_text("No videos yet")
                page.goto("/history")
                expect(page.locator("#ended")).to_contain_text("Nothing has ended yet")

    def test_a_job_is_watched_from_drop_to_done_without_reload(
        self, page: Page, house: Program, talk: Path
    ) -> None:
        page.goto("/")
        mark(page)
        drop(talk, house.videos, "Watched.mkv")
        running = page.locator("#running article", has_text="Watched.mkv")
        expect(running).to_contain_text("Speaking")
        expect(running).to_contain_text(f"of {LINES}")
        bar = running.get_by_role("progressbar")
        before = float(bar.get_attribute("value") or 0)
        eventually(lambda: float(bar.get_attribute("value") or 0) > before, "progress")
        expect(running).to_contain_text("about", timeout=20_000)
        lately = page.locator("#lately li", has_text="Watched.mkv")
        expect(lately).to_contain_text("Done")
        expect(page.locator("#told")).to_have_text("Watched.mkv is dubbed.")
        assert same_as_before(page)

    def test_it_can_be_read_without_scripts(
        self, browser: Browser, house: Program, done: str
    ) -> None:
        with opened(browser, url(house), USER, PASSWORD, java_script_enabled=False) as page:
            for path in ("/", "/library", "/history", done, "/machine", "/logs", "/settings"):
                answer = page.goto(path)
                assert answer
                assert answer.ok
                expect(page.get_by_role("heading", level=1)).to_be_visible()
            page.goto("/settings/findings")
            expect(page.locator("#findings .badge").first).to_be_attached()

    def test_a_lost_connection_is_told_and_found_again(
        self, browser: Browser, tmp_path: Path
    ) -> None:
        with program(tmp_path) as made:
            made.start()
            with opened(browser, url(made), USER, PASSWORD, may_fail=["ERR_"]) as page:
                page.goto("/")
                offline = page.get_by_text("The connection to dubarr-watch is lost")
                expect(page.locator("#running")).to_contain_text("Nothing to do")
                made.end(signal.SIGTERM)
                expect(offline).to_be_visible()
                made.start()
                expect(offline).to_be_hidden()

    def test_the_log_grows_and_can_be_filtered_and_held(
        self, page: Page, house: Program, talk: Path, done: str
    ) -> None:
        page.goto("/logs?search=Logged.mkv")
        ready(page)
        expect(page.locator("#log-empty")).to_be_visible()
        drop(talk, house.videos, "Logged.mkv")
        expect(page.locator("#log li", has_text="Logged.mkv").first).to_be_visible()
        assert page.locator("#log li").filter(has_not_text="Logged.mkv").count() == 0
        page.get_by_role("button", name="Pause").click()
        count = page.locator("#log li").count()
        drop(talk, house.videos, "Another Logged.mkv")
        house.ended("Another Logged.mkv")
        page.wait_for_function("performance.now() > 0")  # what came is handled before this
        assert page.locator("#log li").count() == count
        page.get_by_role("button", name="Pause").click()
        expect(page.locator("#log li", has_text="Another Logged.mkv").first).to_be_visible()
        page.goto(f"/logs?job={done.rpartition('/')[2]}")
        expect(page.locator("#log")).to_contain_text("job ended")
        expect(page.locator("#log")).not_to_contain_text("Logged.mkv")


class TestAsking:
    def test_another_language_is_asked_for(self, page: Page, house: Program, done: str) -> None:
        video_of(page, "Heard.mkv")
        mark(page)
        page.get_by_role("combobox", name="Language").select_option(label="French")
        page.get_by_role("button", name="Dub it").click()
        expect(page.locator("#toasts")).to_contain_text("Heard.mkv is asked for in French.")
        expect(page.locator("#languages")).to_contain_text("French")
        expect(page.locator("#tracks")).to_contain_text("French")
        expect(page.locator("#languages dd").nth(1)).to_have_text("Spanish, French")
        assert same_as_before(page)
        assert (house.videos / "Heard.Dubarr.fr.mka").exists()

    def test_a_job_is_cancelled_and_tried_again(
        self, page: Page, house: Program, talk: Path
    ) -> None:
        page.goto("/")
        mark(page)
        drop(talk, house.videos, "Stopped.mkv")
        page.get_by_role("button", name="Cancel Stopped.mkv").click()
        ended = page.locator("#lately li", has_text="Stopped.mkv")
        expect(ended).to_contain_text("Cancelled")
        assert house.ended("Stopped.mkv").state is JobState.CANCELLED
        page.get_by_role("button", name="Retry Stopped.mkv").click()
        expect(page.locator("#toasts")).to_contain_text("Stopped.mkv is queued again.")
        expect(ended).to_contain_text("Done")
        assert same_as_before(page)

    def test_a_track_is_deleted_only_when_somebody_is_sure(
        self, page: Page, house: Program, talk: Path
    ) -> None:
        drop(talk, house.videos, "Gone.mkv")
        house.ended("Gone.mkv")
        track = house.videos / "Gone.Dubarr.es.mka"
        video_of(page, "Gone.mkv")
        delete = page.get_by_role("button", name="Delete the Spanish sidecar")
        delete.click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("Gone.Dubarr.es.mka")
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        assert track.exists()
        delete.click()
        dialog.get_by_role("button", name="Delete").click()
        expect(page.locator("#tracks")).not_to_contain_text("Gone.Dubarr.es.mka")
        assert not track.exists()

    def test_what_fails_is_told_in_words(
        self, browser: Browser, house: Program, tmp_path: Path
    ) -> None:
        """The page shows an old state, since its events are held back."""
        with opened(
            browser, url(house), USER, PASSWORD, may_fail=["ERR_FAILED", "409", "404"]
        ) as page:
            page.route("**/api/v1/events", lambda route: route.abort())
            drop(make_talk(tmp_path / "Old.mkv", 40.0), house.videos)
            job = eventually(lambda: house.job("Old.mkv", JobState.RUNNING), "running")
            page.goto(f"/jobs/{job.id}")
            cancel = page.get_by_role("button", name="Cancel")
            expect(cancel).to_be_enabled()
            house.ended("Old.mkv")
            cancel.click()
            expect(page.locator("#toasts")).to_contain_text("cannot be cancelled")
            page.goto("/jobs/99999")
            expect(page.get_by_role("heading", level=1)).to_have_text("There is no job 99999.")


class TestOrder:
    @pytest.fixture
    def queued(self, house: Program, talk: Path) -> list[str]:
        """Names of three queued jobs behind a long one that runs."""
        make_talk(house.videos / ".long.mkv", 60.0).rename(house.videos / "Long.mkv")
        eventually(lambda: house.job("Long.mkv", JobState.RUNNING), "running")
        names = ["One.mkv", "Two.mkv", "Three.mkv"]
        for name in names:
            drop(talk, house.videos, name)
            eventually(partial(house.job, name, JobState.QUEUED), name)
        return names

    def test_jobs_are_put_in_order_by_keyboard_and_by_hand(
        self, page: Page, house: Program, queued: list[str]
    ) -> None:
        page.goto("/")
        ready(page)
        rows = page.locator("#next li .title")
        expect(rows).to_have_text(queued)
        up = page.get_by_role("button", name="Earlier: Three.mkv")
        up.focus()
        page.keyboard.press("Enter")
        expect(rows).to_have_text(["One.mkv", "Three.mkv", "Two.mkv"])
        expect(up).to_be_focused()
        page.keyboard.press("Enter")
        expect(rows).to_have_text(["Three.mkv", "One.mkv", "Two.mkv"])
        page.get_by_role("button", name="Later: Three.mkv").click()
        expect(rows).to_have_text(["One.mkv", "Three.mkv", "Two.mkv"])
        grip = page.locator("#next li", has_text="Two.mkv").locator(".grip").bounding_box()
        first = page.locator("#next li").first.bounding_box()
        assert grip
        assert first
        page.mouse.move(grip["x"] + 5, grip["y"] + grip["height"] / 2)
        page.mouse.down()
        page.mouse.move(grip["x"] + 5, first["y"] + 30, steps=6)
        page.mouse.move(grip["x"] + 5, first["y"] + 2, steps=4)
        page.mouse.up()
        expect(rows).to_have_text(["Two.mkv", "One.mkv", "Three.mkv"])
        waiting = [job for job in house.jobs() if job.state is JobState.QUEUED]
        assert len(waiting) == 3
        page.reload()
        expect(rows).to_have_text(["Two.mkv", "One.mkv", "Three.mkv"])
        for name in ("Long.mkv", *queued):
            page.get_by_role("button", name=f"Cancel {name}").click()
            expect(page.locator("#lately")).to_contain_text(name)


class TestListening:
    def test_a_line_is_played_beside_its_original(self, page: Page, done: str) -> None:
        page.goto(done)
        ready(page)
        expect(page.locator("#lines > ol > li")).to_have_count(LINES)
        dub = page.get_by_role("button", name="Play the dub of line 0")
        original = page.get_by_role("button", name="Play the original of line 0")
        dub.click()
        wait_until_it_plays(page)
        first = page.evaluate("document.getElementById('player').currentSrc")
        expect(dub).to_have_attribute("aria-pressed", "true")
        original.focus()
        page.keyboard.press("Space")
        expect(original).to_have_attribute("aria-pressed", "true")
        expect(dub).to_have_attribute("aria-pressed", "false")
        wait_until_it_plays(page)
        assert page.evaluate("document.getElementById('player').currentSrc") != first
        page.keyboard.press("Escape")
        assert page.evaluate("document.getElementById('player').paused")

    def test_a_line_is_said_otherwise(self, page: Page, done: str) -> None:
        page.goto(done)
        ready(page)
        mark(page)
        line = page.locator("#line-2")
        line.get_by_text("Say it otherwise").click()
        line.get_by_label("What to say").fill("Otras palabras")
        line.get_by_role("button", name="Make it anew").click()
        expect(line).to_contain_text("Made anew", timeout=60_000)
        expect(line.locator(".say")).to_have_text("Otras palabras")
        assert same_as_before(page)

    def test_lines_are_filtered(self, page: Page, done: str) -> None:
        page.goto(done)
        ready(page)
        page.get_by_role("searchbox").fill("3")
        page.get_by_role("button", name="Show").click()
        expect(page.locator("#lines h3").first).to_have_text("Line 3")
        page.goto(f"{done}?search=nowhere")
        expect(page.locator("#lines")).to_contain_text("No such line")


class TestUploading:
    def test_a_chosen_video_goes_into_the_library_and_is_dubbed(
        self, page: Page, house: Program, talk: Path
    ) -> None:
        page.goto("/")
        ready(page)
        data = talk.read_bytes()
        page.set_input_files("#choose", [sent("Sent.mkv", data)])
        expect(page.locator(".uploads")).to_contain_text("in the library")
        assert (house.videos / "Sent.mkv").read_bytes() == data
        expect(page.locator("#lately li", has_text="Sent.mkv")).to_contain_text("Done")

    def test_a_dropped_video_does_too(self, page: Page, house: Program, tmp_path: Path) -> None:
        page.goto("/library")
        ready(page)
        silent = make_silence(tmp_path / "Quiet.mkv")
        files = page.evaluate_handle(
            """bytes => { const made = new DataTransfer();
            made.items.add(new File([new Uint8Array(bytes)], "Dropped.mkv")); return made; }""",
            list(silent.read_bytes()),
        )
        page.dispatch_event("body", "dragenter", {"dataTransfer": files})
        expect(page.locator("body")).to_have_class("over-all")
        page.dispatch_event("body", "drop", {"dataTransfer": files})
        expect(page.locator(".uploads")).to_contain_text("in the library")
        assert (house.videos / "Dropped.mkv").stat().st_size == silent.stat().st_size
        expect(page.locator("#videos")).to_contain_text("Dropped.mkv")

    def test_what_is_not_taken_is_told(self, browser: Browser, house: Program, done: str) -> None:
        with opened(browser, url(house), USER, PASSWORD, may_fail=["the server responded"]) as page:
            page.goto("/")
            ready(page)
            page.set_input_files("#choose", [sent("Large.mkv", bytes(11 * 2**20))])
            expect(page.locator(".uploads .note")).to_contain_text("UPLOAD_MAX_GIB")
            page.get_by_role("button", name="Close Large.mkv").click()
            page.set_input_files("#choose", [sent("Heard.mkv", b"x")])
            expect(page.locator(".uploads .note")).to_contain_text("There is a file of this name")
            assert not (house.videos / "Large.mkv").exists()


class TestMachine:
    """On a desk whose parts a test moves by hand."""

    @pytest.fixture
    def site(self, tmp_path: Path) -> Iterator[Site]:
        with open_site(tmp_path, house_with_a_card()) as made:
            yield made

    def test_leases_come_and_go_by_themselves(self, browser: Browser, site: Site) -> None:
        with opened(browser, site.url, USER, PASSWORD) as page:
            page.goto("/machine")
            expect(page.locator("#devices")).to_contain_text(CARD.name)
            expect(page.locator("#leases")).to_contain_text("Nothing is lent")
            job = site.shop.enqueue(make_talk(site.shop.videos / "Film.mkv"))
            site.shop.store.leases.save([lease(1, "synthesizer", "XTTS v2", job.id, "busy", 4096)])
            expect(page.locator("#leases tbody tr")).to_contain_text("XTTS v2")
            expect(page.locator("#devices dd").first).to_have_text("4.0 GiB")

    def test_a_pull_is_watched(self, browser: Browser, site: Site) -> None:
        """To its end, and when it fails."""
        name, steps = site.desk.machine.models()[0].name, Queue[float]()

        def work(report: Callable[[str, float], None]) -> None:
            while (share := steps.get(timeout=30)) < 1:
                report("model.bin", share)
            raise WrongUsage("The mirror is down.", hint="Try later.")

        with opened(browser, site.url, USER, PASSWORD) as page:
            page.goto("/machine")
            ready(page)
            model = page.locator("#models li", has_text=name)
            site.desk.tasks.start("pull", name, work)
            steps.put(0.42)
            expect(model).to_contain_text("model.bin, 42 %")
            expect(model.get_by_role("button")).to_have_count(0)
            steps.put(1.0)
            expect(model).to_contain_text("The mirror is down. Try later.")

    def test_webhooks_appear(self, browser: Browser, site: Site) -> None:
        with opened(browser, site.url, USER, PASSWORD) as page:
            page.goto("/settings")
            expect(page.locator("#webhooks")).to_contain_text("None so far")
            site.shop.store.inbox.add([("Radarr", "Download", "{}")])
            expect(page.locator("#webhooks li")).to_contain_text("Radarr Download")


class TestGrownOld:
    """What cannot be brought up to date stays as it is, and says so once."""

    @pytest.fixture
    def site(self, tmp_path: Path) -> Iterator[Site]:
        with open_site(tmp_path) as made:
            made.shop.enqueue(make_talk(made.shop.videos / "Film.mkv"))
            yield made

    def test_while_the_database_does_not_answer_and_no_longer(
        self, browser: Browser, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def page_of(**asked: object) -> None:
            raise StoreUnreachable("The database does not answer.")

        with opened(browser, site.url, USER, PASSWORD, may_fail=["503"]) as page:
            page.goto("/library")
            ready(page)
            old = page.get_by_role("alert").filter(has_text="What you see may be old")
            with monkeypatch.context() as broken:
                broken.setattr(site.desk.videos, "page", page_of)
                for _ in range(2):
                    with page.expect_response(lambda answer: answer.status == 503):
                        site.desk.tell("video", "1")
                expect(old).to_have_count(1)
                expect(old).to_contain_text("(503)")
                expect(page.locator("#videos")).to_contain_text("Film.mkv")
            expect(old).to_have_count(0)

    def test_once_what_is_shown_is_gone(self, browser: Browser, site: Site) -> None:
        with opened(browser, site.url, USER, PASSWORD, may_fail=["404"]) as page:
            page.goto("/jobs/1")
            ready(page)
            site.post("/api/v1/jobs/1/cancel")
            expect(page.locator("main")).to_contain_text("Cancelled")
            site.client.delete("/api/v1/jobs/1").raise_for_status()
            site.desk.tell("task", '{"id": 1}')
            expect(page.get_by_role("alert")).to_contain_text("This is not there any more.")


class TestElsewhere:
    def test_it_works_below_a_base_path(self, browser: Browser, tmp_path: Path, talk: Path) -> None:
        with program(tmp_path, URL_BASE="/dubarr") as made:
            made.start(seconds_a_line=0.1)
            with opened(browser, url(made), USER, PASSWORD) as page:
                page.goto("/dubarr/")
                drop(talk, made.videos, "Below.mkv")
                expect(page.locator("#lately")).to_contain_text("Below.mkv")
                for name in ("Library", "History", "Machine", "Logs", "Settings", "Queue"):
                    page.get_by_role("navigation", name="Rooms").get_by_text(name).click()
                    expect(page.get_by_role("heading", level=1)).to_have_text(name)
                page.get_by_role("link", name="Below.mkv").click()
                page.wait_for_url("**/jobs/*")
                ready(page)
                page.get_by_role("button", name="Play the dub of line 0").click()
                wait_until_it_plays(page)

    def test_names_are_text_and_nothing_else(
        self, browser: Browser, tmp_path: Path, talk: Path
    ) -> None:
        evil = "<img src=x onerror=document.title=1>.mkv"
        with program(tmp_path) as made:
            made.start()
            with opened(browser, url(made), USER, PASSWORD, viewport=PHONE) as page:
                page.goto("/")
                drop(talk, made.videos, evil)
                expect(page.locator("#lately")).to_contain_text(evil)
                page.goto(f"/logs?job={made.ended(evil).id}")
                assert page.locator("img").count() == 0

    def test_secrets_stay_hidden_and_the_key_is_shown(self, page: Page, house: Program) -> None:
        page.goto("/settings")
        key = (house.config / "api-key").read_text().strip()
        expect(page.locator("#key")).to_be_hidden()
        page.get_by_text("Show the key").click()
        expect(page.locator("#key")).to_have_text(key)
        row = page.locator("tr", has_text="API_PASS")
        expect(row).to_contain_text("***")
        expect(row).to_contain_text("environment")
        assert PASSWORD not in page.content()
        expect(page.locator("#findings .badge").first).to_be_attached(timeout=60_000)


def sent(name: str, data: bytes) -> FilePayload:
    return {"name": name, "mimeType": "video/x-matroska", "buffer": data}


def wait_until_it_plays(page: Page) -> None:
    # Not `wait_for_function`: the page lets nobody evaluate a string.
    eventually(lambda: page.evaluate("document.getElementById('player').currentTime") > 0.05)
