"""/docs, /openapi.json, and that no request of the kind they describe brings the server down."""

from __future__ import annotations

import re
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.composing import make_talk
from tests.web.sites import Site

EXAMPLES = 12


def test_the_page_names_every_operation_and_asks_no_other_host(site: Site) -> None:
    page = site.client.get("/docs").text
    document = site.get("/openapi.json")
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"{method.upper()} {path}<" in page
    assert not re.findall(r"(?:src|href)=[\"']?(?:https?:)?//", page)


def test_every_operation_says_who_may_and_how_it_fails(site: Site) -> None:
    document = site.get("/openapi.json")
    assert document["security"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert ("security" in operation) == (path == "/health" and method == "get"), path
            problems = operation["responses"]["4XX"]["content"]
            assert list(problems) == ["application/problem+json"], path


@pytest.fixture(scope="module")
def filled(site: Site) -> Site:
    """With something to be found behind the first ids."""
    site.shop.dub(make_talk(site.shop.videos / "Film.mkv"), "es")
    site.shop.enqueue(make_talk(site.shop.videos / "Next.mkv"), "fr")
    return site


def operations(site: Site) -> list[Any]:
    schema = schemathesis.openapi.from_dict(site.get("/openapi.json"))
    results: list[Any] = list(schema.get_all_operations())
    found = [result.ok() for result in results]
    assert len(found) > 30
    # These never end by themselves.
    return [one for one in found if one.path not in ("/api/v1/events", "/api/v1/logs/stream")]


def test_no_request_brings_it_down(filled: Site) -> None:
    """Values of every kind, valid and not, for each operation: never a 5xx."""
    key = {"X-Api-Key": filled.desk.credentials.api_key}
    tried = 0
    for operation in operations(filled):

        @seed(1)
        @settings(
            max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            nonlocal tried
            tried += 1
            answer = case.call(base_url=filled.url, headers=key, timeout=30)
            assert answer.status_code < 500, (case.method, case.path, answer.text)

        ask()
    assert tried > 200
    assert filled.client.get("/health").status_code == 200
