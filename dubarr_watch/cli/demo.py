"""`dubarr-watch demo`: the whole way from a dropped video to a push message, before your eyes."""

from __future__ import annotations

import shutil
from pathlib import Path

import typer
from pydantic import TypeAdapter
from rich.console import Group
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from dubarr_watch.cli.common import out, ready_settings
from dubarr_watch.cli.ending import summary_table
from dubarr_watch.demo.clip import speak_clip
from dubarr_watch.demo.listener import PushListener
from dubarr_watch.demo.stage import RunningDaemon, Scratch, describe, follow
from dubarr_watch.dubbing.levels import measure_loudness
from dubarr_watch.dubbing.report import Summary
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.registry import specs_for
from dubarr_watch.errors import ExitCode, WrongUsage, printable
from dubarr_watch.languages import Language, parse_language, parse_languages
from dubarr_watch.media import probe
from dubarr_watch.settings import Profile, Settings
from dubarr_watch.store.records import JobRecord, JobState
from dubarr_watch.store.store import Store

_PUSH_WAIT_S = 30.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    file: Path | None = typer.Option(
        None, "--file", "-f", help="Your own video; without it a short one is made."
    ),
    lang: list[str] = typer.Option(["es"], "--lang", "-l", help="Language to dub into."),
    folder: Path = typer.Option(Path("demo"), "--folder", help="Scratch folder, made anew."),
) -> None:
    """Start the daemon on a scratch library, drop a video and a marker into it, and watch."""
    settings = ready_settings(log_level="error", profile=Profile.EMBEDDED)
    languages = [language for text in lang for language in parse_languages(text)]
    if file is not None and not file.is_file():
        raise WrongUsage("This file does not exist.", hint="Name a video file.", path=file)
    scratch = Scratch(folder.absolute())
    scratch.make()
    video = _clip(settings, scratch) if file is None else file.absolute()
    codes = [language.code for language in languages]
    with PushListener() as push, RunningDaemon(scratch, settings, codes, push) as daemon:
        _drop(video, languages, scratch)
        job, store = _watch(scratch, daemon)
        with store:
            _show_end(job, store)
        message = push.wait(_PUSH_WAIT_S)
        out.print(Panel(Text(describe(message)), title="Push message received", expand=False))
    out.print(f"Everything is in {escape(printable(scratch.root))}.")
    failed = job.state is JobState.FAILED or message is None
    raise typer.Exit(int(ExitCode.FAILED if failed else ExitCode.DONE))


def _clip(settings: Settings, scratch: Scratch) -> Path:
    out.print("Speaking a short conversation over music, to have something to dub ...")
    spec = specs_for(Profile.EMBEDDED, settings).synthesizer
    with EngineHost(settings).engine("synthesizer", spec) as synthesizer:
        return speak_clip(synthesizer, scratch.root, "Talk.mkv")


def _drop(video: Path, languages: list[Language], scratch: Scratch) -> None:
    marker = scratch.videos / f"{video.name}.dub"
    marker.write_text(
        "# dub this video into\n" + "\n".join(language.name for language in languages) + "\n",
        encoding="utf-8",
    )
    shutil.copy(video, scratch.videos / video.name)
    found = probe(scratch.videos / video.name)
    out.print(
        f"Dropped [bold]{escape(printable(video.name))}[/] ({found.duration_s:.0f} s) and a marker "
        f"that asks for {', '.join(language.name for language in languages)}."
    )


def _watch(scratch: Scratch, daemon: RunningDaemon) -> tuple[JobRecord, Store]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    seen = ""
    with Progress(*columns, console=out) as progress:
        task = progress.add_task("waiting until the file is complete", total=1.0)

        def show(job: JobRecord | None) -> None:
            nonlocal seen
            if job is None:
                return
            name = job.stage if job.state is JobState.RUNNING and job.stage else job.state.value
            progress.update(
                task,
                description=name.replace("_", " "),
                completed=1.0 if job.state.ended else job.progress,
            )
            if not out.is_terminal and name != seen:
                out.print(f"  {name} ({job.progress:.0%})")
            seen = name

        return follow(scratch, daemon, show)


def _show_end(job: JobRecord, store: Store) -> None:
    state = job.state.value.replace("_", " ")
    out.print(f"The job is [bold]{state}[/]. {escape(job.reason)}")
    tracks = Table(title="New tracks", title_justify="left")
    for heading in ("file", "language", "title", "codec", "duration", "loudness"):
        tracks.add_column(heading, overflow="fold")
    for track in store.jobs.tracks(job.id):
        if track.kind == "subtitles":
            continue
        found = probe(track.path)
        stream = found.of_kind("audio")[-1]
        loudness = measure_loudness(track.path)
        tracks.add_row(
            printable(track.path.name), stream.language, stream.title, stream.codec,
            f"{found.duration_s:.1f} s", f"{loudness.integrated_lufs} LUFS",
        )  # fmt: skip
    reports: list[Table] = []
    for result in store.jobs.results(job.id):
        if result.summary:
            summary = TypeAdapter(Summary).validate_json(result.summary)
            name = parse_language(result.language).name
            reports += [summary_table(name, summary), _stage_table(summary)]
            for note in summary.notes:
                out.print(f"[yellow]Note:[/] {escape(note)}")
    out.print(Group(tracks, *reports))


def _stage_table(summary: Summary) -> Table:
    table = Table(title="Time of each stage", title_justify="left", show_header=False)
    for stage, seconds in summary.stage_seconds.items():
        table.add_row(stage, f"{seconds:.1f} s")
    return table
