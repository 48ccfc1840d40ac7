# ruff: noqa: D106  peewee wants a class Meta in each model; there is nothing to say about it
"""The tables of what is remembered from one episode to the next, as peewee sees them."""

from __future__ import annotations

from typing import Any

import peewee

from dubarr_watch.store.fields import FlagField, TextField, TimeField
from dubarr_watch.store.models import Row, Video


class Term(Row):
    """What a name or word is called in the dubs of a series or film."""

    scope: Any = TextField()
    language: Any = TextField()
    key: Any = TextField()
    source: Any = TextField()
    spoken: Any = TextField()
    by_person: Any = FlagField()
    decided_at: Any = TimeField()

    class Meta:
        table_name = "terms"
        primary_key = peewee.CompositeKey("scope", "language", "key")


class Story(Row):
    """What an episode of a series told."""

    scope: Any = TextField()
    language: Any = TextField()
    season: Any = peewee.IntegerField()
    episode: Any = peewee.IntegerField()
    context: Any = TextField()

    class Meta:
        table_name = "stories"
        primary_key = peewee.CompositeKey("scope", "language", "season", "episode")


class Person(Row):
    """Somebody who was heard in one video or more."""

    id: Any = peewee.AutoField()

    class Meta:
        table_name = "people"


class Appearance(Row):
    """What a person sounds like in one video, where they are the speaker of a number."""

    video: Any = peewee.ForeignKeyField(Video, column_name="video_id", lazy_load=False)
    speaker: Any = peewee.IntegerField()
    person: Any = peewee.ForeignKeyField(Person, column_name="person_id", lazy_load=False)
    model: Any = TextField()
    seconds: Any = peewee.FloatField()
    print: Any = peewee.BlobField()

    class Meta:
        table_name = "appearances"
        primary_key = peewee.CompositeKey("video", "speaker")


class Casting(Row):
    """Which voice of an engine speaks for a person in a language."""

    person: Any = peewee.ForeignKeyField(Person, column_name="person_id", lazy_load=False)
    language: Any = TextField()
    engine: Any = TextField()
    voice: Any = TextField()

    class Meta:
        table_name = "castings"
        primary_key = peewee.CompositeKey("person", "language", "engine")


TABLES: tuple[type[peewee.Model], ...] = (Term, Story, Person, Appearance, Casting)
