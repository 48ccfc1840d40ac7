"""What it takes to run jobs: checked, opened and composed; for the daemon and for one command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

from dubarr_watch.cluster import require_distributed
from dubarr_watch.dubbing.pipeline import Pipeline
from dubarr_watch.engines import catalog
from dubarr_watch.engines.dispatch import Dispatchers
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.placing import (
    look_for_devices,
    models_needed,
    plan_for,
    refuse_impossible,
)
from dubarr_watch.engines.registry import planned, specs_for
from dubarr_watch.engines.sidecar_process import remove_scratch_of_the_dead
from dubarr_watch.errors import (
    UserMustProvide,
)
from dubarr_watch.gpu.devices import read_inventory
from dubarr_watch.gpu.inventory import Inventory
from dubarr_watch.gpu.leases import LeaseBroker
from dubarr_watch.gpu.opening import open_broker
from dubarr_watch.gpu.plan import Plan, plan_elsewhere
from dubarr_watch.heartbeat import Heartbeat, living, take_back
from dubarr_watch.languages import Language
from dubarr_watch.library.mounts import filesystem_kind, locks_are_shared_late
from dubarr_watch.media import ffmpeg_path, ffprobe_path
from dubarr_watch.neighbours.telling import looks_for
from dubarr_watch.notify import event_for
from dubarr_watch.runner import JobRunner
from dubarr_watch.settings import Device, Executor, Profile, Settings, resolve_profile
from dubarr_watch.storage import plain_os_errors
from dubarr_watch.store.owners import Owner
from dubarr_watch.store.records import JobState
from dubarr_watch.store.store import Store


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
    local = settings.executor is Executor.LOCAL
    inventory = look_for_devices(profile, settings) if local else read_inventory(Device.CPU)
    with plain_os_errors(settings.config_dir):
        for folder in (settings.config_dir, settings.work_dir, settings.reports_dir):
            folder.mkdir(parents=True, exist_ok=True)
    _refuse_network(settings)
    with ExitStack() as stack:
        store = stack.enter_context(Store.open(settings.database))
        owner = stack.enter_context(Owner.acquire(settings.config_dir))
        failed = "" if foreground else event_for(settings, JobState.FAILED)
        take_back(settings, store, failed)
        remove_scratch_of_the_dead()
        if local:
            plan = plan_for(specs, inventory, settings, store.needs.peaks())
            refuse_impossible(plan)
            specs = planned(specs, plan)
            if not settings.mock_mode:
                for name in models_needed(profile, specs, settings):
                    catalog.path(name, settings.models_dir)
        else:
            plan = plan_elsewhere(settings)
            specs = specs if plan.separate else replace(specs, separator=None)
        host = stack.enter_context(_open_host(settings, inventory, plan, store, owner))
        dispatchers = stack.enter_context(Dispatchers())
        pipeline = Pipeline(settings, store, host, specs, dispatchers)
        events = partial(_events_for, settings, foreground=foreground)
        runner = JobRunner(settings, store, pipeline, park=foreground, events_for=events)
        stack.enter_context(Heartbeat(settings, store, owner.id, failed))
        yield Workshop(store, runner, owner, profile, plan, specs.refusal)


def _events_for(settings: Settings, state: JobState, *, foreground: bool) -> list[str]:
    """Return what to put into the outbox when a job ends so; servers are told of every one."""
    message = "" if foreground else event_for(settings, state)
    return [*([message] if message else []), *looks_for(settings, state)]


def _refuse_network(settings: Settings) -> None:
    if settings.database_url is not None:
        return
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
        kept.recover(living(settings, store))
    with open_broker(
        settings,
        inventory=inventory,
        prefer=plan.prefer,
        needs=store.needs,
        journal=store.leases,
        turn_journal=store.turns,
        owner=owner.id,
    ) as broker:
        host = _host(settings, broker)
        try:
            yield host
        finally:
            host.close()


def _host(settings: Settings, broker: LeaseBroker) -> EngineHost:
    if settings.executor is Executor.LOCAL:
        return EngineHost(settings, broker)
    require_distributed()
    from dubarr_watch.cluster.host import ClusterHost  # Dask takes 40 MB that others can do without

    return ClusterHost(settings, broker)
