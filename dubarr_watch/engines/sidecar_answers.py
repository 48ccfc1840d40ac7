"""What the speech process answers, in the daemon's own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from dubarr_watch.engines.base import Gender, Voice
from dubarr_watch.errors import (
    DeviceError,
    DubarrError,
    ModelMissing,
    OutOfMemory,
    ServiceBusy,
    SynthesisFailed,
    UserMustProvide,
)

_KINDS: dict[int, type[DubarrError]] = {
    httpx.codes.FORBIDDEN: UserMustProvide,
    httpx.codes.CONFLICT: DeviceError,
    httpx.codes.TOO_MANY_REQUESTS: ServiceBusy,
    httpx.codes.SERVICE_UNAVAILABLE: ModelMissing,
    httpx.codes.INSUFFICIENT_STORAGE: OutOfMemory,
}
_HINTS: dict[type[DubarrError], str] = {ModelMissing: "Run `dubarr-watch models pull`."}

# Published grades run from A to F; ours from 1 to 0.
_GRADES = {"A": 0.95, "B": 0.8, "C": 0.65, "D": 0.5, "E": 0.35, "F": 0.2}
_UNGRADED = {"espeak": 0.1, "xtts": 0.85}
_CLONED = 0.95


def raise_for(answer: httpx.Response) -> None:
    """Raise what an answer that is no success stands for.

    Raises:
        UserMustProvide: 403, a licence that nobody has agreed to.
        DeviceError: 409, the process sees another GPU than it was given, or none.
        ServiceBusy: 429, too many requests wait.
        ModelMissing: 503, a model or library is missing or damaged.
        OutOfMemory: 507, the device has no room for this line.
        SynthesisFailed: Every other one.
    """
    if answer.is_success:
        return
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    message = str(problem.get("error") or f"The speech process answered {answer.status_code}.")
    kind = _KINDS.get(answer.status_code, SynthesisFailed)
    raise kind(message, hint=str(problem.get("hint") or "") or _HINTS.get(kind, ""))


def voice_of(entry: Mapping[str, Any]) -> Voice:
    """Return a voice as the daemon knows it from one entry of the process's list."""
    grade, engine = str(entry.get("quality") or ""), str(entry["engine"])
    cloned = bool(entry.get("cloned", False))
    quality = _GRADES.get(grade[:1], _CLONED if cloned else _UNGRADED.get(engine, 0.5))
    quality += {"+": 0.04, "-": -0.04}.get(grade[1:], 0.0)
    if not entry.get("native", True):
        quality *= 0.5
    return Voice(
        id=str(entry["id"]),
        language=str(entry["language"]),
        gender=Gender(entry["gender"]),
        engine=engine,
        quality=round(quality, 3),
        cloned=cloned,
    )
