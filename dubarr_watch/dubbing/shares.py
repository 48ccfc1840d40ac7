"""How much of a language is done when one of its stages is; for progress only."""

from __future__ import annotations

from collections.abc import Callable

from dubarr_watch.engines.base import Progress

STAGE_SHARES = {"analyse": 0.05, "translate": 0.3, "cast": 0.01, "synthesize": 0.54, "mix": 0.04,
                "publish": 0.02, "report": 0.04}  # fmt: skip
"""Share of a language's time that each stage takes; for progress only."""

StageReport = Callable[[str, float], None]
"""Called with (stage, share of the language done)."""


def stage_progress(stage: str, report: StageReport) -> Progress:
    """Return a callback that turns a stage's progress into a language's."""
    before = share_before(stage)

    def progress(done: float, total: float) -> None:
        report(stage, before + STAGE_SHARES[stage] * (done / total if total > 0 else 0.0))

    progress(0, 1)
    return progress


def share_before(stage: str) -> float:
    """Return how much of a language is done when a stage begins."""
    names = list(STAGE_SHARES)
    return sum(STAGE_SHARES[name] for name in names[: names.index(stage)])
