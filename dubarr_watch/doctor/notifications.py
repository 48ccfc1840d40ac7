"""Push messages: are the services' addresses understood, and do they take a message?"""

from __future__ import annotations

from dubarr_watch import notify
from dubarr_watch.doctor.result import CheckResult, failed, ok, skipped
from dubarr_watch.notify import push
from dubarr_watch.settings import Settings

_NOBODY = "No push messages: neither NOTIFY_URLS nor NOTIFY_CONFIG is set."


def check_notifications(name: str, settings: Settings) -> CheckResult:
    """Read NOTIFY_URLS, NOTIFY_CONFIG and NOTIFY_TAGS as the daemon does; sends nothing."""
    if not push.is_configured(settings):
        return skipped(name, _NOBODY)
    push.check(settings)
    return ok(name, "The services are understood; `doctor --notify` sends them a test.")


def send_test(name: str, settings: Settings) -> CheckResult:
    """Send a test message to every service."""
    outcomes = notify.test_services(settings)
    if not outcomes:
        return skipped(name, _NOBODY)
    refused = [one for one in outcomes if not one.ok]
    if refused:
        told = "; ".join(f"{one.service} {one.detail}" for one in refused)
        return failed(
            name,
            f"{len(refused)} of {len(outcomes)} services did not take it: {told}.",
            "Check the address, and whether this machine can reach the service.",
        )
    return ok(name, f"Sent to {', '.join(one.service for one in outcomes)}.")
