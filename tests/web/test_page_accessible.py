"""Whoever cannot see, has no mouse or a small screen: axe-core, sizes, and both themes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.chromium import DESK, NEEDS_CHROMIUM, PHONE, open_browser
from tests.web.browsing import opened
from tests.web.household import furnish, house_with_a_card
from tests.web.sites import PASSWORD, USER, Site, open_site

pytestmark = NEEDS_CHROMIUM

PATHS = (
    "/", "/library", "/library?search=nowhere", "/library/1", "/history", "/history?state=skipped",
    "/jobs/1", "/jobs/3", "/jobs/5", "/machine", "/logs", "/logs?search=nowhere", "/settings",
    "/settings/findings", "/docs", "/nothing",
)  # fmt: skip


# axe-core would put copies of the styles into the page, which does not let it.
OPTIONS = {"preload": False, "resultTypes": ["violations"]}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as found:
        yield found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A page with something in each of its rooms."""
    with open_site(tmp_path_factory.mktemp("house"), house_with_a_card()) as made:
        furnish(made.shop)
        yield made


@pytest.fixture(params=["light", "dark"])
def theme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[DESK, PHONE], ids=["desk", "phone"])
def page(
    browser: Browser, site: Site, theme: str, request: pytest.FixtureRequest
) -> Iterator[Page]:
    with opened(
        browser, site.url, USER, PASSWORD, may_fail=["/nothing"], viewport=request.param,
        color_scheme=theme,
    ) as found:  # fmt: skip
        yield found


def faults(page: Page) -> list[str]:
    """Return what axe-core calls serious or critical."""
    found = Axe().run(page, options=OPTIONS).response["violations"]
    return [
        f"{one['id']}: {node['html'][:150]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def test_axe_finds_no_serious_fault(page: Page) -> None:
    """On every page, in both themes and at both sizes, details opened."""
    wrong: dict[str, list[str]] = {}
    for path in PATHS:
        page.goto(path)
        page.locator("nav").wait_for()
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        wrong[path] = faults(page)
    assert {path: found for path, found in wrong.items() if found} == {}


def test_nothing_is_cut_off_and_fingers_hit_every_button(page: Page) -> None:
    """No scrolling sideways; nothing to press is lower than 36 pixels."""
    wrong = []
    for path in PATHS:
        page.goto(path)
        page.locator("nav").wait_for()
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wrong.append((path, "sideways"))
        low = page.evaluate(
            """[...document.querySelectorAll("button, select, input[type=search], .button")]
            .filter(one => one.checkVisibility() && one.getBoundingClientRect().height < 36)
            .map(one => one.outerHTML.slice(0, 100))"""
        )
        wrong += [(path, one) for one in low]
    assert wrong == []


def test_the_theme_follows_the_screen(page: Page, theme: str) -> None:
    page.goto("/")
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert back == {"light": "rgb(247, 247, 245)", "dark": "rgb(20, 23, 26)"}[theme]


def test_the_keyboard_finds_the_content_first(page: Page) -> None:
    page.goto("/library")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_who_wants_no_motion_gets_none(browser: Browser, site: Site) -> None:
    with opened(browser, site.url, USER, PASSWORD, reduced_motion="reduce") as page:
        page.goto("/")
        bar = "document.querySelector('progress')"
        assert page.evaluate(f"getComputedStyle({bar}).transitionProperty") == "none"
