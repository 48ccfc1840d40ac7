"""Models, and the process that speaks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dubarr_watch.doctor.folders import space_result
from dubarr_watch.doctor.plan import make_plan_now
from dubarr_watch.doctor.result import CheckResult, missing, ok, skipped, warning
from dubarr_watch.engines import catalog
from dubarr_watch.engines.catalog import ModelList, ModelState, ModelStatus, models_of
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.placing import models_needed
from dubarr_watch.engines.registry import specs_for
from dubarr_watch.gpu.plan import Where
from dubarr_watch.settings import Settings, resolve_profile

_PULL = "dubarr-watch models pull"
_START_S = 90.0
# Node.js for the npm client, and parts that are not joined yet.
_PULL_EXTRA_BYTES = 500_000_000


def check_models(name: str, settings: Settings) -> CheckResult:
    """Say which models are there, without hashing them."""
    if reason := _needs_none(settings):
        return skipped(name, reason)
    known = _known(settings)
    bad = [f"{one.model.name} {one.state}" for one in known if one.state is not ModelState.READY]
    if bad:
        return missing(name, f"Not all models are ready: {', '.join(bad)}.", _PULL)
    degraded = [f"{one.model.name} without {len(one.left_out)}" for one in known if one.left_out]
    if degraded:
        return warning(
            name,
            f"All {len(known)} are ready, {', '.join(degraded)} of its files (fewer voices).",
            f"Where more of the network can be reached: {_PULL}",
        )
    return ok(name, f"All {len(known)} are ready.")


def check_models_space(name: str, settings: Settings) -> CheckResult:
    """Compare the space for models with what is still to be pulled."""
    if reason := _needs_none(settings):
        return skipped(name, reason)
    known = _known(settings)
    size = sum(one.model.size_bytes for one in known if one.state is not ModelState.READY)
    if not size:
        return ok(name, "Nothing is left to be pulled.")
    need = size + _PULL_EXTRA_BYTES
    return space_result(name, "MODELS_DIR", settings.models_dir, needed=need, wanted=need)


def check_translation(name: str, settings: Settings) -> CheckResult:
    """Start the translator with its model, and end it: it may lack a library of the system."""
    specs, plan = make_plan_now(settings)
    placed = plan.of("translator")
    if placed is not None and placed.where is Where.SERVICE:
        where = settings.openai_base_url or "the OpenAI API"
        return skipped(name, f"{settings.llm_model} of {where} is first asked by a job: it costs.")
    spec = specs.translator
    with EngineHost(settings).engine("translator", spec, stall_s=_START_S) as engine:
        engine.shorten("en", [])
    return ok(name, "It starts, and its model loads.")


def check_speech_process(name: str, settings: Settings) -> CheckResult:
    """Start the process that speaks, ask who it is, and end it."""
    spec = specs_for(resolve_profile(settings), settings).synthesizer
    if "port" in spec.options:  # a daemon's process may be at the usual one
        spec = replace(spec, options={**spec.options, "port": 0})
    with EngineHost(settings).engine("synthesizer", spec, stall_s=_START_S) as engine:
        ask = getattr(engine, "health", None)
        if ask is None:
            voices = [engine.voices(one.code) for one in settings.target_langs]
            engines = sorted({voice.engine for known in voices for voice in known})
            return ok(name, f"It answers; engine: {', '.join(engines) or 'none'}.")
        health: Mapping[str, Any] = ask()
    return health_result(name, health)


def health_result(name: str, health: Mapping[str, Any]) -> CheckResult:
    """Return what the process says of itself as a result."""
    spoken: dict[str, list[str]] = defaultdict(list)
    for code, engine in sorted(health["languages"].items()):
        spoken[engine].append(code)
    parts = [
        f"{engine} speaks {', '.join(codes) if len(codes) < 12 else f'{len(codes)} others'}"
        for engine, codes in sorted(spoken.items(), key=lambda item: item[0] != health["engine"])
    ]
    found = f"It starts and answers, on {health['device']}: {'; '.join(parts)}."
    if health.get("problem"):
        return warning(name, f"{found} {health['problem']}", _PULL)
    return ok(name, found)


def _known(settings: Settings) -> list[ModelStatus]:
    """Return the state of each model that the profile in use needs as it is planned."""
    specs, _ = make_plan_now(settings)
    names = models_needed(resolve_profile(settings), specs, settings)
    wanted = ModelList(tuple(models_of(settings).select(names)))
    return catalog.status(settings.models_dir, models=wanted)


def _needs_none(settings: Settings) -> str:
    return "MOCK_MODE=true needs none." if settings.mock_mode else ""
