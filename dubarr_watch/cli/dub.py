"""`dubarr-watch dub`: one job in the foreground."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from dubarr_watch.cli.common import (
    err,
    error_document,
    exit_code_of,
    print_json,
    ready_settings,
    show_error,
    told_as_json,
)
from dubarr_watch.cli.ending import as_json, show_end
from dubarr_watch.errors import (
    CannotDub,
    ClaimLost,
    DubarrError,
    ExitCode,
    StoreError,
    WrongUsage,
    printable,
)
from dubarr_watch.languages import parse_languages
from dubarr_watch.library.naming import fingerprint, is_our_output
from dubarr_watch.runner import Ended, OnProgress
from dubarr_watch.settings import OutputMode
from dubarr_watch.store.records import JobOptions, JobState, VideoState
from dubarr_watch.store.store import Store
from dubarr_watch.workshop import Workshop, open_workshop


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("dub")(dub)


def dub(
    paths: list[Path] = typer.Argument(..., metavar="PATH...", help="Videos to dub."),
    lang: list[str] = typer.Option(
        [], "--lang", "-l", help="Language to dub into; repeat it for more. Default: TARGET_LANGS."
    ),
    mode: OutputMode | None = typer.Option(
        None, "--mode", "-m", help="Where the track goes. Default: OUTPUT_MODE."
    ),
    json_: bool = typer.Option(False, "--json", help="Print one JSON document at the end."),
) -> None:
    """Dub videos here and now, with progress, and say what came of it."""
    with told_as_json(json_):
        settings = ready_settings()
        codes = [language.code for text in lang for language in parse_languages(text)]
        codes = list(dict.fromkeys(codes)) or [known.code for known in settings.target_langs]
        options = JobOptions(mode=mode.value if mode else "", again=True)
        with open_workshop(settings, foreground=True) as workshop, _interruptible() as interrupted:
            ends = [
                _dub_or_tell(path, codes, options, workshop, interrupted, quiet=json_)
                for path in paths
                if not interrupted.is_set()
            ]
            documents = [_document(end, workshop.store) for end in ends]
    if json_:
        print_json(documents[0] if len(paths) == 1 else {"jobs": documents})
    raise typer.Exit(next((code for code in map(_exit_code, ends) if code), int(ExitCode.DONE)))


def _dub_or_tell(
    path: Path,
    codes: list[str],
    options: JobOptions,
    workshop: Workshop,
    interrupted: threading.Event,
    *,
    quiet: bool,
) -> Ended | DubarrError:
    """Dub one video; what is wrong with its path is told, and does not keep the others."""
    try:
        ended = _dub_one(path, codes, options, workshop, interrupted, quiet=quiet)
    except StoreError:
        raise  # nothing goes without the store
    except DubarrError as error:
        if not quiet:
            show_error(error)
        return error
    if not quiet:
        show_end(ended, workshop.store)
    return ended


def _dub_one(
    path: Path,
    codes: list[str],
    options: JobOptions,
    workshop: Workshop,
    interrupted: threading.Event,
    *,
    quiet: bool,
) -> Ended:
    store = workshop.store
    video = _record(path.absolute(), workshop)
    # Waiting, not queued: a daemon that shares the database must not take it away.
    job = store.jobs.enqueue(video, tuple(codes), options, state=JobState.WAITING)
    if job.state is JobState.RUNNING:
        raise WrongUsage(
            f"Job {job.id} already works on this video.",
            hint="`dubarr-watch status` shows how far it is.",
            path=path,
        )
    with _bar(path, quiet=quiet) as on_progress:
        while True:
            claimed = store.jobs.claim_job(job.id, workshop.owner.id)
            ended = workshop.runner.run(
                claimed, on_progress=on_progress, should_stop=interrupted.is_set
            )
            lost = isinstance(ended.error, ClaimLost)
            if lost or ended.job.state.ended or interrupted.is_set():
                return ended


def _record(path: Path, workshop: Workshop) -> int:
    """Return the store's id of a video, recorded when it is new.

    Raises:
        WrongUsage: The path is no file.
    """
    if not path.is_file():
        what = "is no regular file" if path.exists() else "does not exist"
        what = "is a folder" if path.is_dir() else what
        raise WrongUsage(f"This {what}.", hint="Name a video file.", path=path)
    if is_our_output(path.name):
        raise CannotDub("This is a track that I made myself.", hint="Name the video.", path=path)
    try:
        stat = path.stat()
        print_ = fingerprint(path)
    except OSError as error:
        raise CannotDub(
            f"This file cannot be read: {error.strerror}.",
            hint="Give the user that runs dubarr-watch the right to read it.",
            path=path,
        ) from error
    return workshop.store.videos.record(
        path, stat.st_size, stat.st_mtime_ns, print_, VideoState.BASELINE
    ).id


@contextmanager
def _bar(path: Path, *, quiet: bool) -> Iterator[OnProgress]:
    """Show a progress bar on standard error; one line a stage when that is no terminal."""
    name = printable(path.name)
    if quiet:
        yield lambda stage, share, eta_s: None
        return
    if not err.is_terminal:
        yield _StageLines(name)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[eta]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True) as progress:
        task: TaskID = progress.add_task(name, total=1.0, eta="")

        def show(stage: str, share: float, eta_s: float | None) -> None:
            progress.update(task, description=f"{name}  {stage}", completed=share, eta=_eta(eta_s))

        yield show


class _StageLines:
    """Progress for a log file: one line when a stage begins."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._stage = ""

    def __call__(self, stage: str, share: float, eta_s: float | None) -> None:
        if stage != self._stage:
            self._stage = stage
            err.print(f"{self._name}: {stage} ({share:.0%})", markup=False)


def _eta(eta_s: float | None) -> str:
    if eta_s is None:
        return ""
    minutes, seconds = divmod(round(eta_s), 60)
    return f"about {minutes}:{seconds:02d} left"


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C or SIGTERM into a stop at the last checkpoint."""
    interrupted = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _document(end: Ended | DubarrError, store: Store) -> dict[str, object]:
    return error_document(end) if isinstance(end, DubarrError) else as_json(end, store)


def _exit_code(end: Ended | DubarrError) -> int:
    if isinstance(end, DubarrError):
        return exit_code_of(end)
    if end.error is not None:
        return exit_code_of(end.error)
    done = {JobState.DONE, JobState.DONE_WITH_WARNINGS, JobState.SKIPPED}
    return int(ExitCode.DONE if end.job.state in done else ExitCode.FAILED)
