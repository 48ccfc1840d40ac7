"""Where the engines of a profile run on this machine, and what must be there for that."""

from __future__ import annotations

from collections.abc import Mapping

from dubarr_watch.engines import catalog
from dubarr_watch.engines.catalog import models_of
from dubarr_watch.engines.full_packages import full_packages_missing, require_full_packages
from dubarr_watch.engines.specs import EngineSpecs
from dubarr_watch.errors import LeaseError
from dubarr_watch.gpu.devices import read_inventory
from dubarr_watch.gpu.inventory import Inventory
from dubarr_watch.gpu.plan import Plan, make_plan
from dubarr_watch.settings import Device, Profile, Settings

_PYANNOTE, _DEMUCS = "speaker-diarization-community-1", "htdemucs"


def look_for_devices(profile: Profile, settings: Settings) -> Inventory:
    """Return the GPUs that a profile may use; the embedded one uses none, nor do fakes.

    Raises:
        ToolMissing: The packages of the full profile are not installed.
        DeviceError: DEVICE asks for a GPU and there is none.
    """
    if settings.mock_mode or profile is not Profile.FULL:
        return read_inventory(Device.CPU)
    require_full_packages(settings)
    return read_inventory(settings.device)


def offered_devices(settings: Settings) -> Inventory:
    """Return the GPUs that a worker of a cluster offers, which has no keys and needs none.

    None with PROFILE=embedded, with fakes, and where the packages that use them are not installed.

    Raises:
        ToolMissing: PROFILE=full, and those packages are not installed.
        DeviceError: DEVICE asks for a GPU and there is none.
    """
    if settings.profile is Profile.AUTO and full_packages_missing():
        return read_inventory(Device.CPU)
    embedded = settings.profile is Profile.EMBEDDED
    return look_for_devices(Profile.EMBEDDED if embedded else Profile.FULL, settings)


def plan_for(
    specs: EngineSpecs, inventory: Inventory, settings: Settings, learned: Mapping[str, int]
) -> Plan:
    """Return where the engines of a profile run; see `make_plan`."""
    return make_plan(inventory.gpus, specs.needs, settings, learned)


def refuse_impossible(plan: Plan) -> None:
    """Do nothing when every stage can run somewhere.

    Raises:
        LeaseError: One cannot; the message has the figures.
    """
    if plan.impossible:
        raise LeaseError(
            " ".join(one.why for one in plan.impossible),
            hint="Set CPU_FALLBACK=true to run it on the CPU, choose a smaller model, or correct "
            "ENGINE_MIB. `dubarr-watch doctor` shows the plan.",
        )


def models_needed(profile: Profile, specs: EngineSpecs, settings: Settings) -> list[str]:
    """Return the names of the models without which no job can be done as planned."""
    if profile is not Profile.FULL:
        return catalog.embedded_models().names()
    spared = set()
    if specs.separator is None:
        spared.add(_DEMUCS)
    if specs.diarizer_fallback is not None:
        spared.add(_PYANNOTE)
    return [name for name in models_of(settings).names() if name not in spared]
