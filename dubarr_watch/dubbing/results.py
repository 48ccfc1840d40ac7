"""How a job ends: the sum of how its languages ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dubarr_watch.dubbing.report import Report
from dubarr_watch.languages import Language
from dubarr_watch.store.records import JobState


@dataclass(frozen=True, slots=True)
class PublishedTrack:
    """A file that was put beside the video, or the video that a track was put into.

    Attributes:
        language: What it is spoken in.
        path: The file.
        kind: `sidecar`, `mux` or `subtitles`.
    """

    language: Language
    path: Path
    kind: str


@dataclass(frozen=True, slots=True)
class LanguageResult:
    """How one language of a job ended.

    Attributes:
        language: Which.
        state: An end.
        reason: Plain words; empty when all is well.
        tracks: What was published.
        report: The quality report, when there is a track.
        report_path: Where it was written.
    """

    language: Language
    state: JobState
    reason: str = ""
    tracks: tuple[PublishedTrack, ...] = ()
    report: Report | None = None
    report_path: Path | None = None


@dataclass(frozen=True, slots=True)
class JobResult:
    """How a whole job ended."""

    state: JobState
    reason: str
    languages: tuple[LanguageResult, ...]


# The worst wins, except that a language that was not needed does not spoil the others.
_ORDER = (
    JobState.FAILED,
    JobState.DONE_WITH_WARNINGS,
    JobState.DONE,
    JobState.SKIPPED,
)


def job_result(results: Sequence[LanguageResult]) -> JobResult:
    """Add the languages of a job up."""
    states = {result.state for result in results}
    state = next(state for state in _ORDER if state in states)
    reasons: dict[str, list[str]] = {}
    for result in results:
        if result.reason:
            reasons.setdefault(result.reason, []).append(result.language.name)
    if len(results) == 1 or (
        len(reasons) == 1 and len(results) == len(next(iter(reasons.values())))
    ):
        return JobResult(state, next(iter(reasons), ""), tuple(results))
    told = [f"{', '.join(names)}: {_sentence(reason)}" for reason, names in reasons.items()]
    # Beside a failure it is worth saying what went well.
    dubbed = [one.language.name for one in results if one.tracks and not one.reason]
    if state is JobState.FAILED and dubbed:
        told.append(f"{', '.join(dubbed)}: dubbed.")
    return JobResult(state, " ".join(told), tuple(results))


def _sentence(reason: str) -> str:
    return reason if reason.endswith((".", "!", "?")) else f"{reason}."
