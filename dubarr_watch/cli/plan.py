"""`dubarr-watch plan`: which stage runs where, how long a film hour takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import typer

from dubarr_watch.cli.common import out, print_json, ready_settings, told_as_json
from dubarr_watch.cluster import require_distributed
from dubarr_watch.engines.crew import Member
from dubarr_watch.engines.placing import plan_for
from dubarr_watch.engines.registry import specs_for
from dubarr_watch.gpu.devices import read_inventory
from dubarr_watch.gpu.forecast import Forecast, cards_from, forecast, one_more
from dubarr_watch.gpu.inventory import Gpu, Inventory
from dubarr_watch.gpu.placement import aligned
from dubarr_watch.gpu.plan import Plan, plan_elsewhere
from dubarr_watch.settings import Device, Executor, Profile, Settings, resolve_profile
from dubarr_watch.store.reading import open_for_reading

_CARDS = typer.Option(
    "", "--cards", metavar="SIZES", help='Plan for these GPUs instead, e.g. "12GB,8GB" or "2x24GB".'
)
_NOTHING_YET = "No film was dubbed here yet: how long an hour takes is not known."
_JSON = typer.Option(False, "--json", help="Print one JSON document.")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("plan")(plan)


def plan(cards: str = _CARDS, json_: bool = _JSON) -> None:
    """Show which stage runs where, for this machine or for described cards.

    Times are those that stages took in the films dubbed here so far. With EXECUTOR=dask: for the
    workers that are there, or one worker for each described card.
    """
    with told_as_json(json_):
        settings = ready_settings()
        profile = Profile.FULL if cards else resolve_profile(settings)
        if settings.executor is Executor.DASK:
            _plan_of_a_cluster(profile, cards, settings, json_=json_)
            return
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


def _plan_of_a_cluster(profile: Profile, cards: str, settings: Settings, *, json_: bool) -> None:
    require_distributed()
    from dubarr_watch.cluster import outlook
    from dubarr_watch.cluster.visit import visit

    specs = specs_for(profile, settings)
    learned, seconds, tracks = _learned(settings)
    members = (
        outlook.described(cards_from(cards), settings.gpu_margin_mib)
        if cards
        else visit(settings).members
    )
    now = outlook.staffed(specs, members, settings, learned)
    more = outlook.staffed(specs, outlook.with_one_more(members), settings, learned)
    rows = [one.row(len(members)) for one in now]
    jobs = plan_elsewhere(settings).jobs
    notes = [one.why for one in now if one.why]
    times = forecast(Plan((), False, False, 1), seconds)
    better = forecast(Plan((), False, False, 1), outlook.gained(seconds, now, more))
    if json_:
        print_json(
            {
                "profile": profile.value,
                "plan": [dict(zip(_COLUMNS, row, strict=True)) for row in rows],
                "workers": [
                    {"machine": one.machine, "cards": [card.name for card in one.cards]}
                    for one in members
                ],
                "jobs": jobs,
                "notes": notes,
                "tracks_measured": tracks,
                "hour": _hour(times) if seconds else None,
                "hour_with_one_more_card": _hour(better) if seconds else None,
            }
        )
        return
    out.print(f"Profile {profile.value}, {_counted(members)}\n{aligned(rows)}", markup=False)
    out.print(f"{jobs} jobs at a time.")
    for note in notes:
        out.print(note, markup=False)
    if not seconds:
        out.print(_NOTHING_YET)
        return
    _tell_hour(times, tracks)
    out.print(
        f"  with one more worker like the largest: {_in_words(better.film_s)} at best, "
        f"and more films at a time"
    )


def _counted(members: Sequence[Member]) -> str:
    """Say how many workers there are, and with which cards."""
    if not members:
        return "no worker is there"
    cards = Counter(card.name for one in members for card in one.cards)
    workers = f"{len(members)} {'worker' if len(members) == 1 else 'workers'}"
    listed = ", ".join(f"{count} x {name}" for name, count in sorted(cards.items()))
    return f"{workers}: {listed or 'no GPU'}"


def _hour(found: Forecast) -> dict[str, float]:
    return {"film_s": found.film_s, "next_language_s": found.next_language_s}


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
        out.print(_NOTHING_YET)
        return
    times, with_card = forecast(now, seconds), forecast(more, seconds)
    _tell_hour(times, tracks)
    out.print(f"  an hour of a long queue takes {_in_words(times.queue_s)} ({times.bottleneck})")
    out.print(f"  with one more card: {_gain(times, with_card)}")
    if more.side_by_side and not now.side_by_side:
        out.print("  and translation and speech would stay loaded side by side")


def _tell_hour(times: Forecast, tracks: int) -> None:
    out.print(f"From {tracks} {'track' if tracks == 1 else 'tracks'} dubbed here so far:")
    out.print(
        f"  an hour of film takes {_in_words(times.film_s)}, "
        f"each further language {_in_words(times.next_language_s)}"
    )


def _gain(now: Forecast, more: Forecast) -> str:
    if more.queue_s > 0.98 * now.queue_s:
        return "no faster; what holds it up runs elsewhere"
    return f"{_in_words(more.queue_s)} an hour of a long queue"


def _in_words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
