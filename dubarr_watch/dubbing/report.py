"""The quality report of one job and language: what was done to each line, and how it adds up.

The names in the JSON are public: changing one breaks its readers.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from dubarr_watch.dubbing.fit_planner import EARLY_S, LATE_S
from dubarr_watch.dubbing.fitting import WITHIN_S, Outcome
from dubarr_watch.dubbing.levels import Loudness
from dubarr_watch.dubbing.speaker_report import NOBODY, SpeakerReport, Speakers
from dubarr_watch.dubbing.speaking import FittedTake, Part
from dubarr_watch.dubbing.usage import Spent
from dubarr_watch.engines.base import Span, Usage
from dubarr_watch.errors import printable
from dubarr_watch.storage import write_atomically


@dataclass(frozen=True, slots=True)
class LineReport:
    """One line; see the names in README."""

    index: int
    start_s: float
    end_s: float
    placed_s: float
    slot_s: float
    take_s: float
    speed: float
    attempts: int
    speaker: int
    source_text: str
    text: str
    outcome: str
    wer: float | None = None
    heard: str = ""
    similarity: float | None = None
    check: bool = False
    why: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of a whole track.

    Attributes:
        lines: How many there are.
        within_slot: Share of the lines that are spoken whole within their slot and 50 ms; what is
            silent or cut short is not, and songs do not count.
        speed_p50: Median speed of the takes.
        speed_p95: 95th percentile.
        speed_max: Highest.
        overlaps: Takes that start while another one is still heard, and not only while their
            originals were heard together too.
        speech_iou: Voice activity of original and dub: intersection over union.
        loudness_lufs: Integrated loudness of the track (ITU-R BS.1770).
        true_peak_dbtp: Its true peak.
        speakers: How many were told apart.
        stage_seconds: Time each stage took.
        real_time_factor: Time of all stages by length of the video.
        peak_rss_mib: Highest memory of all processes together.
        notes: What a listener should know, e.g. that a voice sounds robotic.
        llm: What the language model has cost, all runs together: `requests`, `retries`,
            `tokens_in`, `tokens_out`, `tokens_per_s` and `usd`; nothing when none was counted.
        speech_chars: Characters given to the voice, all attempts together.
        wer_median: Median word error rate of the takes; nothing when nobody listened.
        lines_to_check: Lines that are silent, cut short or not heard as written.
        starts_within: Share of the takes that start no more than 45 ms before and 125 ms after
            the original.
        takes_per_line: Takes made, by lines that have one.
        depth_lu: Loudness of the dub over that of what lies under it, where it speaks; nothing
            when nothing lies there.
        overlaps_kept: Takes that are heard together with another one as their originals were.
        speakers_sure: How sure it is that these are the speakers, 0 to 1; nothing when nobody
            listened for that.
        speakers_told: That in plain words, with what is doubtful.
        cast: Each speaker and the voice they have.
    """

    lines: int
    within_slot: float
    speed_p50: float
    speed_p95: float
    speed_max: float
    overlaps: int
    speech_iou: float
    loudness_lufs: float | None
    true_peak_dbtp: float | None
    speakers: int
    stage_seconds: dict[str, float]
    real_time_factor: float
    peak_rss_mib: int
    notes: list[str] = field(default_factory=list)
    llm: dict[str, float] | None = None
    speech_chars: int = 0
    wer_median: float | None = None
    lines_to_check: int = 0
    starts_within: float = 1.0
    takes_per_line: float = 0.0
    depth_lu: float | None = None
    overlaps_kept: int = 0
    speakers_sure: float | None = None
    speakers_told: str = ""
    cast: list[SpeakerReport] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Report:
    """Everything about one track."""

    job: int
    video: str
    language: str
    state: str
    lines: list[LineReport]
    summary: Summary

    def as_dict(self) -> dict[str, object]:
        """Return the report as JSON-ready values."""
        return asdict(self)

    def kept_summary(self) -> str:
        """Return what the database keeps of it: the summary, and how many lines ended how."""
        outcomes = Counter(str(line.outcome) for line in self.lines)
        return json.dumps(asdict(self.summary) | {"outcomes": outcomes})

    def write(self, path: Path) -> None:
        """Write the report as JSON, whole or not at all.

        Raises:
            DiskFull: There is no space.
        """
        text = json.dumps(self.as_dict(), ensure_ascii=False, indent=1)
        write_atomically(path, text.encode("utf-8", "backslashreplace"))


@dataclass(frozen=True, slots=True)
class Costs:
    """What a track took.

    Attributes:
        stage_seconds: By stage name.
        duration_s: Length of the video.
        peak_rss_mib: Highest memory of all processes together.
        spent: What engines have cost.
    """

    stage_seconds: dict[str, float]
    duration_s: float
    peak_rss_mib: int
    spent: Spent = field(default_factory=Spent)


_EDGE_S = 0.002
"""What rounding to milliseconds may make of two times that are equal."""

_TO_CHECK = (Outcome.SILENT, Outcome.TRIMMED, Outcome.MISSPOKEN)


def line_reports(parts: Sequence[Part], fitted: Sequence[FittedTake]) -> list[LineReport]:
    """Return what happened to each line."""
    return [
        LineReport(
            index=part.line.index,
            start_s=part.line.start_s,
            end_s=part.line.end_s,
            placed_s=round(done.placed_s, 3),
            slot_s=round(part.slot.duration_s, 3),
            take_s=round(done.fit.duration_s, 3),
            speed=done.fit.speed,
            attempts=done.take.attempts if done.take else 0,
            speaker=part.line.speaker,
            source_text=part.line.text,
            text=done.take.text if done.take else part.text,
            outcome=done.outcome.value,
            wer=done.proof.wer if done.proof else None,
            heard=done.proof.heard if done.proof else "",
            similarity=done.similarity,
            check=done.outcome in _TO_CHECK and not part.joined,
            why=list(done.fit.why),
        )
        for part, done in zip(parts, fitted, strict=True)
    ]


