"""How a job ended, for people and as JSON."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from dubarr_watch.cli.common import out
from dubarr_watch.dubbing.report import Summary
from dubarr_watch.errors import printable
from dubarr_watch.languages import parse_language
from dubarr_watch.runner import Ended
from dubarr_watch.store.records import JobState
from dubarr_watch.store.store import Store

_COLOURS = {
    JobState.DONE: "green",
    JobState.DONE_WITH_WARNINGS: "yellow",
    JobState.SKIPPED: "yellow",
    JobState.FAILED: "red",
}


def as_json(ended: Ended, store: Store) -> dict[str, object]:
    """Return the public JSON of an ended job; changing a name here breaks its readers."""
    return {
        "job": ended.job.id,
        "state": ended.job.state.value,
        "reason": ended.job.reason,
        "tracks": [
            {"language": track.language, "path": printable(track.path), "kind": track.kind}
            for track in store.jobs.tracks(ended.job.id)
        ],
        "reports": [
            printable(result.report) for result in store.jobs.results(ended.job.id) if result.report
        ],
    }


def show_end(ended: Ended, store: Store) -> None:
    """Print how a job ended, its tracks and the figures of its reports."""
    job = ended.job
    colour = _COLOURS.get(job.state, "white")
    name = escape(printable(job.video.path.name))
    state = job.state.value.replace("_", " ")
    out.print(f"[bold {colour}]{state}[/]  {name}  in {ended.seconds:.0f} s")
    if job.reason:
        out.print(f"  {escape(job.reason)}")
    for track in store.jobs.tracks(job.id):
        language = parse_language(track.language).name
        out.print(f"  {language} {track.kind}: {escape(printable(track.path))}")
    if ended.result:
        for result in ended.result.languages:
            if result.report:
                out.print(summary_table(result.language.name, result.report.summary))
                for note in result.report.summary.notes:
                    out.print(f"  [yellow]Note:[/] {escape(note)}")


def summary_table(title: str, summary: Summary) -> Table:
    """Return a report's summary as a small table."""
    table = Table(title=f"{title}: quality report", title_justify="left", show_header=False)
    rows = {
        "lines": f"{summary.lines}, {summary.within_slot:.0%} within their slot",
        "speed": f"median {summary.speed_p50:.2f}, 95 % up to {summary.speed_p95:.2f}, "
        f"highest {summary.speed_max:.2f}",
        "to check": "nothing" if not summary.lines_to_check else f"{summary.lines_to_check} lines",
        "heard back": "no"
        if summary.wer_median is None
        else f"median word error rate {summary.wer_median:.0%}",
        "overlaps": str(summary.overlaps),
        "speech overlap with the original": f"{summary.speech_iou:.2f}",
        "loudness": f"{summary.loudness_lufs} LUFS, {summary.true_peak_dbtp} dBTP",
        "speakers": summary.speakers_told or str(summary.speakers),
        "time": f"{sum(summary.stage_seconds.values()):.0f} s, "
        f"{summary.real_time_factor:.2f} x the video's length",
        "peak memory": f"{summary.peak_rss_mib} MiB",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table
