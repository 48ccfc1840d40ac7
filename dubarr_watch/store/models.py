# ruff: noqa: D106  peewee wants a class Meta in each model; there is nothing to say about it
"""The tables as peewee sees them, bound to no database; `migrations.py` makes them."""

from __future__ import annotations

from typing import Any

import peewee

from dubarr_watch.store.fields import FlagField, PathField, TextField, TimeField


class Row(peewee.Model):
    """A row of any table."""

    @classmethod
    def put(cls, **values: Any) -> Any:
        """Return the query that inserts a row, in place of one with the same key."""
        key = cls._meta.get_primary_keys()  # type: ignore[no-untyped-call]  # not in the stubs
        named = {field.name for field in key}
        others = [cls._meta.combined[name] for name in values if name not in named]
        return cls.insert(**values).on_conflict(conflict_target=key, preserve=others)


class Meta(Row):
    """Small values by name."""

    key: Any = TextField(primary_key=True)
    value: Any = TextField()

    class Meta:
        table_name = "meta"


class Video(Row):
    """A video; `state` is what it was when it was first seen, `missing` whether it is gone now.

    `search` is `fields.search_text` of its path, `audio` the languages that are in it.
    """

    id: Any = peewee.AutoField()
    path: Any = PathField()
    size_bytes: Any = peewee.BigIntegerField()
    mtime_ns: Any = peewee.BigIntegerField()
    fingerprint: Any = TextField()
    state: Any = TextField()
    missing: Any = FlagField()
    note: Any = TextField()
    seen_at: Any = TimeField()
    search: Any = TextField()
    audio: Any = TextField(null=True)

    class Meta:
        table_name = "videos"


class Request(Row):
    """What a marker or a person asked for."""

    id: Any = peewee.AutoField()
    target: Any = PathField()
    for_folder: Any = FlagField()
    languages: Any = TextField()
    mode: Any = TextField()
    style: Any = TextField()
    again: Any = FlagField()
    priority: Any = TextField()
    marker: Any = PathField(null=True)
    open: Any = FlagField()
    created_at: Any = TimeField()

    class Meta:
        table_name = "requests"


class Job(Row):
    """A job, by `rank`, then `place` or id; `owner` runs it; `checkpoints` it had at its start."""

    id: Any = peewee.AutoField()
    video: Any = peewee.ForeignKeyField(Video, column_name="video_id", lazy_load=False)
    request_id: Any = peewee.IntegerField(null=True)
    languages: Any = TextField()
    mode: Any = TextField()
    style: Any = TextField()
    again: Any = FlagField()
    priority: Any = TextField()
    rank: Any = peewee.IntegerField()
    place: Any = peewee.IntegerField(null=True)
    state: Any = TextField()
    reason: Any = TextField()
    attempts: Any = peewee.IntegerField()
    checkpoints: Any = peewee.IntegerField()
    stage: Any = TextField()
    progress: Any = peewee.FloatField()
    eta_s: Any = peewee.FloatField(null=True)
    cancel_requested: Any = FlagField()
    owner: Any = TextField()
    token: Any = peewee.BigIntegerField()
    lease_until: Any = TimeField(null=True)
    created_at: Any = TimeField()
    started_at: Any = TimeField(null=True)
    finished_at: Any = TimeField(null=True)

    class Meta:
        table_name = "jobs"


class Stage(Row):
    """A finished step of a job."""

    job_id: Any = peewee.IntegerField()
    stage: Any = TextField()
    language: Any = TextField()
    key: Any = TextField()
    artifact: Any = PathField()
    seconds: Any = peewee.FloatField()
    finished_at: Any = TimeField()

    class Meta:
        table_name = "stages"
        primary_key = peewee.CompositeKey("job_id", "stage", "language")


class Line(Row):
    """A synthesized line of a job."""

    job_id: Any = peewee.IntegerField()
    language: Any = TextField()
    index: Any = peewee.IntegerField(column_name="line_index")
    key: Any = TextField()
    data: Any = TextField()

    class Meta:
        table_name = "lines"
        primary_key = peewee.CompositeKey("job_id", "language", "index")


