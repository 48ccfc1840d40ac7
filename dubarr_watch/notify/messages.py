"""What push messages say: plain text, short enough for a phone's lock screen and a watch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from dubarr_watch.errors import printable
from dubarr_watch.languages import parse_language
from dubarr_watch.settings import NotifyEvent
from dubarr_watch.store.records import JobRecord, JobState, ResultRecord

DIGEST_ENTRIES = 10
"""Films that one digest names; some services cut a message at about a thousand characters."""

_NAME_CHARS = 100
_REASON_CHARS = 300

_HEADLINES = {
    NotifyEvent.DONE: "Dubbed",
    NotifyEvent.DONE_WITH_WARNINGS: "Dubbed, please check",
    NotifyEvent.FAILED: "Could not dub",
    NotifyEvent.PAUSED: "Paused, no space",
    NotifyEvent.WORKER_LOST: "Lost a worker",
}
_WITH_TRACK = (JobState.DONE, JobState.DONE_WITH_WARNINGS)
_PARTLY = "Only partly dubbed"
_SEVERITY = (
    NotifyEvent.DONE, NotifyEvent.DONE_WITH_WARNINGS, NotifyEvent.WORKER_LOST, NotifyEvent.FAILED,
    NotifyEvent.PAUSED,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class JobEnded:
    """A job that ended, as a message tells it.

    Attributes:
        job: Its id.
        event: How it ended.
        video_name: File name of the video.
        languages: English names, in the order asked for.
        seconds: How long the job took.
        within_slot: Share of its lines that are spoken within their slot, 0 to 1; nothing when it
            has no lines.
        lines: How many lines, all languages together.
        reason: Plain words: why it failed, or what to check; may be empty.
        hint: What the user can do; may be empty.
        partly: Whether some of its languages were dubbed although others failed.
    """

    job: int
    event: NotifyEvent
    video_name: str
    languages: tuple[str, ...]
    seconds: float
    within_slot: float | None = None
    lines: int = 0
    reason: str = ""
    hint: str = ""
    partly: bool = False

    @property
    def headline(self) -> str:
        """What happened, in two or three words."""
        failed = self.event is NotifyEvent.FAILED
        return _PARTLY if failed and self.partly else _HEADLINES[self.event]


@dataclass(frozen=True, slots=True)
class Message:
    """A push message: plain text; `event` is the worst of what it tells."""

    event: NotifyEvent
    title: str
    body: str


def compose(ended: Sequence[JobEnded]) -> Message:
    """Return the message about one job, or the digest about several."""
    return _single(ended[0]) if len(ended) == 1 else _digest(ended)


def from_records(job: JobRecord, results: Sequence[ResultRecord], event: NotifyEvent) -> JobEnded:
    """Return what can be told about a job that ended."""
    started, finished = job.started_at, job.finished_at
    lines, within = 0, 0.0
    for result in results:
        summary = json.loads(result.summary) if result.summary else {}
        lines += int(summary.get("lines", 0))
        within += summary.get("lines", 0) * summary.get("within_slot", 0.0)
    return JobEnded(
        job=job.id,
        event=event,
        video_name=job.video.path.name,
        languages=tuple(parse_language(code).name for code in job.languages),
        seconds=(finished - started).total_seconds() if started and finished else 0,
        within_slot=within / lines if lines else None,
        lines=lines,
        reason=job.reason,
        partly=any(result.state in _WITH_TRACK for result in results),
    )


def worker_lost(machines: Sequence[str]) -> JobEnded:
    """Return what is told when workers of the cluster are not heard of any more; about no job."""
    return JobEnded(
        job=0,
        event=NotifyEvent.WORKER_LOST,
        video_name=", ".join(dict.fromkeys(machines)) or "of the cluster",
        languages=(),
        seconds=0.0,
        reason="It was not heard of any more. What it did is done again by others.",
        hint="Look at that machine, and at the log of `dubarr-watch worker` there.",
    )


def _single(ended: JobEnded) -> Message:
    took = "" if ended.event is NotifyEvent.PAUSED else f", took {_duration(ended.seconds)}"
    facts = [f"{_languages(ended)}{took}.", _share(ended)]
    body = [" ".join(filter(None, facts))] if ended.languages else []
    if ended.reason:
        body.append(_shortened(ended.reason, _REASON_CHARS))
    if ended.hint:
        body.append(f"What to do: {_shortened(ended.hint, _REASON_CHARS)}")
    title = f"{ended.headline}: {_shortened(ended.video_name, _NAME_CHARS)}"
    return Message(ended.event, title, "\n".join(body))


def _digest(ended: Sequence[JobEnded]) -> Message:
    counts = {event: sum(one.event is event for one in ended) for event in _SEVERITY}
    videos = len(ended) - counts[NotifyEvent.WORKER_LOST]
    dubbed = videos - counts[NotifyEvent.FAILED] - counts[NotifyEvent.PAUSED]
    parts = [f"{dubbed} dubbed"] if dubbed else []
    if counts[NotifyEvent.DONE_WITH_WARNINGS]:
        parts.append(f"{counts[NotifyEvent.DONE_WITH_WARNINGS]} to check")
    if counts[NotifyEvent.FAILED]:
        parts.append(f"{counts[NotifyEvent.FAILED]} failed")
    if counts[NotifyEvent.PAUSED]:
        parts.append("paused for lack of space")
    if counts[NotifyEvent.WORKER_LOST]:
        parts.append("a worker lost")
    # What needs somebody comes first: the end may be cut off.
    ordered = sorted(ended, key=lambda one: -_SEVERITY.index(one.event))
    body = [_entry(one) for one in ordered[:DIGEST_ENTRIES]]
    if len(ordered) > DIGEST_ENTRIES:
        body.append(f"and {len(ordered) - DIGEST_ENTRIES} more.")
    return Message(ordered[0].event, f"{videos} videos: {', '.join(parts)}", "\n".join(body))


def _entry(ended: JobEnded) -> str:
    name = _shortened(ended.video_name, _NAME_CHARS)
    facts = f" ({_languages(ended)}, {_duration(ended.seconds)})" if ended.languages else ""
    text = f"{ended.headline}: {name}{facts}."
    if ended.event is not NotifyEvent.DONE:
        text += "".join(f" {_shortened(part, 160)}" for part in (ended.reason, ended.hint) if part)
    return text


def _languages(ended: JobEnded) -> str:
    return ", ".join(ended.languages) or "no language"


def _share(ended: JobEnded) -> str:
    if ended.within_slot is None:
        return ""
    # Rounded down: 100 % is said only when it is all of them.
    share = int(ended.within_slot * 100 + 1e-9)
    lines = "line" if ended.lines == 1 else "lines"
    return f"{share} % of {ended.lines} {lines} within their slot."


def _duration(seconds: float) -> str:
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _shortened(text: str, chars: int) -> str:
    """Return text from outside as one harmless line; a name keeps its end, which tells it apart.

    A chat service takes `@` before a word for somebody to be woken; an invisible joiner stops it.
    """
    text = " ".join(printable(text).split())
    if len(text) > chars:
        text = f"{text[: chars - 21]}…{text[-20:]}"
    return text.replace("@", "@\u2060")
