"""`dubarr-watch report`: what became of each line, in the terminal or as a page to listen to."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from dubarr_watch.cli.common import opened_store, out, print_json, ready_settings, told_as_json
from dubarr_watch.cli.ending import summary_table
from dubarr_watch.cli.finding import found_job
from dubarr_watch.dubbing.page import make_page
from dubarr_watch.dubbing.page.sources import read_report, sources_of
from dubarr_watch.dubbing.report import LineReport, Report
from dubarr_watch.errors import NotInStore, WrongUsage, printable
from dubarr_watch.languages import parse_language
from dubarr_watch.storage import plain_os_errors
from dubarr_watch.store.records import JobRecord, ResultRecord


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report)


def report(
    job: str = typer.Argument(
        ..., metavar="JOB_OR_PATH", help="A job's number, as `status` shows it, or its video."
    ),
    lang: str = typer.Option("", "--lang", "-l", help="Only this language."),
    html: Path | None = typer.Option(
        None, "--html", help="Write one self-contained page instead, to look at and listen to."
    ),
    json_: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Show the quality report of a job, lines that somebody should check first."""
    with told_as_json(json_):
        settings = ready_settings()
        with opened_store(settings) as store:
            record = found_job(store, job)
            reports = reports_of(store.jobs.results(record.id), record, lang)
            if html is not None:
                if len(reports) > 1:
                    codes = " or --lang ".join(one.language for one in reports)
                    raise WrongUsage(
                        "A page shows one language.", hint=f"Name one: --lang {codes}."
                    )
                sources = sources_of(settings, store, record, parse_language(reports[0].language))
                with plain_os_errors(html):
                    silent = make_page(reports[0], sources, html)
    if json_:
        print_json([one.as_dict() for one in reports])
    if html is None and not json_:
        for one in reports:
            _show(one)
    elif html is not None and not json_:
        out.print(f"Written: {escape(printable(html))}")
        if silent:
            out.print(f"{silent} lines cannot be played in it: it would be too large.")


def reports_of(results: list[ResultRecord], job: JobRecord, lang: str) -> list[Report]:
    """Return the reports of a job, of one language or all.

    Raises:
        NotInStore: There is none.
    """
    wanted = parse_language(lang).code if lang else ""
    found = [
        read_report(one.report)
        for one in results
        if one.report is not None and wanted in ("", one.language)
    ]
    if not found:
        what = f" in {parse_language(lang).name}" if lang else ""
        raise NotInStore(
            f"Job {job.id} has no report{what}.",
            hint="A report is written when a track has been published; "
            "`dubarr-watch status` shows what became of the job.",
        )
    return found


def _show(found: Report) -> None:
    language = parse_language(found.language).name
    table = Table(title=f"{language}: lines", title_justify="left", show_lines=False)
    for heading in ("line", "at", "outcome", "errors", "speed", "text"):
        table.add_column(heading, overflow="fold")
    for line in sorted(found.lines, key=lambda one: (not one.check, one.start_s)):
        table.add_row(*_cells(line), style="yellow" if line.check else None)
    out.print(table)
    out.print(summary_table(language, found.summary))
    for note in found.summary.notes:
        out.print(f"  [yellow]Note:[/] {escape(note)}")


def _cells(line: LineReport) -> list[Text]:
    minutes, seconds = divmod(line.start_s, 60)
    text = printable(line.text) or "(nothing)"
    if line.check and line.heard:
        text += f"\nheard: {printable(line.heard)}"
    cells = [
        str(line.index),
        f"{int(minutes)}:{seconds:04.1f}",
        line.outcome.replace("_", " "),
        "" if line.wer is None else f"{line.wer:.0%}",
        f"{line.speed:.2f}",
        text,
    ]
    return [Text(cell) for cell in cells]
