"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CheckState(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    """It works, but less well, or not for long."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """It does not apply here."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check's answer.

    Attributes:
        name: Which check; stable, for programs.
        state: How it ended.
        found: What was found, in plain words, without any secret.
        advice: What to do; empty when there is nothing to do.
        must_provide: It failed because something is missing that only the user can provide.
    """

    name: str
    state: CheckState
    found: str
    advice: str = ""
    must_provide: bool = False


def ok(name: str, found: str) -> CheckResult:
    """Return that all is well."""
    return CheckResult(name, CheckState.OK, found)


def warning(name: str, found: str, advice: str) -> CheckResult:
    """Return that it works, but not as it should."""
    return CheckResult(name, CheckState.WARNING, found, advice)


def failed(name: str, found: str, advice: str) -> CheckResult:
    """Return that it does not work."""
    return CheckResult(name, CheckState.FAILED, found, advice)


def missing(name: str, found: str, advice: str) -> CheckResult:
    """Return that it does not work until the user provides something."""
    return CheckResult(name, CheckState.FAILED, found, advice, must_provide=True)


def skipped(name: str, found: str) -> CheckResult:
    """Return why there is nothing to check."""
    return CheckResult(name, CheckState.SKIPPED, found)
