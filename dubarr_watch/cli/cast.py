"""`dubarr-watch cast`: who speaks in a video, as a cast file to start from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import typer

from dubarr_watch.cli.common import opened_store, ready_settings
from dubarr_watch.cli.finding import found_job
from dubarr_watch.cli.report import reports_of
from dubarr_watch.dubbing.cast_file import NAME
from dubarr_watch.dubbing.durations import DurationBook
from dubarr_watch.dubbing.report import LineReport, Report
from dubarr_watch.dubbing.speaker_report import SpeakerReport
from dubarr_watch.errors import printable
from dubarr_watch.languages import parse_language
from dubarr_watch.library.series import Series, series_of

_LONGEST_QUOTE = 70


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("cast")(cast)


def cast(
    job: str = typer.Argument(
        ..., metavar="JOB_OR_PATH", help="A job's number, as `status` shows it, or its video."
    ),
) -> None:
    """Print who speaks in a video as a cast.toml, for you to change and put beside it."""
    settings = ready_settings()
    with opened_store(settings) as store:
        record = found_job(store, job)
        reports = reports_of(store.jobs.results(record.id), record, "")
    root = settings.videos_dir.absolute()
    series = series_of(record.video.path, root)
    book = DurationBook(settings.config_dir / "durations.json")
    offered = {
        one.language: sorted(voice.id for voice in book.voices(one.language)) for one in reports
    }
    folder = series.folder if series else record.video.path.parent
    typer.echo(f"# {NAME}: put it into {printable(folder)} and change what you like.")
    for line in _template(reports, series, offered):
        typer.echo(line)


def _template(
    reports: Sequence[Report], series: Series | None, offered: dict[str, list[str]]
) -> Iterator[str]:
    for code, voices in offered.items():
        if voices:
            yield f"# Voices in {parse_language(code).name}: {', '.join(voices)}"
    first = reports[0]
    if first.summary.speakers_told:
        yield f"# {first.summary.speakers_told}."
    for one in first.summary.cast:
        said = max(
            (line for line in first.lines if line.speaker == one.speaker),
            key=lambda line: line.end_s - line.start_s,
        )
        yield ""
        yield f"# {one.lines} lines, {one.seconds:.0f} s{_known_as(one)}; {_quoted(said)}"
        yield "[[person]]"
        yield f"name = {_text(one.name or f'Speaker {one.speaker + 1}')}"
        yield f"match = {_text(_match(one, series))}"
        yield f"voices = {{ {', '.join(_voices(one.speaker, reports))} }}"


def _match(one: SpeakerReport, series: Series | None) -> str:
    if series is None:
        return f"speaker {one.speaker + 1}"
    if series.season is None or series.episode is None:
        return f"person {one.person}" if one.person else f"speaker {one.speaker + 1}"
    return f"speaker {one.speaker + 1} of S{series.season:02d}E{series.episode:02d}"


def _voices(speaker: int, reports: Sequence[Report]) -> Iterator[str]:
    for report in reports:
        for one in report.summary.cast:
            if one.speaker == speaker:
                yield f"{report.language} = {_text(one.voice)}"


def _known_as(one: SpeakerReport) -> str:
    return f', known as "person {one.person}"' if one.person is not None else ""


def _quoted(line: LineReport) -> str:
    minutes, seconds = divmod(int(line.start_s), 60)
    text = printable(line.source_text)
    cut = text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."
    return f"{minutes}:{seconds:02d} {cut}"


def _text(value: str) -> str:
    """Return a TOML string."""
    escaped = printable(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
