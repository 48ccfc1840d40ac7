"""`dubarr-watch doctor`: is everything there that a dub needs?"""

from __future__ import annotations

import os
from typing import Any

import typer
from rich.markup import escape

from dubarr_watch.cli.common import out, print_json, ready_settings
from dubarr_watch.doctor import CheckResult, CheckState, examine, exit_code, without_settings
from dubarr_watch.doctor.notifications import send_test
from dubarr_watch.errors import SettingsInvalid, printable

_SIGNS = {
    CheckState.OK: "[green]ok     [/green]",
    CheckState.WARNING: "[yellow]warning[/yellow]",
    CheckState.FAILED: "[red]failed [/red]",
    CheckState.SKIPPED: "[dim]skipped[/dim]",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    json_: bool = typer.Option(False, "--json", help="Print one JSON document."),
    notify: bool = typer.Option(False, "--notify", help="Also send a push message as a test."),
) -> None:
    """Check everything that a dub needs, and say what to do about what is missing.

    Exit code 0 when nothing failed, 4 when you must provide something, else 1.
    """
    results: list[CheckResult] = []
    try:
        settings = ready_settings()
    except SettingsInvalid as problem:
        for result in without_settings(problem):
            _take(result, results, quiet=json_)
    else:
        for result in examine(settings):
            _take(result, results, quiet=json_)
        if notify:
            for result in examine(settings, {"test_message": send_test}):
                _take(result, results, quiet=json_)
    code = exit_code(results)
    if json_:
        print_json(_document(results, int(code)))
    else:
        _sum_up(results)
    raise typer.Exit(code)


def _take(result: CheckResult, results: list[CheckResult], *, quiet: bool) -> None:
    results.append(result)
    if quiet:
        return
    name = result.name.replace("_", " ")
    first, *rest = (printable(line) for line in result.found.split("\n"))
    out.print(f"{_SIGNS[result.state]}  {name:19} {escape(first)}")
    for line in rest:
        out.print(f"{'':29}{escape(line)}")
    if result.advice and result.state is not CheckState.OK:
        first, *rest = (printable(line) for line in result.advice.split("\n"))
        out.print(f"{'':29}[bold]->[/bold] {escape(first)}")
        for line in rest:
            out.print(f"{'':29}   {escape(line)}")


def _document(results: list[CheckResult], code: int) -> dict[str, Any]:
    """Return the public JSON: changing a name here breaks its readers."""
    return {
        "exit_code": code,
        "user": os.geteuid(),
        "checks": [
            {
                "name": result.name,
                "state": result.state.value,
                "found": result.found,
                "advice": result.advice,
                "must_provide": result.must_provide,
            }
            for result in results
        ],
    }


def _sum_up(results: list[CheckResult]) -> None:
    count = {state: sum(one.state is state for one in results) for state in CheckState}
    if count[CheckState.FAILED]:
        out.print(f"\n[red]{count[CheckState.FAILED]} failed[/red]: see the arrows above.")
    elif warnings := count[CheckState.WARNING]:
        out.print(f"\n[green]Ready[/green], with {warnings} warning{'s' * (warnings > 1)}.")
    else:
        out.print("\n[green]Ready.[/green]")
