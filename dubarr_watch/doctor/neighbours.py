"""Servers that are told what was published: are they there, and do they let us in?"""

from __future__ import annotations

from dubarr_watch.doctor.result import CheckResult, failed, ok, skipped
from dubarr_watch.errors import DubarrError
from dubarr_watch.neighbours.servers import configured
from dubarr_watch.settings import Settings


def check_servers(name: str, settings: Settings) -> CheckResult:
    """Ask each configured server who it is."""
    servers = configured(settings)
    if not servers:
        return skipped(name, "No media server, no Radarr and no Sonarr is set.")
    good: list[str] = []
    bad: list[DubarrError] = []
    for server in servers.values():
        try:
            good.append(server.check())
        except DubarrError as error:
            bad.append(error)
    if bad:
        told = [error.message for error in bad] + ([f"Well: {', '.join(good)}."] if good else [])
        return failed(name, " ".join(told), " ".join(dict.fromkeys(error.hint for error in bad)))
    return ok(name, f"{', '.join(good)}: reached, and they let us in.")
