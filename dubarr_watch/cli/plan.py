"""`dubarr-watch plan`: which stage runs where, how long a film hour takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import typer

from dubarr_watch.cli.common import out, print_json, ready_settings, told_as_json
from dubarr_watch.engines.placing import plan_for
from dubarr_watch.engines.registry import specs_for
from dubarr_watch.gpu.devices import read_inventory
from dubarr_watch.gpu.forecast import Forecast, cards_from, forecast, one_more
from dubarr_watch.gpu.inventory import Gpu, Inventory
from dubarr_watch.gpu.plan import Plan
from dubarr_watch.settings import Device, Profile, Settings, resolve_profile
from dubarr_watch.store.reading import open_for_reading

_CARDS = typer.Option(
    "", "--cards", metavar="SIZES", help='Plan for these GPUs instead, e.g. "12GB,8GB" or "2x24GB".'
)
_JSON = typer.Option(False, "--json", help="Print one JSON document.")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("plan")(plan)


def plan(cards: str = _CARDS, json_: bool = _JSON) -> None:
    """Show which stage runs where, for this machine or for described cards.

    Times are those that stages took in the films dubbed here so far.
    """
    with told_as_json(json_):
        settings = ready_settings()
        profile = Profile.FULL if cards else resolve_profile(settings)
        gpus = cards_from(cards) if cards else _gpus(profile, settings)
        learned, seconds, tracks = _learned(settings)
        now = _planned(profile, gpus, settings, learned)
        more = _planned(Profile.FULL, one_more(gpus), settings, learned)
        if json_:
            print_json(
                {
                    "profile": profile.value,
                    "plan": [dict(zip(_COLUMNS, row, strict=True)) for row in now.rows()],
                    "side_by_side": now.side_by_side,
                    "jobs": now.jobs,
                    "notes": now.notes,
                    "tracks_measured": tracks,
                    "hour": asdict(forecast(now, seconds)) if seconds else None,
                    "hour_with_one_more_card": asdict(forecast(more, seconds)) if seconds else None,
                }
            )
            return
        out.print(f"Profile {profile.value}\n{now.text()}", markup=False)
        _tell_times(now, more, seconds, tracks)


_COLUMNS = ("stage", "engine", "where", "memory")


def _gpus(profile: Profile, settings: Settings) -> Sequence[Gpu]:
    uses_gpu = profile is Profile.FULL and not settings.mock_mode
    found: Inventory = read_inventory(settings.device if uses_gpu else Device.CPU)
    return found.gpus


def _planned(
    profile: Profile, gpus: Sequence[Gpu], settings: Settings, learned: Mapping[str, int]
) -> Plan:
    return plan_for(specs_for(profile, settings), Inventory(tuple(gpus)), settings, learned)


def _learned(settings: Settings) -> tuple[dict[str, int], dict[str, float], int]:
    store = open_for_reading(settings.database)
    if store is None:
        return {}, {}, 0
    with store:
        seconds, tracks = store.figures.hour_seconds()
        return store.needs.peaks(), seconds, tracks


def _tell_times(now: Plan, more: Plan, seconds: Mapping[str, float], tracks: int) -> None:
    if not seconds:
        out.print("No film was dubbed here yet: how long an hour takes is not known.")
        return
    times, with_card = forecast(now, seconds), forecast(more, seconds)
    out.print(f"From {tracks} {'track' if tracks == 1 else 'tracks'} dubbed here so far:")
    out.print(
        f"  an hour of film takes {_in_words(times.film_s)}, "
        f"each further language {_in_words(times.next_language_s)}"
    )
    out.print(f"  an hour of a long queue takes {_in_words(times.queue_s)} ({times.bottleneck})")
    out.print(f"  with one more card: {_gain(times, with_card)}")
    if more.side_by_side and not now.side_by_side:
        out.print("  and translation and speech would stay loaded side by side")


def _gain(now: Forecast, more: Forecast) -> str:
    if more.queue_s > 0.98 * now.queue_s:
        return "no faster; what holds it up runs elsewhere"
    return f"{_in_words(more.queue_s)} an hour of a long queue"


def _in_words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
