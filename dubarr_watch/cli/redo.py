"""`dubarr-watch redo`: one line anew, published again in seconds."""

from __future__ import annotations

import json
import time
from dataclasses import asdict

import typer
from rich.markup import escape

from dubarr_watch.cli.common import err, out, print_json, ready_settings, told_as_json
from dubarr_watch.cli.finding import found_job
from dubarr_watch.dubbing.redo import Redo
from dubarr_watch.dubbing.report import LineReport
from dubarr_watch.dubbing.results import LanguageResult, job_result
from dubarr_watch.dubbing.workspace import JobControl
from dubarr_watch.errors import IllegalTransition, WrongUsage, printable
from dubarr_watch.languages import Language, parse_language
from dubarr_watch.neighbours.telling import looks_for
from dubarr_watch.settings import Settings
from dubarr_watch.store.records import JobRecord
from dubarr_watch.store.store import Store
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
        if text is not None and not text.strip():
            raise WrongUsage("An empty text cannot be spoken.", hint="Leave --text out.")
        with open_workshop(settings, foreground=True) as workshop:
            record = found_job(workshop.store, job)
            if not record.state.ended:
                raise IllegalTransition(
                    f"Job {record.id} has not ended.", hint="`dubarr-watch status` shows it."
                )
            language = _language(lang, record, workshop.store)
            started = time.monotonic()
            result = _redo(settings, workshop, record, language, line, text, quiet=json_)
            _write_down(settings, workshop.store, record, result)
            seconds = time.monotonic() - started
    lines = result.report.lines if result.report else []
    made = next(one for one in lines if one.index == line)
    if json_:
        print_json(_document(record, result, made))
    else:
        _tell(made, result, seconds)


def _language(name: str, job: JobRecord, store: Store) -> Language:
    made = sorted({track.language for track in store.jobs.tracks(job.id)})
    if name:
        language = parse_language(name)
        if language.code not in made:
            raise WrongUsage(f"Job {job.id} made no track in {language.name}.", hint=_listed(made))
        return language
    if len(made) != 1:
        what = "made several tracks" if made else "made no track"
        raise WrongUsage(f"Job {job.id} {what}.", hint=_listed(made))
    return parse_language(made[0])


def _listed(codes: list[str]) -> str:
    return f"Name one: --lang {' or --lang '.join(codes)}." if codes else ""


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
    pipeline = workshop.runner.pipeline
    seen: set[str] = set()

    def report(stage: str, share: float) -> None:
        if not quiet and stage not in seen:
            err.print(f"{stage} ...", markup=False)
        seen.add(stage)

    control = JobControl(report, stall_s=settings.stall_seconds, job=job.id, priority=1)
    try:
        return Redo(
            settings, workshop.store, pipeline.host, pipeline.specs, job, control
        ).line(language, line, text)  # fmt: skip
    finally:
        pipeline.host.end_job(job.id)


def _write_down(settings: Settings, store: Store, job: JobRecord, result: LanguageResult) -> None:
    """Change how the language and its job ended."""
    report = result.report
    with store.transaction():
        store.jobs.set_result(
            job.id, result.language.code, result.state, settings.without_secrets(result.reason),
            report=result.report_path, summary=json.dumps(asdict(report.summary)) if report else "",
        )  # fmt: skip
        now = job_result(
            [
                LanguageResult(parse_language(one.language), one.state, one.reason)
                for one in store.jobs.results(job.id)
            ]
        )
        store.jobs.amend(job.id, now.state, now.reason)
        for look in looks_for(settings, now.state):
            store.notifications.add_pending(job.id, look)


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
