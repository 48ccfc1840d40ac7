"""How `status` looks."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from rich.markup import escape
from rich.text import Text

from dubarr_watch.errors import UnknownLanguage, printable
from dubarr_watch.languages import parse_language

_COLOURS = {
    "done": "green",
    "done_with_warnings": "yellow",
    "skipped": "cyan",
    "cancelled": "dim",
    "failed": "red",
}
_QUEUE_SHOWN = 10


def status_view(document: dict[str, Any]) -> Text:
    """Return the document of `status_document` as something that Rich can print."""
    lines = [_headline(document)]
    lines += _section("Running", [_running(job) for job in document["running"]])
    queue = document["queue"]
    lines += _section("Queue", [[_queued(job)] for job in queue[:_QUEUE_SHOWN]])
    if len(queue) > _QUEUE_SHOWN:
        lines.append(f"       [dim]and {len(queue) - _QUEUE_SHOWN} more[/dim]")
    lines += _section("GPU memory", [_lease(lease) for lease in document["leases"]])
    lines += _section("CPU", [[_turn(turn)] for turn in document["cpu"]])
    lines += _section("Last results", [_ended(job) for job in document["recent"]])
    lines += _notifications(document["notifications"])
    lines += _servers(document["servers"])
    if not (document["running"] or queue or document["recent"]):
        lines += _nothing_yet(document)
    elif not document["daemon"]["running"] and (document["running"] or queue):
        lines += ["", "Queued jobs wait for the daemon: [bold]dubarr-watch run[/bold]"]
    return Text.from_markup("\n".join(lines), emoji=False)


def duration(seconds: float) -> str:
    """Return a length of time for a person: `45 s`, `12 min`, `2 h 05 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def _headline(document: dict[str, Any]) -> str:
    counts = [
        f"{count} {state.replace('_', ' ')}" for state, count in document["counts"].items() if count
    ]
    jobs = f" Jobs: {', '.join(counts)}." if counts else ""
    if not document["daemon"]["running"]:
        return f"[yellow]No daemon is running.[/yellow]{jobs}"
    folder = escape(document["folders"]["videos"])
    return f"[green]The daemon is running[/green] and watches {folder}.{jobs}"


def _section(title: str, entries: list[list[str]]) -> list[str]:
    if not entries:
        return []
    return ["", f"[bold]{title}[/bold]", *(f"  {line}" for entry in entries for line in entry)]


def _running(job: dict[str, Any]) -> list[str]:
    if job["interrupted"]:
        how = "interrupted; goes on when the daemon starts"
    elif job["cancel_requested"]:
        how = "being cancelled"
    else:
        how = escape(job["stage"] or "starting")
        how += f"  about {duration(job['eta_s'])} left" if job["eta_s"] is not None else ""
    return [_title(job), f"     [green]{job['progress']:.0%}[/green]  {how}"]


def _queued(job: dict[str, Any]) -> str:
    notes = [job["state"]] if job["state"] != "queued" else []
    notes += [f"{job['priority']} priority"] if job["priority"] != "normal" else []
    notes += [job["reason"]] if job["reason"] else []
    return _title(job) + (f"  [dim]{_line('; '.join(notes))}[/dim]" if notes else "")


def _lease(lease: dict[str, Any]) -> list[str]:
    job = "" if lease["job"] is None else f"[dim]{lease['job']:>3}[/dim]  "
    what = escape(f"{lease['stage']} ({lease['model']})" if lease["model"] else lease["stage"])
    if lease["state"] == "waiting":
        return [f"{job}{what}  [yellow]waiting[/yellow]", f"     {_line(lease['why'])}"]
    held = f", {lease['peak_mib']} used at most" if lease["peak_mib"] else ""
    how = f"{lease['mib']} MiB of {lease['device']}{held}"
    return [f"{job}{what}  {escape(how)}  [dim]{lease['state']}[/dim]"]


def _turn(turn: dict[str, Any]) -> str:
    job = "" if turn["job"] is None else f"[dim]{turn['job']:>3}[/dim]  "
    waits = "  [yellow]waiting for its turn[/yellow]" if turn["state"] == "waiting" else ""
    return f"{job}{escape(turn['stage'])}{waits or '  [dim]computing[/dim]'}"


def _ended(job: dict[str, Any]) -> list[str]:
    colour = _COLOURS.get(job["state"], "white")
    took = f" in {duration(job['took_s'])}" if job["took_s"] is not None else ""
    shares = [
        f"{_language(result['language'])}: {result['within_slot']:.0%} of lines within their slot"
        for result in job["results"]
        if result["within_slot"] is not None
    ]
    state = f"[{colour}]{job['state'].replace('_', ' ')}[/{colour}]"
    details = [*shares, job["reason"]] if job["reason"] else shares
    return [f"{_title(job)}  {state}{took}{_ago(job)}", *(f"     {_line(d)}" for d in details)]


def _title(job: dict[str, Any]) -> str:
    languages = ", ".join(_language(code) for code in job["languages"])
    name = PurePath(job["video"]).name
    return f"[dim]{job['job']:>3}[/dim]  {escape(name)}  [dim]into[/dim] {escape(languages)}"


def _line(text: str) -> str:
    """Return what somebody else wrote as one harmless line."""
    return escape(printable(" ".join(text.split())))


def _language(code: str) -> str:
    try:
        return parse_language(code).name
    except UnknownLanguage:
        return code


def _ago(job: dict[str, Any]) -> str:
    if not job["finished_at"]:
        return ""
    passed = datetime.now(UTC) - datetime.fromisoformat(job["finished_at"])
    return f"  [dim]{duration(max(0.0, passed.total_seconds()))} ago[/dim]"


def _notifications(found: dict[str, Any]) -> list[str]:
    failing = found["failing"]
    if not failing:
        return []
    detail = f": {_line(failing[0]['detail'])}" if failing[0]["detail"] else ""
    times = f"{len(failing)} since the last that did" if len(failing) > 1 else "the last one"
    return [
        "",
        f"[red]Push messages do not go out[/red] ({times}){detail}",
        "What to do: [bold]dubarr-watch doctor --notify[/bold]",
    ]


def _servers(found: list[dict[str, Any]]) -> list[str]:
    lines = [f"[red]Not told of the last track[/red]: {_line(one['detail'])}" for one in found]
    return ["", *lines, "What to do: [bold]dubarr-watch doctor[/bold]"] if lines else []


def _nothing_yet(document: dict[str, Any]) -> list[str]:
    folder = escape(document["folders"]["videos"])
    languages = document["target_langs"]
    names = ", ".join(_language(code) for code in languages)
    lines = ["", "[bold]Nothing has been dubbed yet.[/bold]"]
    if not document["daemon"]["running"]:
        lines.append("  Start the daemon: [bold]dubarr-watch run[/bold]")
    return [
        *lines,
        f"  Drop a video into [bold]{folder}[/bold], and it is dubbed into {escape(names)},",
        f"  or: [bold]dubarr-watch dub FILE --lang {languages[0]}[/bold]",
        "  Is everything ready? [bold]dubarr-watch doctor[/bold]",
    ]
