"""Terms and stories of series and films."""

from __future__ import annotations

from dubarr_watch.store import Store
from dubarr_watch.store.glossary import StoryRecord, TermRecord

SHOW, OTHER = "/tv/Show\nshow", "/tv/Other\nother"


def test_what_was_decided_stays(store: Store) -> None:
    """Whatever a later episode says, in whatever case."""
    store.glossary.decide(SHOW, "es", {"Winterfell": "Invernalia"})
    store.glossary.decide(SHOW, "es", {"WINTERFELL": "Winterfell", "Arya": "Arya"})
    assert store.glossary.terms(SHOW, "es") == [
        TermRecord(SHOW, "es", "Arya", "Arya", False),
        TermRecord(SHOW, "es", "Winterfell", "Invernalia", False),
    ]


def test_what_a_person_says_replaces_it_and_stays_too(store: Store) -> None:
    store.glossary.decide(SHOW, "es", {"Winterfell": "Invernalia"})
    store.glossary.set(SHOW, "es", "winterfell", "Vinterfel")
    store.glossary.decide(SHOW, "es", {"Winterfell": "Invernalia"})
    (term,) = store.glossary.terms(SHOW, "es")
    assert (term.spoken, term.by_person) == ("Vinterfel", True)


def test_languages_and_series_are_apart(store: Store) -> None:
    store.glossary.set(SHOW, "es", "Winterfell", "Invernalia")
    store.glossary.set(SHOW, "fr", "Winterfell", "Winterfell")
    store.glossary.set(OTHER, "es", "Winterfell", "Otro")
    assert [one.spoken for one in store.glossary.terms(SHOW)] == ["Invernalia", "Winterfell"]
    assert store.glossary.forget(SHOW, "WINTERFELL", "fr") == 1
    assert store.glossary.forget(SHOW, "Winterfell") == 1
    assert store.glossary.forget(SHOW, "Winterfell") == 0
    assert len(store.glossary.terms(OTHER)) == 1


def test_stories_come_in_order_and_the_last_telling_counts(store: Store) -> None:
    for season, episode, context in ((2, 1, "c"), (1, 2, "old"), (1, 10, "b"), (1, 2, "a")):
        store.glossary.tell(StoryRecord(SHOW, "es", season, episode, context))
    assert [one.context for one in store.glossary.stories(SHOW, "es")] == ["a", "b", "c"]
    assert store.glossary.stories(SHOW, "fr") == []
