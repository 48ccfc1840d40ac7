"""Values as people read them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from dubarr_watch.errors import UnknownLanguage
from dubarr_watch.languages import parse_language
from dubarr_watch.store.records import JobState

_STATES = {
    JobState.WAITING: ("Waiting", "warn"),
    JobState.QUEUED: ("Queued", "off"),
    JobState.RUNNING: ("Running", ""),
    JobState.DONE: ("Done", "good"),
    JobState.DONE_WITH_WARNINGS: ("Done, with warnings", "warn"),
    JobState.FAILED: ("Failed", "bad"),
    JobState.CANCELLED: ("Cancelled", "off"),
    JobState.SKIPPED: ("Skipped", "off"),
}
_STAGES = {
    "extract": "Reading the sound",
    "separate": "Separating voices from the rest",
    "transcribe": "Writing down what is said",
    "diarize": "Telling speakers apart",
    "lines": "Putting lines together",
    "voices": "Recognising known voices",
    "correct": "Reading the lines again",
    "references": "Choosing recordings of the voices",
    "analyse": "Understanding the film",
    "translate": "Translating",
    "cast": "Choosing voices",
    "synthesize": "Speaking",
    "mix": "Mixing",
    "publish": "Putting the track beside the video",
    "report": "Writing the report",
}


def state_word(state: str) -> str:
    """Return a job's state for people."""
    return _STATES[JobState(state)][0]


def state_kind(state: str) -> str:
    """Return the colour of a state: good, warn, bad, off or none."""
    return _STATES[JobState(state)][1]


def stage_words(stage: str) -> str:
    """Return what a job does now, e.g. `Speaking Spanish` for `synthesize es`."""
    name, _, code = stage.partition(" ")
    words = _STAGES.get(name, name.replace("_", " ").capitalize())
    return f"{words}: {language(code)}" if code else words or "Starting"


def language(code: str) -> str:
    """Return the English name of a language."""
    if code in ("", "und"):
        return "unknown language"
    try:
        return parse_language(code).name
    except UnknownLanguage:
        return code


def lasting(seconds: float | None) -> str:
    """Return a time span: `45 s`, `12 min`, `2 h 05 min`."""
    if seconds is None:
        return "unknown"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def clock(seconds: float) -> str:
    """Return a place in a film: `1:02:03.4`."""
    minutes, left = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{left:04.1f}" if hours else f"{minutes}:{left:04.1f}"


def ago(at: datetime | None) -> str:
    """Return how long ago something was."""
    if at is None:
        return "never"
    seconds = (datetime.now(UTC) - at).total_seconds()
    if seconds < 60:
        return "just now"
    for length, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {name}{'' if count == 1 else 's'} ago"
    raise AssertionError(seconds)


def size(count: float) -> str:
    """Return bytes: `1.4 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def mib(count: float) -> str:
    """Return MiB of memory: `7.8 GiB`."""
    return f"{count / 1024:.1f} GiB" if count >= 1024 else f"{count:.0f} MiB"


def percent(share: float | None) -> str:
    """Return a share of one: `98 %`."""
    return "unknown" if share is None else f"{share * 100:.0f} %"


def count(number: int, one: str, many: str = "") -> str:
    """Return a number of things: `1 line`, `3,200 lines`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def verdict(result: Any) -> tuple[str, str]:
    """Return what came of a language in words, and their colour."""
    if result.lines is None:
        return state_word(result.state), state_kind(result.state)
    if not result.lines_to_check:
        return f"all {count(result.lines, 'line')} good", "good"
    return f"{result.lines_to_check} of {count(result.lines, 'line')} to check", "warn"


FILTERS = {
    made.__name__: made
    for made in (state_word, state_kind, stage_words, language, lasting, clock, ago, size, mib,
                 percent, count, verdict)
}  # fmt: skip
