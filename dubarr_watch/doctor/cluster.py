"""The cluster of EXECUTOR=dask: whether it answers, who is there, and what does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dubarr_watch.cluster import require_distributed
from dubarr_watch.doctor.result import CheckResult, failed, ok, skipped, warning
from dubarr_watch.engines.placing import models_needed
from dubarr_watch.engines.registry import specs_for
from dubarr_watch.settings import Executor, Settings, in_words, resolve_profile

if TYPE_CHECKING:
    from dubarr_watch.cluster.visit import Visit

WORKERS = frozenset({"gpu", "plan", "models", "models_space", "translation", "speech_process"})
"""Checks of what engines need; with EXECUTOR=dask that is needed where workers are."""


def check_cluster(name: str, settings: Settings) -> CheckResult:
    """Ask the scheduler and each worker what they are, and compare."""
    if settings.executor is Executor.LOCAL:
        return skipped(name, "EXECUTOR=local: all runs on this machine.")
    require_distributed()
    from dubarr_watch.cluster.visit import visit  # Dask takes 40 MB that others can do without

    return cluster_result(name, visit(settings, _models(settings)))


def cluster_result(name: str, seen: Visit) -> CheckResult:
    """Return what was seen as a result."""
    cards = sum(len(one.cards) for one in seen.members)
    count = len(seen.workers)
    found = [
        f"{seen.address} answers; {count} {'worker' if count == 1 else 'workers'}, "
        f"{cards} {'GPU' if cards == 1 else 'GPUs'}."
    ]
    bad = [*_other_versions(seen), *_without_models(seen), *_strangers(seen)]
    if bad:
        return failed(name, "\n".join(found + [words for words, _ in bad]), _advice(bad))
    unwell = [*_nobody(seen), *_apart(seen)]
    if unwell:
        return warning(name, "\n".join(found + [words for words, _ in unwell]), _advice(unwell))
    return ok(name, f"{found[0]} All run version {seen.here.version} and see WORK_DIR.")


Finding = tuple[str, str]
"""What is not as it should be, and what to do."""


def _other_versions(seen: Visit) -> list[Finding]:
    told = [("The scheduler", seen.scheduler)]
    told += [(f"Worker {one.address} ({one.machine})", about) for one, about in seen.workers]
    same = "Install the same version on all machines, with the same packages."
    found = []
    for who, about in told:
        if isinstance(about, str):
            found.append((f"{who} does not say what it is: {about}.", same))
        elif about.version != seen.here.version:
            words = f"{who} runs version {about.version}, this machine {seen.here.version}."
            found.append((words, same))
        elif about.dask != seen.here.dask:
            words = f"{who} has Dask {about.dask}, this machine {seen.here.dask}."
            found.append((words, same))
    return found


def _without_models(seen: Visit) -> list[Finding]:
    return [
        (
            f"Worker {one.address} ({one.machine}) lacks {in_words(list(about.lacks))}.",
            f"Run `dubarr-watch models pull {' '.join(about.lacks)}` there.",
        )
        for one, about in seen.workers
        if not isinstance(about, str) and about.lacks
    ]


def _strangers(seen: Visit) -> list[Finding]:
    if isinstance(seen.scheduler, str) or not seen.scheduler.strangers:
        return []
    who = in_words(list(seen.scheduler.strangers))
    return [
        (
            f"The scheduler refused {who} within the last minute.",
            "If that is a machine of yours, give it the same CLUSTER_SECRET.",
        )
    ]


def _nobody(seen: Visit) -> list[Finding]:
    if seen.workers:
        return []
    return [
        ("Nobody works: jobs wait.", f"Start `dubarr-watch worker --scheduler {seen.address}`.")
    ]


def _apart(seen: Visit) -> list[Finding]:
    apart = sorted(
        {one.machine for one, told in seen.workers if not isinstance(told, str) and not told.shares}
    )
    if not apart:
        return []
    return [
        (
            f"{in_words(apart)} cannot see WORK_DIR: what it reads and writes is sent.",
            "Nothing, if that is as you want it. Else mount WORK_DIR there, and set the worker's "
            "PATH_MAP where the path is another.",
        )
    ]


def _advice(findings: list[Finding]) -> str:
    return "\n".join(dict.fromkeys(advice for _, advice in findings))


def _models(settings: Settings) -> list[str]:
    """Return what each worker must have: it may be asked for any engine."""
    if settings.mock_mode:
        return []
    profile = resolve_profile(settings)
    return models_needed(profile, specs_for(profile, settings), settings)