def summarize(
    lines: Sequence[LineReport],
    *,
    original: Sequence[Span],
    dub: Sequence[Span],
    loudness: Loudness | None,
    costs: Costs,
    notes: Sequence[str] = (),
    depth_lu: float | None = None,
    speakers: Speakers = NOBODY,
) -> Summary:
    """Add the lines up.

    Args:
        lines: As from `line_reports`.
        original: Voice activity of the original.
        dub: Voice activity of the dub alone.
        loudness: Of the finished track; nothing when there is none.
        costs: See `Costs`.
        notes: What a listener should know.
        depth_lu: Loudness of the dub over that of what lies under it.
        speakers: As from `speakers_heard`.
    """
    spoken = [line for line in lines if line.outcome != Outcome.SONG]
    heard = [line for line in spoken if line.outcome != Outcome.SILENT]
    speeds = [line.speed for line in heard] or [1.0]
    whole = [line for line in heard if line.outcome != Outcome.TRIMMED]
    within = [line for line in whole if line.take_s <= line.slot_s + WITHIN_S]
    total_s = sum(costs.stage_seconds.values())
    errors = [line.wer for line in heard if line.wer is not None]
    overlaps, overlaps_kept = count_overlaps(heard)
    return Summary(
        lines=len(lines),
        within_slot=round(len(within) / len(spoken), 4) if spoken else 1.0,
        speed_p50=round(float(np.percentile(speeds, 50)), 3),
        speed_p95=round(float(np.percentile(speeds, 95)), 3),
        speed_max=round(max(speeds), 3),
        overlaps=overlaps,
        overlaps_kept=overlaps_kept,
        speech_iou=round(intersection_over_union(original, dub), 4),
        loudness_lufs=loudness.integrated_lufs if loudness else None,
        true_peak_dbtp=loudness.true_peak_dbtp if loudness else None,
        speakers=len({line.speaker for line in lines}),
        stage_seconds={name: round(seconds, 2) for name, seconds in costs.stage_seconds.items()},
        real_time_factor=round(total_s / costs.duration_s, 3) if costs.duration_s else 0.0,
        peak_rss_mib=costs.peak_rss_mib,
        notes=list(notes),
        llm=_llm(costs.spent.words),
        speech_chars=costs.spent.speech_chars,
        wer_median=round(float(np.median(errors)), 3) if errors else None,
        lines_to_check=sum(line.check for line in lines),
        starts_within=round(sum(map(_starts_within, heard)) / len(heard), 4) if heard else 1.0,
        takes_per_line=_takes_per_line(lines),
        depth_lu=depth_lu,
        speakers_sure=speakers.sure,
        speakers_told=speakers.told,
        cast=speakers.cast,
    )


def _starts_within(line: LineReport) -> bool:
    return -EARLY_S - 1e-3 <= line.placed_s - line.start_s <= LATE_S + 1e-3


def _takes_per_line(lines: Sequence[LineReport]) -> float:
    spoken = [line.attempts for line in lines if line.attempts]
    return round(sum(spoken) / len(spoken), 3) if spoken else 0.0


def _llm(used: Usage) -> dict[str, float] | None:
    if not used.requests:
        return None
    return {
        "requests": used.requests,
        "retries": used.retries,
        "tokens_in": used.tokens_in,
        "tokens_out": used.tokens_out,
        "tokens_per_s": round(used.tokens_per_s, 1),
        "usd": round(used.usd, 4),
    }


def count_overlaps(lines: Sequence[LineReport]) -> tuple[int, int]:
    """Return how many takes start before all before them have ended: wrongly, and as in the film.

    Speakers who talked at the same time may do so in the dub, for no longer than they did.
    """
    wrong = kept = 0
    still: list[LineReport] = []
    for line in sorted(lines, key=lambda line: line.placed_s):
        still = [one for one in still if one.placed_s + one.take_s > line.placed_s + _EDGE_S]
        wrong += any(not _together(one, line) for one in still)
        kept += bool(still) and all(_together(one, line) for one in still)
        still.append(line)
    return wrong, kept


def _together(line: LineReport, later: LineReport) -> bool:
    """Tell whether two takes are heard at the same time only while their originals were."""
    ends_s = min(line.placed_s + line.take_s, later.placed_s + later.take_s)
    return (
        line.speaker != later.speaker
        and later.placed_s >= max(line.start_s, later.start_s) - _EDGE_S
        and ends_s <= min(line.end_s, later.end_s) + _EDGE_S
    )


def intersection_over_union(first: Sequence[Span], second: Sequence[Span]) -> float:
    """Return how much two sets of disjoint, ordered spans coincide: 0 to 1, 1 when both empty."""
    together_s, i, j = 0.0, 0, 0
    while i < len(first) and j < len(second):
        a, b = first[i], second[j]
        together_s += max(0.0, min(a.end_s, b.end_s) - max(a.start_s, b.start_s))
        if a.end_s <= b.end_s:
            i += 1
        else:
            j += 1
    either_s = sum(s.duration_s for s in (*first, *second)) - together_s
    return together_s / either_s if either_s > 0 else 1.0


def report_path(folder: Path, job: int, language: str) -> Path:
    """Return where the report of a job and language is kept."""
    return folder / f"{printable(f'{job}.{language}')}.json"
