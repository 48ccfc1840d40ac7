"""Wordings into fitted takes: synthesis, shorter wordings where needed, a last touch of speed.

Each take is a checkpoint: a job that is interrupted here goes on with the first line that has no
take yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dubarr_watch.dubbing.fitting import Fit, Outcome, Take, fit
from dubarr_watch.dubbing.proof import Proof, prove
from dubarr_watch.dubbing.recording import record_lines
from dubarr_watch.dubbing.studio import Part, Studio, TakeKeeper
from dubarr_watch.media import input_arguments, output_name, run_ffmpeg

__all__ = ["FittedTake", "Part", "Studio", "TakeKeeper", "fit_takes", "speak_lines"]


@dataclass(frozen=True, slots=True)
class FittedTake:
    """A take as it will be heard; without a path when the line stays silent.

    Attributes:
        take: What was synthesized, or nothing.
        path: Mono WAV file at its final speed, or nothing.
        placed_s: Where it starts.
        fit: What was done to it.
        outcome: How the line ended.
        proof: What was heard in the take, where somebody listened.
    """

    take: Take | None
    path: Path | None
    placed_s: float
    fit: Fit
    outcome: Outcome
    proof: Proof | None = None


def speak_lines(parts: Sequence[Part], studio: Studio) -> list[FittedTake]:
    """Return a fitted take for each line, in order.

    Raises:
        JobCancelled: As `studio.cancelled` says.
        EngineCrashed: The speech process cannot be kept alive.
    """
    studio.folder.mkdir(parents=True, exist_ok=True)
    takes: Mapping[int, Take] = record_lines(parts, studio)
    if studio.listener is None:
        return fit_takes(parts, takes, studio)
    proven = prove(parts, takes, studio, studio.listener)
    return fit_takes(parts, proven.takes, studio, proven.proofs)


def fit_takes(
    parts: Sequence[Part],
    takes: Mapping[int, Take],
    studio: Studio,
    proofs: Mapping[int, Proof] | None = None,
) -> list[FittedTake]:
    """Return each line's take as it will be heard, in order; nothing is synthesized.

    Args:
        parts: The lines.
        takes: A take for each line that has one, by index.
        studio: Where; only its folder, its limits and `cancelled` matter.
        proofs: What was heard in takes, by index.
    """
    known = proofs or {}
    fitted = (_fitted(part, takes.get(part.line.index), studio) for part in parts)
    return [
        _proven(done, known.get(part.line.index)) for part, done in zip(parts, fitted, strict=True)
    ]


def _proven(done: FittedTake, proof: Proof | None) -> FittedTake:
    wrong = proof is not None and proof.wrong and done.path is not None
    trimmed = done.outcome is Outcome.TRIMMED
    outcome = Outcome.MISSPOKEN if wrong and not trimmed else done.outcome
    return replace(done, outcome=outcome, proof=proof)


def _fitted(part: Part, take: Take | None, studio: Studio) -> FittedTake:
    studio.stop_if_cancelled()
    placed_s = part.slot.start_s
    if take is None or part.slot.duration_s <= 0:
        return FittedTake(take, None, placed_s, Fit(1.0, 0.0, trimmed=False), Outcome.SILENT)
    change = fit(take.duration_s, part.slot.duration_s, studio.max_speedup)
    path = take.path
    if change.speed > 1.0:
        path = take.path.with_name(f"{take.path.stem}-fit.wav")
        _change_speed(take.path, path, change.speed)
    outcome = Outcome.TRIMMED if change.trimmed else take.outcome
    return FittedTake(take, path, placed_s, change, outcome)


def _change_speed(source: Path, target: Path, speed: float) -> None:
    """Write a take at another speed and the same pitch (waveform similarity overlap-add)."""
    run_ffmpeg(
        [*input_arguments(source), "-af", f"atempo={speed:.4f}", "-f", "wav", output_name(target)],
        path=source,
    )
