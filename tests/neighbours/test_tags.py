"""Tags of a film or series that choose languages."""

from __future__ import annotations

import pytest

from dubarr_watch.languages import parse_languages
from dubarr_watch.neighbours.tags import Tagged, read_tags


@pytest.mark.parametrize(
    ("tags", "meaning"),
    [
        ((), Tagged()),
        (("kids", "4k", "dubbed", "redub-de"), Tagged()),
        (("dub",), Tagged(dub=True)),
        (("dub-de",), Tagged(dub=True, languages=("de",))),
        (("kids", "dub-de-fr"), Tagged(dub=True, languages=("de", "fr"))),
        (("dub-de", "dub-fr-de"), Tagged(dub=True, languages=("de", "fr"))),
        (("dub-german",), Tagged(dub=True, languages=("de",))),
        (("dub", "dub-de"), Tagged(dub=True, languages=("pl", "es", "de"))),
        (("nodub",), Tagged(never=True)),
        (("nodub", "dub-de"), Tagged(dub=True, languages=("de",), never=True)),
        (("nodub-de",), Tagged(never=True)),
        (("dub-later",), Tagged(unclear=("later",))),
        (("dub-de-later",), Tagged(dub=True, languages=("de",), unclear=("later",))),
        (("dub-",), Tagged(unclear=("",))),
    ],
)
def test_tags(tags: tuple[str, ...], meaning: Tagged) -> None:
    assert read_tags(tags, parse_languages("pl,es")) == meaning
