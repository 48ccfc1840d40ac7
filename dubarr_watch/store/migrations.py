"""The schema, version by version.

A migration is never edited after its release: a change of the schema is one more function at the
end of `MIGRATIONS`. Each is written in SQL and not with the models, which only know today's shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from dubarr_watch.store.fields import search_text

if TYPE_CHECKING:
    from dubarr_watch.store.database import Database

Migration = Callable[["Database"], None]


def migrate(database: Database, migrations: Sequence[Migration]) -> None:
    """Bring an opened database to the last version, one transaction a step.

    A new one is made in a single transaction: an onlooker sees nothing of it, or all. One that
    already holds something is copied aside first, where it is a file of ours.

    Raises:
        StoreTooNew: A newer program wrote it.
    """
    newest = len(migrations)
    version = database.version(newest=newest)
    if 0 < version < newest:
        database.copy_aside(version)
    with nullcontext() if version else database.transaction():
        while True:
            with database.transaction():
                done = database.version(newest=newest)  # another program may do the same
                if done == newest:
                    return
                migrations[done](database)
                database.set_version(done + 1)


def _first_release(database: Database) -> None:
    for statement in _FIRST_RELEASE:
        database.execute(statement)


_FIRST_RELEASE = (
    "CREATE TABLE meta (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)",
    # AUTOINCREMENT: an id that somebody wrote down never means another video or job later.
    """CREATE TABLE videos (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL,
        size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, fingerprint TEXT NOT NULL,
        state TEXT NOT NULL, missing INTEGER NOT NULL, note TEXT NOT NULL,
        seen_at TEXT NOT NULL)""",
    "CREATE UNIQUE INDEX videos_present ON videos (path) WHERE missing = 0",
    "CREATE INDEX videos_path ON videos (path)",
    "CREATE INDEX videos_fingerprint ON videos (fingerprint)",
    """CREATE TABLE requests (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, target BLOB NOT NULL,
        for_folder INTEGER NOT NULL, languages TEXT NOT NULL, mode TEXT NOT NULL,
        style TEXT NOT NULL, again INTEGER NOT NULL, priority TEXT NOT NULL, marker BLOB,
        open INTEGER NOT NULL, created_at TEXT NOT NULL)""",
    "CREATE INDEX requests_open ON requests (target) WHERE open = 1",
    """CREATE TABLE jobs (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        video_id INTEGER NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
        request_id INTEGER REFERENCES requests (id) ON DELETE SET NULL,
        languages TEXT NOT NULL, mode TEXT NOT NULL, style TEXT NOT NULL, again INTEGER NOT NULL,
        priority TEXT NOT NULL, rank INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL,
        attempts INTEGER NOT NULL, stage TEXT NOT NULL, progress REAL NOT NULL, eta_s REAL,
        cancel_requested INTEGER NOT NULL, owner TEXT NOT NULL, created_at TEXT NOT NULL,
        started_at TEXT, finished_at TEXT)""",
    "CREATE INDEX jobs_video ON jobs (video_id)",
    "CREATE INDEX jobs_request ON jobs (request_id)",
    "CREATE INDEX jobs_queue ON jobs (state, rank, id)",
    "CREATE INDEX jobs_finished ON jobs (finished_at)",
    """CREATE TABLE stages (
        job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE, stage TEXT NOT NULL,
        language TEXT NOT NULL, key TEXT NOT NULL, artifact BLOB NOT NULL, seconds REAL NOT NULL,
        finished_at TEXT NOT NULL, PRIMARY KEY (job_id, stage, language))""",
    """CREATE TABLE lines (
        job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE, language TEXT NOT NULL,
        line_index INTEGER NOT NULL, key TEXT NOT NULL, data TEXT NOT NULL,
        PRIMARY KEY (job_id, language, line_index))""",
    """CREATE TABLE tracks (
        job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE, path BLOB NOT NULL,
        language TEXT NOT NULL, kind TEXT NOT NULL, PRIMARY KEY (job_id, path, language))""",
    """CREATE TABLE results (
        job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE, language TEXT NOT NULL,
        state TEXT NOT NULL, reason TEXT NOT NULL, report BLOB, summary TEXT NOT NULL,
        finished_at TEXT NOT NULL, PRIMARY KEY (job_id, language))""",
    """CREATE TABLE outputs (
        path BLOB NOT NULL PRIMARY KEY, job_id INTEGER NOT NULL,
        video_id INTEGER REFERENCES videos (id) ON DELETE SET NULL, language TEXT NOT NULL,
        kind TEXT NOT NULL, size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
        fingerprint TEXT NOT NULL)""",
    "CREATE INDEX outputs_video ON outputs (video_id)",
    """CREATE TABLE notifications (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        job_id INTEGER REFERENCES jobs (id) ON DELETE SET NULL, event TEXT NOT NULL,
        outcome TEXT NOT NULL, detail TEXT NOT NULL, attempts INTEGER NOT NULL,
        at TEXT NOT NULL)""",
    "CREATE INDEX notifications_job ON notifications (job_id)",
    "CREATE INDEX notifications_pending ON notifications (id) WHERE outcome = 'pending'",
)


def _leases(database: Database) -> None:
    for statement in _LEASES:
        database.execute(statement)


_LEASES = (
    """CREATE TABLE leases (
        owner TEXT NOT NULL, number INTEGER NOT NULL, stage TEXT NOT NULL, model TEXT NOT NULL,
        job_id INTEGER, device TEXT NOT NULL, device_name TEXT NOT NULL, mib INTEGER NOT NULL,
        peak_mib INTEGER NOT NULL, state TEXT NOT NULL, why TEXT NOT NULL, pid INTEGER,
        asked_at TEXT NOT NULL, granted_at TEXT, ended_at TEXT,
        PRIMARY KEY (owner, number))""",
    "CREATE INDEX leases_asked ON leases (asked_at)",
    """CREATE TABLE needs (
        model TEXT NOT NULL, device_name TEXT NOT NULL, peak_mib INTEGER NOT NULL,
        measured_at TEXT NOT NULL, PRIMARY KEY (model, device_name))""",
)


def _checkpoints_at_start(database: Database) -> None:
    database.execute("ALTER TABLE jobs ADD COLUMN checkpoints INTEGER NOT NULL DEFAULT 0")


def _neighbours(database: Database) -> None:
    for statement in _NEIGHBOURS:
        database.execute(statement)


_NEIGHBOURS = (
    """CREATE TABLE inbox (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, sender TEXT NOT NULL, event TEXT NOT NULL,
        payload TEXT NOT NULL, state TEXT NOT NULL, outcome TEXT NOT NULL,
        attempts INTEGER NOT NULL, received_at TEXT NOT NULL, handled_at TEXT)""",
    "CREATE INDEX inbox_pending ON inbox (id) WHERE state = 'pending'",
    "CREATE TABLE spoken (path BLOB NOT NULL PRIMARY KEY, languages TEXT NOT NULL)",
)


def _browsing(database: Database) -> None:
    database.execute("ALTER TABLE videos ADD COLUMN search TEXT NOT NULL DEFAULT ''")
    database.execute("ALTER TABLE videos ADD COLUMN audio TEXT")
    for row_id, path in database.rows("SELECT id, path FROM videos"):
        text = search_text(bytes(path))
        database.execute("UPDATE videos SET search = ? WHERE id = ?", text, row_id)


def _glossary(database: Database) -> None:
    for statement in _GLOSSARY:
        database.execute(statement)


_GLOSSARY = (
    """CREATE TABLE terms (
        scope TEXT NOT NULL, language TEXT NOT NULL, key TEXT NOT NULL, source TEXT NOT NULL,
        spoken TEXT NOT NULL, by_person INTEGER NOT NULL, decided_at TEXT NOT NULL,
        PRIMARY KEY (scope, language, key))""",
    """CREATE TABLE stories (
        scope TEXT NOT NULL, language TEXT NOT NULL, season INTEGER NOT NULL,
        episode INTEGER NOT NULL, context TEXT NOT NULL,
        PRIMARY KEY (scope, language, season, episode))""",
)


def _people(database: Database) -> None:
    for statement in _PEOPLE:
        database.execute(statement)


_PEOPLE = (
    "CREATE TABLE people (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT)",
    """CREATE TABLE appearances (
        video_id INTEGER NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
        speaker INTEGER NOT NULL,
        person_id INTEGER NOT NULL REFERENCES people (id) ON DELETE CASCADE,
        model TEXT NOT NULL, seconds REAL NOT NULL, print BLOB NOT NULL,
        PRIMARY KEY (video_id, speaker))""",
    "CREATE INDEX appearances_person ON appearances (person_id)",
    """CREATE TABLE castings (
        person_id INTEGER NOT NULL REFERENCES people (id) ON DELETE CASCADE,
        language TEXT NOT NULL, engine TEXT NOT NULL, voice TEXT NOT NULL,
        PRIMARY KEY (person_id, language, engine))""",
)


def _order(database: Database) -> None:
    database.execute("ALTER TABLE jobs ADD COLUMN place INTEGER")


def _claims(database: Database) -> None:
    database.execute("ALTER TABLE jobs ADD COLUMN token INTEGER NOT NULL DEFAULT 0")
    database.execute("ALTER TABLE jobs ADD COLUMN lease_until TEXT")


def _next_first(database: Database) -> None:
    """However many jobs are queued, the next one is found without sorting them."""
    database.execute("CREATE INDEX jobs_next ON jobs (state, rank, (COALESCE(place, id)))")


def _one_index_less(database: Database) -> None:
    """`jobs_next` begins with the same columns, and each change of a state is one page less."""
    database.execute("DROP INDEX jobs_queue")


def _redos(database: Database) -> None:
    database.execute(
        """CREATE TABLE redos (
            job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
            language TEXT NOT NULL, line_index INTEGER NOT NULL, text TEXT,
            attempts INTEGER NOT NULL, PRIMARY KEY (job_id, language, line_index))"""
    )


MIGRATIONS: tuple[Migration, ...] = (
    _first_release, _leases, _checkpoints_at_start, _neighbours, _browsing, _glossary,
    _people, _order, _claims, _next_first, _one_index_less, _redos,
)  # fmt: skip
