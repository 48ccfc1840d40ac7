"""All checks in order, each kept from spoiling the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial

import structlog

from dubarr_watch.doctor import (
    cluster,
    configuration,
    folders,
    gpu,
    machine,
    media_tools,
    models,
    neighbours,
    notifications,
    plan,
)
from dubarr_watch.doctor.result import CheckResult, CheckState, failed, missing, skipped
from dubarr_watch.errors import DubarrError, ExitCode, SettingsInvalid, UserMustProvide
from dubarr_watch.settings import Executor, Settings

log = structlog.get_logger(__name__)


Check = Callable[[str, Settings], CheckResult]
"""Called with the name that its result is to carry."""

CHECKS: dict[str, Check] = {
    "settings": configuration.check_settings,
    "profile": configuration.check_profile,
    "keys": configuration.check_keys,
    "languages": configuration.check_languages,
    "ffmpeg": media_tools.check_ffmpeg,
    "ffprobe": media_tools.check_ffprobe,
    "packages": configuration.check_packages,
    "gpu": gpu.check_gpu,
    "plan": plan.check_plan,
    "cluster": cluster.check_cluster,
    "models": models.check_models,
    "translation": models.check_translation,
    "speech_process": models.check_speech_process,
    "videos_writable": folders.check_videos_writable,
    "config_writable": partial(folders.check_writable, setting="CONFIG_DIR"),
    "models_writable": partial(folders.check_writable, setting="MODELS_DIR"),
    "videos_space": folders.check_videos_space,
    "config_space": folders.check_config_space,
    "models_space": models.check_models_space,
    "videos_file_system": folders.check_videos_file_system,
    "config_file_system": folders.check_config_file_system,
    "inotify": folders.check_inotify,
    "notifications": notifications.check_notifications,
    "servers": neighbours.check_servers,
    "database": machine.check_database,
    "sqlite": machine.check_sqlite,
    "processor": machine.check_processor,
    "memory": machine.check_memory,
    "clock": machine.check_clock,
    "daemon": machine.check_daemon,
}


def examine(settings: Settings, checks: dict[str, Check] | None = None) -> Iterator[CheckResult]:
    """Run every check, yielding each result as soon as it is there; never raises.

    Args:
        settings: All settings.
        checks: Which, by name; all of them unless told.
    """
    for name, check in (CHECKS if checks is None else checks).items():
        yield _without_secrets(settings, _guarded(name, check, settings))


def without_settings(problem: SettingsInvalid) -> list[CheckResult]:
    """Return what can be said when the settings themselves are wrong."""
    wrong = failed("settings", problem.message, problem.hint or "Correct them, then run it again.")
    others = [name for name in CHECKS if name != "settings"]
    return [wrong, *(skipped(name, "The settings come first.") for name in others)]


def exit_code(results: Iterable[CheckResult]) -> ExitCode:
    """Return 0 when nothing failed, 4 when the user must provide something, else 1."""
    bad = [result for result in results if result.state is CheckState.FAILED]
    if any(result.must_provide for result in bad):
        return ExitCode.USER_MUST_PROVIDE
    return ExitCode.FAILED if bad else ExitCode.DONE


def _guarded(name: str, check: Check, settings: Settings) -> CheckResult:
    if name in cluster.WORKERS and settings.executor is Executor.DASK:
        return skipped(name, "EXECUTOR=dask: `dubarr-watch doctor` on a worker's machine tells.")
    try:
        return check(name, settings)
    except UserMustProvide as error:
        return missing(name, _told(error), error.hint)
    except DubarrError as error:
        return failed(name, _told(error), error.hint)
    except Exception as error:
        log.debug("check broke", check=name, exc_info=True)
        return failed(
            name,
            f"The check itself broke: {type(error).__name__}: {error}",
            "LOG_LEVEL=debug shows where; please report it.",
        )


def _told(error: DubarrError) -> str:
    return str(type(error)(error.message, path=error.path))


def _without_secrets(settings: Settings, result: CheckResult) -> CheckResult:
    # An error's words may quote anything.
    found, advice = map(settings.without_secrets, (result.found, result.advice))
    return replace(result, found=found, advice=advice)
