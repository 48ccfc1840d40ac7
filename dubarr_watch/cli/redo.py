"""`dubarr-watch redo`: one line anew, published again in seconds."""

from __future__ import annotations

import time
from dataclasses import asdict
from functools import partial

import typer
from rich.markup import escape

from dubarr_watch.cli.common import err, out, print_json, ready_settings, told_as_json
from dubarr_watch.cli.finding import found_job
from dubarr_watch.dubbing.redoing import language_to_redo, redo_line
from dubarr_watch.dubbing.report import LineReport
from dubarr_watch.dubbing.results import LanguageResult
from dubarr_watch.dubbing.series_memory import SeriesMemory
from dubarr_watch.engines.terms import missed
from dubarr_watch.errors import printable
from dubarr_watch.languages import Language
from dubarr_watch.neighbours.telling import looks_for
from dubarr_watch.settings import Settings
from dubarr_watch.store.records import JobRecord
from dubarr_watch.workshop import Workshop, open_workshop


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("redo")(redo)


def redo(
    job: str = typer.Argument(
        ..., metavar="JOB_OR_PATH", help="A job's number, as `status` shows it, or its video."
    ),
    line: int = typer.Option(..., "--line", "-n", help="Number of the line, as in `report`."),
    text: str | None = typer.Option(
        None, "--text", "-t", help="What to say instead. Default: the same in another way."
    ),
    lang: str = typer.Option(
        "", "--lang", "-l", help="Language of the track; needed when the job made several."
    ),
    json_: bool = typer.Option(False, "--json", help="Print one JSON document at the end."),
) -> None:
    """Make one line of a finished dub anew, and publish the track again.

    Nothing else is translated or spoken again: it takes seconds. What it needs is kept for
    KEEP_WORK_DAYS.
    """
    with told_as_json(json_):
        settings = ready_settings()
        with open_workshop(settings, foreground=True) as workshop:
            record = found_job(workshop.store, job)
            language = language_to_redo(workshop.store, record, lang)
            started = time.monotonic()
            result = _redo(settings, workshop, record, language, line, text, quiet=json_)
            seconds = time.monotonic() - started
            memory = SeriesMemory.of(
                record.video.path, settings.videos_dir.absolute(), workshop.store.glossary
            )
            decided = memory.earlier(language.code).glossary
    lines = result.report.lines if result.report else []
    made = next(one for one in lines if one.index == line)
    if json_:
        print_json(_document(record, result, made))
    else:
        _tell(made, result, seconds)
        for term in missed(made.text, made.source_text, decided) if text else ():
            out.print(
                f"  '{escape(term.target)}' is decided for '{escape(term.source)}' and stays so in "
                "other lines; `dubarr-watch glossary` with --set changes it for later dubs."
            )


def _redo(
    settings: Settings,
    workshop: Workshop,
    job: JobRecord,
    language: Language,
    line: int,
    text: str | None,
    *,
    quiet: bool,
) -> LanguageResult:
    seen: set[str] = set()

    def report(stage: str, share: float) -> None:
        if not quiet and stage not in seen:
            err.print(f"{stage} ...", markup=False)
        seen.add(stage)

    pipeline = workshop.runner.pipeline
    return redo_line(
        settings, workshop.store, pipeline, partial(looks_for, settings), job, language, line,
        text, report,
    )  # fmt: skip


def _document(job: JobRecord, result: LanguageResult, line: LineReport) -> dict[str, object]:
    """Return the public JSON; changing a name here breaks its readers."""
    return {
        "job": job.id,
        "language": result.language.code,
        "state": result.state.value,
        "reason": result.reason,
        "line": asdict(line),
        "tracks": [{"path": printable(one.path), "kind": one.kind} for one in result.tracks],
        "report": printable(result.report_path) if result.report_path else "",
    }


def _tell(line: LineReport, result: LanguageResult, seconds: float) -> None:
    heard = f", word error rate {line.wer:.0%}" if line.wer is not None else ""
    out.print(
        f"Line {line.index} now says: {escape(line.text)}\n"
        f"  {line.outcome.replace('_', ' ')}, speed {line.speed:.2f}{heard}; in {seconds:.0f} s"
    )
    for track in result.tracks:
        out.print(f"  {result.language.name} {track.kind}: {escape(printable(track.path))}")
    if result.reason:
        out.print(f"  {escape(result.reason)}")
