"""The daemon: composes the rooms, works the queue off, starts and stops in order."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType

import structlog

from dubarr_watch.dubbing.leftovers import remove_leftovers
from dubarr_watch.dubbing.pipeline import Pipeline
from dubarr_watch.engines import catalog
from dubarr_watch.engines.dispatch import Dispatchers
from dubarr_watch.engines.embedded_languages import language_note
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.placing import (
    look_for_devices,
    models_needed,
    plan_for,
    refuse_impossible,
)
from dubarr_watch.engines.registry import planned, specs_for
from dubarr_watch.errors import (
    DiskFull,
    ExitCode,
    StoreError,
    UserMustProvide,
    WrongUsage,
)
from dubarr_watch.gpu.inventory import Inventory
from dubarr_watch.gpu.opening import open_broker
from dubarr_watch.gpu.plan import Plan
from dubarr_watch.languages import Language
from dubarr_watch.library.intake import Library
from dubarr_watch.library.mounts import filesystem_kind, locks_are_shared_late
from dubarr_watch.media import ffmpeg_path, ffprobe_path
from dubarr_watch.neighbours.inbox import Inbox
from dubarr_watch.neighbours.telling import Teller, looks_for
from dubarr_watch.notify import Notifier, event_for, paused_event
from dubarr_watch.runner import Ended, JobRunner
from dubarr_watch.serving import open_page
from dubarr_watch.settings import Profile, Settings, almost_full, in_words, resolve_profile
from dubarr_watch.storage import plain_os_errors
from dubarr_watch.store.owners import Owner, owner_is_alive, remove_dead_locks
from dubarr_watch.store.records import JobRecord, JobState
from dubarr_watch.store.store import Store
from dubarr_watch.upkeep import Upkeep
from dubarr_watch.web.works import Works
from dubarr_watch.workers import Bell, Workers

log = structlog.get_logger(__name__)

QUEUE_POLL_S = 2.0
"""How soon the daemon sees what another process queued (retry, cancel, dub)."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What it takes to run a job.

    Attributes:
        store: The database.
        runner: Runs claimed jobs.
        owner: Proves that this process lives.
        profile: Which engines run.
        plan: Where they run.
        refusal: Says why a language cannot be dubbed into; empty when it can.
    """

    store: Store
    runner: JobRunner
    owner: Owner
    profile: Profile
    plan: Plan
    refusal: Callable[[Language], str]


@contextmanager
def open_workshop(settings: Settings, *, foreground: bool = False) -> Iterator[Workshop]:
    """Check what is needed, open the database and take up what dead processes left.

    Args:
        settings: All settings.
        foreground: Somebody waits for one job: no messages, and a stopped job waits for its own
            command instead of being queued for a daemon.

    Raises:
        KeyMissing: PROFILE=full without its keys.
        ToolMissing: No ffmpeg, or PROFILE=full without its packages.
        ModelMissing: Models have not been pulled.
        NotWritable: CONFIG_DIR cannot be written to.
        UserMustProvide: CONFIG_DIR is on a network mount.
        LeaseError: No device is large enough for an engine, or the GPU does not answer.
    """
    profile = resolve_profile(settings)
    specs = specs_for(profile, settings)
    ffmpeg_path(), ffprobe_path()
    inventory = look_for_devices(profile, settings)
    with plain_os_errors(settings.config_dir):
        for folder in (settings.config_dir, settings.work_dir, settings.reports_dir):
            folder.mkdir(parents=True, exist_ok=True)
    _refuse_network(settings)
    with ExitStack() as stack:
        store = stack.enter_context(Store.open(settings.database_path))
        owner = stack.enter_context(Owner.acquire(settings.config_dir))
        for job in store.recovery.recover(
            lambda other: owner_is_alive(settings.config_dir, other),
            max_attempts=settings.max_attempts,
            event="" if foreground else event_for(settings, JobState.FAILED),
        ):
            log.info("job taken back", job=job.id, video=job.video.path, state=job.state)
            remove_leftovers(job.video.path.parent, job.id)
        plan = plan_for(specs, inventory, settings, store.needs.peaks())
        refuse_impossible(plan)
        specs = planned(specs, plan)
        if not settings.mock_mode:
            for name in models_needed(profile, specs, settings):
                catalog.path(name, settings.models_dir)
        host = stack.enter_context(_open_host(settings, inventory, plan, store, owner))
        dispatchers = stack.enter_context(Dispatchers())
        pipeline = Pipeline(settings, store, host, specs, dispatchers)
        events = partial(_events_for, settings, foreground=foreground)
        runner = JobRunner(settings, store, pipeline, park=foreground, events_for=events)
        yield Workshop(store, runner, owner, profile, plan, specs.refusal)


def _events_for(settings: Settings, state: JobState, *, foreground: bool) -> list[str]:
    """Return what to put into the outbox when a job ends so; servers are told of every one."""
    message = "" if foreground else event_for(settings, state)
    return [*([message] if message else []), *looks_for(settings, state)]


def _refuse_network(settings: Settings) -> None:
    kind = filesystem_kind(settings.config_dir)
    if locks_are_shared_late(kind) and not settings.database_on_network:
        raise UserMustProvide(
            f"CONFIG_DIR is on a network mount ({kind}), where the database can be damaged.",
            hint="Let CONFIG_DIR be on a disk of this machine; the library may be anywhere. "
            "DATABASE_ON_NETWORK=true starts all the same.",
            path=settings.config_dir,
        )


@contextmanager
def _open_host(
    settings: Settings, inventory: Inventory, plan: Plan, store: Store, owner: Owner
) -> Iterator[EngineHost]:
    for kept in (store.leases, store.turns):
        kept.recover(lambda other: owner_is_alive(settings.config_dir, other))
    with open_broker(
        settings,
        inventory=inventory,
        prefer=plan.prefer,
        needs=store.needs,
        journal=store.leases,
        turn_journal=store.turns,
        owner=owner.id,
    ) as broker:
        host = EngineHost(settings, broker)
        try:
            yield host
        finally:
            host.close()


class Daemon:
    """Watches the library and works its queue off until told to stop.

    Args:
        settings: All settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._bell = Bell()
        self._workers: Workers | None = None

    def run(self) -> int:
        """Run until SIGTERM or SIGINT; returns the exit code.

        Raises:
            UserMustProvide: Something is missing that the daemon cannot work without.
            WrongUsage: Another daemon already works with this CONFIG_DIR.
        """
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
            upkeep = Upkeep(settings, workshop.store)
            notifier, teller = Notifier(settings, workshop.store), Teller(settings, workshop.store)
            library = Library(settings, workshop.store, self._bell.ring, refusal=workshop.refusal)
            inbox = Inbox(settings, workshop.store, library)
            upkeep.start()
            notifier.start()
            teller.start()
            library.start()
            inbox.start()
            try:
                with serve(workshop.store, self._works(workshop, library, inbox)):
                    self._work(workshop, library, (notifier.wake, teller.wake))
            finally:
                inbox.stop()
                library.stop()
                teller.stop()
                notifier.stop()
                upkeep.stop()
        log.info("stopped")
        return ExitCode.DONE

    def stop(self) -> None:
        """Ask the daemon to stop at its next checkpoint."""
        self._stopping.set()
        if self._workers is not None:
            self._workers.stop()

    def _works(self, workshop: Workshop, library: Library, inbox: Inbox) -> Works:
        return Works(
            profile=workshop.profile,
            look_at=library.look_at,
            library_health=library.health,
            ring=self._bell.ring,
            working=lambda: self._workers is not None and self._workers.alive,
            refusal=workshop.refusal,
            hear=inbox.put,
            gpus=workshop.runner.pipeline.host.broker.gpus,
            engines=lambda: workshop.runner.pipeline.host.states,
        )

    def _work(
        self, workshop: Workshop, library: Library, wake: Sequence[Callable[[], None]]
    ) -> None:
        def on_end(ended: Ended) -> None:
            if ended.job.state.ended:
                library.settle_requests()
                for outbox in wake:
                    outbox()

        library.settle_requests()

        def on_full(job: JobRecord) -> None:
            if event := paused_event(self._settings):
                with suppress(StoreError, DiskFull):  # the database's own disk may be the full one
                    workshop.store.notifications.add_pending(job.id, event)
                for outbox in wake:
                    outbox()

        self._workers = Workers(
            workshop.store,
            workshop.runner,
            workshop.owner.id,
            count=workshop.plan.jobs,
            bell=self._bell,
            on_end=on_end,
            poll_s=QUEUE_POLL_S,
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
            if self._stopping.is_set():
                os._exit(ExitCode.FAILED)  # asked twice: at once, the database is safe
            self.stop()

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
