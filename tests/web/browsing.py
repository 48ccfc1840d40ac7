"""A browser on a served page: logged in, and with an eye on everything that goes wrong in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.chromium import DESK

expect.set_options(timeout=30_000)


@contextmanager
def opened(
    browser: Browser,
    url: str,
    user: str,
    password: str,
    *,
    may_fail: Sequence[str] = (),
    **options: Any,
) -> Iterator[Page]:
    """Open a page, logged in; errors of its scripts and requests that fail fail the test.

    Args:
        browser: See `chromium.open_browser`.
        url: Of the page.
        user: Log in as.
        password: Log in with.
        may_fail: Parts of messages that are expected.
        **options: Of the browser's context.
    """
    given = {
        "viewport": DESK, "http_credentials": {"username": user, "password": password},
        "base_url": url, **options,
    }  # fmt: skip
    context: BrowserContext = browser.new_context(**given)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda told: (
        wrong.append(f"{told.text} {told.location['url']}") if told.type == "error" else None
    ))  # fmt: skip
    page.on("dialog", lambda dialog: wrong.append("a dialog opened"))
    page.on("request", lambda asked: (
        None if asked.url.startswith((url, "data:", "blob:")) else wrong.append(asked.url)
    ))  # fmt: skip
    yield page
    context.close()
    found = [one for one in wrong if not any(part in one for part in may_fail)]
    assert not found, found


def ready(page: Page) -> Page:
    """Wait until a page's scripts listen to whoever touches it, and to the daemon."""
    page.locator("html[data-ready][data-live-since]").wait_for(state="attached")
    return page


def mark(page: Page) -> None:
    """Leave a mark that a reload would wipe out."""
    page.evaluate("window.sameAsBefore = true")


def same_as_before(page: Page) -> bool:
    """Tell whether the page was not loaded anew since `mark`."""
    return bool(page.evaluate("window.sameAsBefore === true"))
