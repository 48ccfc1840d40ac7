"""A line made anew from its order to its books: the command line and the page share it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dubarr_watch.dubbing.pipeline import Pipeline
from dubarr_watch.dubbing.redo import Redo
from dubarr_watch.dubbing.results import LanguageResult, job_result
from dubarr_watch.dubbing.workspace import JobControl
from dubarr_watch.errors import IllegalTransition, WrongUsage
from dubarr_watch.languages import Language, parse_language
from dubarr_watch.settings import Settings
from dubarr_watch.store.records import JobRecord, JobState
from dubarr_watch.store.store import Store


def redo_line(
    settings: Settings,
    store: Store,
    pipeline: Pipeline,
    events_for: Callable[[JobState], Sequence[str]],
    job: JobRecord,
    language: Language,
    index: int,
    text: str | None,
    report: Callable[[str, float], None],
    *,
    cancelled: Callable[[], bool] = lambda: False,
) -> LanguageResult:
    """Make one line of a finished job anew, publish the track again, and write that down.

    Args:
        settings: All settings.
        store: The database.
        pipeline: Brings the engines.
        events_for: Whom to tell when the job ends so; kept in the outbox.
        job: The job.
        language: Of the track; see `language_to_redo`.
        index: The line's.
        text: What to say instead; nothing: the same in another way.
        report: Called with (stage, share done).
        cancelled: Whether to stop; once the publishing has begun it is finished first.

    Raises:
        JobCancelled: It was stopped, and nothing is published.
        WrongUsage: The text is empty; and see `Redo.line`.
    """
    if text is not None and not text.strip():
        raise WrongUsage("An empty text cannot be spoken.", hint="Leave the text out.")
    control = JobControl(report, cancelled, settings.stall_seconds, job=job.id, priority=1)
    try:
        redo = Redo(settings, store, pipeline.host, pipeline.specs, job, control)
        result = redo.line(language, index, text)
    finally:
        pipeline.host.end_job(job.id)
    _write_down(settings, store, job, result, events_for)
    return result


def language_to_redo(store: Store, job: JobRecord, name: str) -> Language:
    """Return the language that somebody means; an empty name is the only one that there is.

    Raises:
        IllegalTransition: The job has not ended.
        WrongUsage: It made no such track, or several.
    """
    if not job.state.ended:
        raise IllegalTransition(
            f"Job {job.id} has not ended.", hint="`dubarr-watch status` shows it."
        )
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


def _write_down(
    settings: Settings,
    store: Store,
    job: JobRecord,
    result: LanguageResult,
    events_for: Callable[[JobState], Sequence[str]],
) -> None:
    """Change how the language and its job ended."""
    report = result.report
    with store.transaction():
        store.jobs.set_result(
            job.id, result.language.code, result.state, settings.without_secrets(result.reason),
            report=result.report_path, summary=report.kept_summary() if report else "",
        )  # fmt: skip
        now = job_result(
            [
                LanguageResult(parse_language(one.language), one.state, one.reason)
                for one in store.jobs.results(job.id)
            ]
        )
        store.jobs.amend(job.id, now.state, now.reason)
        for event in events_for(now.state):
            store.notifications.add_pending(job.id, event)
