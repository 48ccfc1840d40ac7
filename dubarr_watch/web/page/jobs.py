"""What came of jobs: the history, and one job with every line of it."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from dubarr_watch.dubbing.report import LineReport, Report
from dubarr_watch.errors import DubarrError
from dubarr_watch.store.records import JobState
from dubarr_watch.web import shapes
from dubarr_watch.web.api.common import DeskOf
from dubarr_watch.web.desk import Desk
from dubarr_watch.web.desk.tasks import Task
from dubarr_watch.web.page.rendering import renderer

router = APIRouter()

SHOWN = 50
LINES_SHOWN = 60
_ENDS = tuple(state for state in JobState if state.ended)


@router.get("/history")
def history(
    request: Request,
    desk: DeskOf,
    state: Annotated[str, Query(max_length=20)] = "",
    offset: shapes.Offset = 0,
) -> HTMLResponse:
    """Jobs that have ended, with what came of them."""
    states = [one for one in _ENDS if one == state] or list(_ENDS)
    found = desk.jobs.page(states=states, limit=SHOWN, offset=offset)
    return renderer(request).show(
        request,
        "history",
        found=found,
        results={job.id: desk.jobs.get(job.id).results for job in found.items},
        state=state,
        ends=_ENDS,
        more=f"?{urlencode({'state': state})}&offset=",
    )


@router.get("/jobs/{job_id}")
def job(
    request: Request,
    desk: DeskOf,
    job_id: shapes.Id,
    language: Annotated[str, Query(max_length=20)] = "",
    only: Annotated[str, Query(max_length=20)] = "",
    search: Annotated[str, Query(max_length=200)] = "",
    offset: shapes.Offset = 0,
) -> HTMLResponse:
    """One job: its stages, its report, and its lines to be heard, those to check first."""
    found = desk.jobs.get(job_id)
    reported = [one.language for one in found.results if one.has_report]
    code = language if language in reported else next(iter(reported), "")
    report, trouble = _report(desk, job_id, code)
    lines = _wanted(report.lines if report else [], only, search)
    asked = {"language": code, "only": only, "search": search}
    return renderer(request).show(
        request,
        "job",
        job=found,
        longest=max((stage.seconds for stage in found.stages), default=0) or 1,
        reported=reported,
        language=code,
        report=report,
        trouble=trouble,
        outcomes=_counted(report.lines if report else []),
        only=only,
        search=search,
        lines=shapes.Page(
            items=lines[offset : offset + LINES_SHOWN],
            total=len(lines), limit=LINES_SHOWN, offset=offset,
        ),
        speakers={one.speaker: one.name for one in report.summary.cast} if report else {},
        redos=_redos(desk, job_id, code),
        more=f"?{urlencode(asked)}&offset=",
    )  # fmt: skip


def _report(desk: Desk, job_id: int, language: str) -> tuple[Report | None, str]:
    """Return a report, or why there is none to be read."""
    if not language:
        return None, ""
    try:
        return desk.listening.report(job_id, language), ""
    except DubarrError as error:
        return None, f"{error.message} {error.hint}"


def _redos(desk: Desk, job_id: int, language: str) -> dict[int, Task]:
    """Return what is under way, or ended last, for each line that is made anew."""
    about, found = f"{job_id}/{language}/", dict[int, Task]()
    for task in desk.tasks.all():
        if task.kind == "redo" and task.about.startswith(about):
            found.setdefault(int(task.about.removeprefix(about)), task)
    return found


def _wanted(lines: list[LineReport], only: str, search: str) -> list[LineReport]:
    words = search.strip().lower()
    found = [
        line
        for line in lines
        if (not only or line.outcome == only or (only == "check" and line.check))
        and (not words or words in f"{line.source_text}\n{line.text}".lower()
             or words == str(line.index))
    ]  # fmt: skip
    return sorted(found, key=lambda line: (not line.check, line.start_s))


def _counted(lines: list[LineReport]) -> list[tuple[str, int]]:
    counts = {"check": sum(line.check for line in lines)}
    for line in lines:
        counts[line.outcome] = counts.get(line.outcome, 0) + 1
    return [(name, number) for name, number in counts.items() if number]
