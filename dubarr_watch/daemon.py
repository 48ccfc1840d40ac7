"""The daemon: composes the rooms, works the queue off, starts and stops in order."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType

import structlog

from dubarr_watch.dubbing.redoing import redo_line
from dubarr_watch.engines.embedded_languages import language_note
from dubarr_watch.errors import (
    DiskFull,
    ExitCode,
    StoreError,
    UserMustProvide,
    WrongUsage,
)
from dubarr_watch.lookout import Lookout
from dubarr_watch.neighbours.telling import looks_for
from dubarr_watch.notify import paused_event
from dubarr_watch.runner import Ended
from dubarr_watch.serving import open_page
from dubarr_watch.settings import Profile, Settings, almost_full, in_words
from dubarr_watch.space import SpaceGate
from dubarr_watch.storage import plain_os_errors
from dubarr_watch.store.owners import remove_dead_locks
from dubarr_watch.store.records import JobRecord
from dubarr_watch.web.works import Works
from dubarr_watch.workers import Bell, Workers, share_memory
from dubarr_watch.workshop import Workshop, open_workshop

log = structlog.get_logger(__name__)

QUEUE_POLL_S = 2.0
"""How soon the daemon sees what another process queued (retry, cancel, dub)."""

LAST_WORDS_S = 3.0
"""The page, media servers and push services have so long together, once the work has stopped."""

SAME_REQUEST_S = 0.5
"""Signals that come closer together are one request: GNU timeout, and a shell whose Ctrl-C reaches
the program as well as its parent, send two."""


class Daemon:
    """Watches the library and works its queue off until told to stop.

    Args:
        settings: All settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._asked_at = 0.0
        self._bell = Bell()
        self._workers: Workers | None = None

    def run(self) -> int:
        """Run until SIGTERM or SIGINT; returns the exit code.

        Raises:
            UserMustProvide: Something is missing that the daemon cannot work without.
            WrongUsage: Another daemon already works with this CONFIG_DIR.
        """
        share_memory()
        settings = self._settings
        if not settings.videos_dir.is_dir():
            raise UserMustProvide(
                "The video folder is not there.",
                hint="Create it, or set VIDEOS_DIR to the folder that holds your videos.",
                path=settings.videos_dir,
            )
        with (
            only_one(settings.config_dir),
            open_page(settings) as serve,
            open_workshop(settings) as workshop,
        ):
            remove_dead_locks(settings.config_dir)
            self._take_signals()
            self._greet(workshop)
            lookout = Lookout(settings, workshop, self._bell.ring, self._stopping.is_set)
            host = workshop.runner.pipeline.host
            host.on_lost = lambda member: lookout.notifier.worker_lost(member.machine)
            lookout.start()
            ends_s = 0.0
            try:
                with serve(workshop.store, self._works(workshop, lookout)):
                    self._work(workshop, lookout)
                    ends_s = time.monotonic() + LAST_WORDS_S
                    lookout.last_words()  # they end while the page does
            finally:
                lookout.stop(lambda: ends_s - time.monotonic())
        log.info("stopped")
        return ExitCode.DONE

    def stop(self) -> None:
        """Ask the daemon to stop at its next checkpoint."""
        self._stopping.set()
        if self._workers is not None:
            self._workers.stop()

    def _works(self, workshop: Workshop, lookout: Lookout) -> Works:
        settings, pipeline = self._settings, workshop.runner.pipeline
        return Works(
            profile=workshop.profile,
            look_at=lookout.look_at,
            library_health=lookout.health,
            ring=self._bell.ring,
            working=lambda: self._workers is not None and self._workers.alive,
            refusal=workshop.refusal,
            hear=lookout.hear,
            redo=partial(
                redo_line,
                settings,
                workshop.store,
                pipeline,
                partial(looks_for, settings),
                cancelled=self._stopping.is_set,
            ),
            gpus=pipeline.host.broker.gpus,
            engines=lambda: pipeline.host.states,
            crew=lambda: pipeline.host.crew,
            stopping=self._stopping.is_set,
        )

    def _work(self, workshop: Workshop, lookout: Lookout) -> None:
        def on_end(ended: Ended) -> None:
            if ended.job.state.ended:
                lookout.settle()

        lookout.settle()

        def on_full(job: JobRecord) -> None:
            if event := paused_event(self._settings):
                with suppress(StoreError, DiskFull):  # the database's own disk may be the full one
                    workshop.store.notifications.add_pending(job.id, event)
                lookout.settle()

        self._workers = Workers(
            workshop.store,
            replace(workshop.runner, is_away=lookout.is_away),
            workshop.owner.id,
            count=workshop.plan.jobs,
            bell=self._bell,
            on_end=on_end,
            poll_s=QUEUE_POLL_S,
            gate=SpaceGate(shared=self._settings.work_dir),
            on_full=on_full,
        )
        if self._stopping.is_set():  # asked before there was anybody to ask
            self._workers.stop()
        self._workers.run()

    def _greet(self, workshop: Workshop) -> None:
        settings = self._settings
        told = {"profile": workshop.profile.value, "videos": settings.videos_dir,
                "languages": [language.code for language in settings.target_langs]}  # fmt: skip
        if workshop.profile is Profile.EMBEDDED and settings.profile is Profile.AUTO:
            told["because"] = "not all that the full profile needs is set"
        log.info("watching", **told)
        if almost := almost_full(settings):
            names = in_words([one.name for one in almost])
            log.warning("profile", note=f"For the full profile only {names} would be missing.",
                        advice=[one.advice for one in almost])  # fmt: skip
        if workshop.plan.placements:
            log.info("plan", stages=[" ".join(row) for row in workshop.plan.rows()],
                     summary=workshop.plan.summary())  # fmt: skip
            for note in workshop.plan.notes:
                log.warning("plan", note=note)
        if settings.mock_mode:
            log.warning("mock", note="MOCK_MODE is on: every model is a fake, tracks hold tones")
        for language in settings.target_langs:
            if workshop.profile is Profile.EMBEDDED and (note := language_note(language.code)):
                log.warning("language", language=language.name, note=note)

    def _take_signals(self) -> None:
        def handle(number: int, frame: FrameType | None) -> None:
            now = time.monotonic()
            if not self._stopping.is_set():
                self._asked_at = now
                self.stop()
            elif now - self._asked_at > SAME_REQUEST_S:
                os._exit(ExitCode.FAILED)  # asked twice: at once, the database is safe

        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handle)
            signal.signal(signal.SIGINT, handle)


@contextmanager
def only_one(config_dir: Path) -> Iterator[None]:
    """Hold the lock that says a daemon works with this CONFIG_DIR.

    Raises:
        WrongUsage: Another one does.
    """
    path = config_dir / "run" / "daemon.lock"
    with plain_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WrongUsage(
                "A daemon already works with this CONFIG_DIR.",
                hint="Stop it first, or give this one a CONFIG_DIR of its own.",
                path=config_dir,
            ) from None
        yield
