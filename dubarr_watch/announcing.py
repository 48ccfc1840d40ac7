"""What a push message says about a job that ended."""

from __future__ import annotations

from dubarr_watch.errors import printable
from dubarr_watch.languages import parse_language
from dubarr_watch.notify import JobEnded
from dubarr_watch.runner import Ended
from dubarr_watch.settings import NotifyEvent
from dubarr_watch.store.records import JobState

_EVENTS = {
    JobState.DONE: NotifyEvent.DONE,
    JobState.DONE_WITH_WARNINGS: NotifyEvent.DONE_WITH_WARNINGS,
    JobState.FAILED: NotifyEvent.FAILED,
}


def announcement(ended: Ended) -> JobEnded | None:
    """Return the message for a job that ended; nothing for one that was skipped or cancelled."""
    event = _EVENTS.get(ended.job.state)
    if event is None:
        return None
    results = ended.result.languages if ended.result else ()
    summaries = [result.report.summary for result in results if result.report]
    lines = sum(summary.lines for summary in summaries)
    within = sum(summary.lines * summary.within_slot for summary in summaries)
    return JobEnded(
        job=ended.job.id,
        event=event,
        video_name=printable(ended.job.video.path.name),
        languages=tuple(parse_language(code).name for code in ended.job.languages),
        seconds=ended.seconds,
        within_slot=within / lines if lines else None,
        lines=lines,
        reason=ended.error.message if ended.error else ended.job.reason,
        hint=ended.error.hint if ended.error else "",
    )
