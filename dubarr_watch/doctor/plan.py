"""Which stage would run where, as the daemon would decide it now."""

from __future__ import annotations

from dubarr_watch.doctor.result import CheckResult, failed, ok, skipped, warning
from dubarr_watch.engines.placing import plan_for
from dubarr_watch.engines.registry import EngineSpecs, planned, specs_for
from dubarr_watch.gpu.devices import read_inventory
from dubarr_watch.gpu.plan import Plan
from dubarr_watch.settings import Device, Profile, Settings, resolve_profile
from dubarr_watch.store.reading import open_for_reading


def check_plan(name: str, settings: Settings) -> CheckResult:
    """Show the plan as a table."""
    if settings.mock_mode:
        return skipped(name, "MOCK_MODE=true: fakes need no device.")
    if resolve_profile(settings) is not Profile.FULL:
        return skipped(name, "The embedded profile runs on the CPU, one stage after another.")
    made = make_plan_now(settings)[1]
    if made.impossible:
        advice = "Set CPU_FALLBACK=true, choose a smaller model, or correct ENGINE_MIB."
        return failed(name, made.text(), advice)
    if made.notes:
        return warning(name, made.text(), "Nothing, if that is as you want it.")
    return ok(name, made.text())


def make_plan_now(settings: Settings) -> tuple[EngineSpecs, Plan]:
    """Return the engines of the profile in use, where they would run, and the plan.

    Raises:
        KeyMissing: PROFILE=full without its keys.
        DeviceError: DEVICE asks for a GPU that is not there.
    """
    profile = resolve_profile(settings)
    specs = specs_for(profile, settings)
    uses_gpu = profile is Profile.FULL and not settings.mock_mode
    inventory = read_inventory(settings.device if uses_gpu else Device.CPU)
    plan = plan_for(specs, inventory, settings, _measured(settings))
    return planned(specs, plan), plan


def _measured(settings: Settings) -> dict[str, int]:
    store = open_for_reading(settings.database)
    if store is None:
        return {}
    with store:
        return store.needs.peaks()
