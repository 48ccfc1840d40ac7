"""The report page in a real browser, at the sizes of a desk and of a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from dubarr_watch.dubbing.page import Sources, make_page
from tests.chromium import DESK, NEEDS_CHROMIUM, PHONE, open_browser
from tests.dubbing.test_page import EVIL, line, report, sources
from tests.waiting import eventually

__all__ = ["sources"]

pytestmark = NEEDS_CHROMIUM


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as found:
        yield found


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, sources: Sources) -> Path:
    lines = [
        line(0, end_s=7.0),
        line(1, end_s=7.0, check=True, outcome="misspoken", wer=1.0, heard="otra cosa"),
        line(2, text=EVIL, source_text=EVIL),
    ]
    target = tmp_path_factory.mktemp("page") / "page.html"
    make_page(report(lines), sources, target)
    return target


@pytest.fixture(params=[DESK, PHONE], ids=["desk", "phone"])
def page(browser: Browser, file: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page, opened; any error in it and any request of it fails the test."""
    context = browser.new_context(viewport=request.param, offline=True)
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda told: wrong.append(told.text) if told.type == "error" else None)
    opened.on("dialog", lambda dialog: wrong.append("a dialog opened"))
    opened.on("request", lambda asked: (
        None if asked.url.startswith(("file:", "data:")) else wrong.append(asked.url)
    ))  # fmt: skip
    opened.goto(file.as_uri())
    yield opened
    context.close()
    assert wrong == []


def visible(page: Page) -> list[str]:
    """Return the lines that are shown, in order."""
    rows = page.locator("#lines > li:visible")
    return [row.get_attribute("data-index") or "" for row in rows.all()]


def is_playing(page: Page, number: str, kind: str) -> bool:
    button = page.locator(f"#line-{number} [data-play={kind}]")
    return button.get_attribute("aria-pressed") == "true"


def wait_until_it_plays(page: Page) -> None:
    # Not `wait_for_function`: the page lets nobody evaluate a string.
    eventually(lambda: page.evaluate("document.getElementById('player').currentTime") > 0.05)


def test_it_filters_by_outcome_and_text(page: Page) -> None:
    """Lines to check first; every filter says how many it shows."""
    assert visible(page) == ["1", "0", "2"]
    page.get_by_role("button", name="To check (1)").click()
    assert visible(page) == ["1"]
    assert page.locator("#shown").inner_text() == "1 line"
    page.get_by_role("button", name="Ok (2)").click()
    assert visible(page) == ["0", "2"]
    page.get_by_role("button", name="All (3)").click()
    page.get_by_role("button", name="In order of time").click()
    assert visible(page) == ["0", "1", "2"]
    page.get_by_role("searchbox").fill("frase 1")
    assert visible(page) == ["1"]


def test_a_line_is_heard_in_both_languages(page: Page) -> None:
    """One at a time; it stops at its end, or when told to."""
    row = page.locator("#line-1")
    row.get_by_role("button", name="Play original").click()
    wait_until_it_plays(page)
    first = page.evaluate("document.getElementById('player').src")
    row.get_by_role("button", name="Play dub").click()
    wait_until_it_plays(page)
    assert page.evaluate("document.getElementById('player').src") != first
    assert (is_playing(page, "1", "o"), is_playing(page, "1", "d")) == (False, True)
    assert page.evaluate("document.getElementById('player').duration") == pytest.approx(
        5.3, abs=0.3
    )
    row.get_by_role("button", name="Play dub").click()
    assert page.evaluate("document.getElementById('player').paused")


def test_the_keyboard_is_enough(page: Page) -> None:
    """J and K walk through the lines, D and O play them, S stops."""
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("d")
    wait_until_it_plays(page)
    assert is_playing(page, "0", "d")
    page.keyboard.press("s")
    assert not is_playing(page, "0", "d")
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.id") == "line-1"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    wait_until_it_plays(page)
    assert is_playing(page, "1", "o")


def test_nothing_is_cut_off_at_the_side(page: Page) -> None:
    """However narrow the screen: no scrolling sideways, and fingers can hit every button."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for button in page.get_by_role("button").all():
        box = button.bounding_box()
        assert box
        assert box["height"] >= 36


def test_dark_and_light_are_told_apart(browser: Browser, file: Path) -> None:
    """The page follows the screen."""
    backs = []
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme, offline=True)
        page = context.new_page()
        page.goto(file.as_uri())
        backs.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        context.close()
    assert backs == ["rgb(247, 247, 245)", "rgb(20, 23, 26)"]