class Track(Row):
    """A track that a job made."""

    job_id: Any = peewee.IntegerField()
    path: Any = PathField()
    language: Any = TextField()
    kind: Any = TextField()

    class Meta:
        table_name = "tracks"
        primary_key = peewee.CompositeKey("job_id", "path", "language")


class Result(Row):
    """How one language of a job ended."""

    job_id: Any = peewee.IntegerField()
    language: Any = TextField()
    state: Any = TextField()
    reason: Any = TextField()
    report: Any = PathField(null=True)
    summary: Any = TextField()
    finished_at: Any = TimeField()

    class Meta:
        table_name = "results"
        primary_key = peewee.CompositeKey("job_id", "language")


class Output(Row):
    """A file that we published; stays when its job is forgotten, since the file does too."""

    path: Any = PathField(primary_key=True)
    job_id: Any = peewee.IntegerField()
    video_id: Any = peewee.IntegerField(null=True)
    language: Any = TextField()
    kind: Any = TextField()
    size_bytes: Any = peewee.BigIntegerField()
    mtime_ns: Any = peewee.BigIntegerField()
    fingerprint: Any = TextField()

    class Meta:
        table_name = "outputs"


class Notification(Row):
    """A push message."""

    id: Any = peewee.AutoField()
    job_id: Any = peewee.IntegerField(null=True)
    event: Any = TextField()
    outcome: Any = TextField()
    detail: Any = TextField()
    attempts: Any = peewee.IntegerField()
    at: Any = TimeField()

    class Meta:
        table_name = "notifications"


class Lease(Row):
    """A lease of GPU memory; stays when its job is forgotten, for the post-mortem."""

    owner: Any = TextField()
    number: Any = peewee.IntegerField()
    stage: Any = TextField()
    model: Any = TextField()
    job_id: Any = peewee.IntegerField(null=True)
    device: Any = TextField()
    device_name: Any = TextField()
    mib: Any = peewee.IntegerField()
    peak_mib: Any = peewee.IntegerField()
    state: Any = TextField()
    why: Any = TextField()
    pid: Any = peewee.IntegerField(null=True)
    asked_at: Any = TimeField()
    granted_at: Any = TimeField(null=True)
    ended_at: Any = TimeField(null=True)

    class Meta:
        table_name = "leases"
        primary_key = peewee.CompositeKey("owner", "number")


class Need(Row):
    """The most that an engine and model were seen to hold on devices of a name."""

    model: Any = TextField()
    device_name: Any = TextField()
    peak_mib: Any = peewee.IntegerField()
    measured_at: Any = TimeField()

    class Meta:
        table_name = "needs"
        primary_key = peewee.CompositeKey("model", "device_name")


class Inbox(Row):
    """A webhook's payload; empty once it is worked off."""

    id: Any = peewee.AutoField()
    sender: Any = TextField()
    event: Any = TextField()
    payload: Any = TextField()
    state: Any = TextField()
    outcome: Any = TextField()
    attempts: Any = peewee.IntegerField()
    received_at: Any = TimeField()
    handled_at: Any = TimeField(null=True)

    class Meta:
        table_name = "inbox"


class Spoken(Row):
    """What a neighbour says that a file speaks."""

    path: Any = PathField(primary_key=True)
    languages: Any = TextField()

    class Meta:
        table_name = "spoken"


class Redo(Row):
    """A line of a job that somebody asked to make anew; `attempts` were begun and never ended."""

    job: Any = peewee.ForeignKeyField(Job, column_name="job_id", lazy_load=False)
    language: Any = TextField()
    line_index: Any = peewee.IntegerField()
    text: Any = TextField(null=True)
    attempts: Any = peewee.IntegerField()

    class Meta:
        table_name = "redos"
        primary_key = peewee.CompositeKey("job", "language", "line_index")


TABLES: tuple[type[peewee.Model], ...] = (
    Meta, Video, Request, Job, Stage, Line, Track, Result, Output, Notification,
    Lease, Need, Inbox, Spoken, Redo,
)  # fmt: skip
