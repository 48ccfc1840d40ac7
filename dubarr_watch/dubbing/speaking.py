"""Wordings into fitted takes: synthesis, other wordings where needed, then as the plan says.

Each take is a checkpoint: a job that is interrupted here goes on with the first line that has no
take yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dubarr_watch.dubbing.fit_planner import EARLY_S, GUARD_S, FitLine, FitPlan, plan_in_slots
from dubarr_watch.dubbing.fitting import Fit, Outcome, Take
from dubarr_watch.dubbing.hearing_ahead import hearing_ahead
from dubarr_watch.dubbing.proof import Proof, prove
from dubarr_watch.dubbing.recording import record_lines
from dubarr_watch.dubbing.similarity import similarities
from dubarr_watch.dubbing.studio import Part, Studio, TakeKeeper
from dubarr_watch.dubbing.take_audio import take_shape, write_changed

__all__ = ["FittedTake", "Part", "Studio", "TakeKeeper", "fit_again", "fit_takes", "speak_lines"]


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
        similarity: Of a cloned voice: how like the original speaker it is, 0 to 1.
    """

    take: Take | None
    path: Path | None
    placed_s: float
    fit: Fit
    outcome: Outcome
    proof: Proof | None = None
    similarity: float | None = None

    @property
    def end_s(self) -> float:
        """When it ends; never, where it is not heard."""
        return self.placed_s + self.fit.duration_s if self.path else float("-inf")


def speak_lines(parts: Sequence[Part], studio: Studio) -> list[FittedTake]:
    """Return a fitted take for each line, in order.

    Raises:
        JobCancelled: As `studio.cancelled` says.
        EngineCrashed: The speech process cannot be kept alive.
    """
    studio.folder.mkdir(parents=True, exist_ok=True)
    with hearing_ahead(studio) as at_work:
        takes: Mapping[int, Take] = record_lines(parts, at_work)
    proofs: Mapping[int, Proof] = {}
    if studio.listener is not None:
        proven = prove(parts, takes, studio, studio.listener)
        takes, proofs = proven.takes, proven.proofs
    fitted = fit_takes(parts, takes, studio, proofs)
    if studio.printer is None:
        return fitted
    alike = similarities(parts, takes, studio.printer)
    return [
        replace(done, similarity=alike.get(part.line.index))
        for part, done in zip(parts, fitted, strict=True)
    ]


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
    fitted: list[FittedTake] = []
    free_from_s = 0.0
    for part in parts:
        take = takes.get(part.line.index)
        plan = _plan(part, take, free_from_s, studio)
        done = _proven(_fitted(part, take, plan, studio), known.get(part.line.index))
        free_from_s = max(free_from_s, done.end_s + GUARD_S)
        fitted.append(done)
    return fitted


def fit_again(
    parts: Sequence[Part],
    before: Sequence[FittedTake],
    place: int,
    take: Take,
    studio: Studio,
    proof: Proof | None = None,
) -> list[FittedTake]:
    """Return all lines as they will be heard with another take of one of them.

    What lines after it had borrowed of its time, or it of theirs, is planned again; the others
    stay as they are.

    Args:
        parts: The lines, in order of start.
        before: What each of them got.
        place: Which of them has another take.
        take: That take.
        studio: Where; its folder gets the files of what changes.
        proof: What was heard in the take.
    """
    fitted = [*before]
    reach_s = before[place].end_s
    free_from_s = max([0.0, *(done.end_s + GUARD_S for done in before[:place])])
    for i, part in enumerate(parts[place:], start=place):
        own, heard = (take, proof) if i == place else (before[i].take, before[i].proof)
        if i > place and part.slot.start_s - EARLY_S - GUARD_S >= reach_s:
            break
        plan = _plan(part, own, free_from_s, studio)
        if i == place or (plan.start_s, _change(plan)) != (before[i].placed_s, before[i].fit):
            done = _proven(_fitted(part, own, plan, studio), heard)
            alike = before[i].similarity if i > place else None
            fitted[i] = replace(done, similarity=alike)
            reach_s = max(reach_s, before[i].end_s, done.end_s)
        free_from_s = max(free_from_s, fitted[i].end_s + GUARD_S)
    return fitted


def _plan(part: Part, take: Take | None, free_from_s: float, studio: Studio) -> FitPlan:
    """Plan one take; it is only listened to for its pauses where it is too long."""
    line = _fit_line(part, take)
    (plan,) = plan_in_slots([line], [part.slot], studio.max_speedup, free_from_s)
    if take is None or plan.wanted_s is None:
        return plan
    studio.stop_if_cancelled()
    shape = take_shape(take.path, take.text)
    line = replace(line, pauses=shape.pauses, word_ends_s=shape.word_ends_s)
    return plan_in_slots([line], [part.slot], studio.max_speedup, free_from_s)[0]


def _proven(done: FittedTake, proof: Proof | None) -> FittedTake:
    wrong = proof is not None and proof.wrong and done.path is not None
    trimmed = done.outcome is Outcome.TRIMMED
    outcome = Outcome.MISSPOKEN if wrong and not trimmed else done.outcome
    return replace(done, outcome=outcome, proof=proof)


def _fit_line(part: Part, take: Take | None) -> FitLine:
    length_s = take.duration_s if take else 0.0
    return FitLine(part.line.start_s, part.line.end_s, length_s, lane=part.line.speaker)


def _fitted(part: Part, take: Take | None, plan: FitPlan, studio: Studio) -> FittedTake:
    studio.stop_if_cancelled()
    change = _change(plan)
    if take is None or plan.duration_s <= 0:
        outcome = Outcome.SONG if part.song else Outcome.SILENT
        return FittedTake(take, None, plan.start_s, change, outcome)
    path = take.path
    if plan.speed != 1.0 or plan.cuts:
        path = studio.folder / f"{take.path.stem}-fit.wav"
        write_changed(take.path, path, plan.cuts, plan.speed)
    outcome = Outcome.TRIMMED if change.trimmed else take.outcome
    return FittedTake(take, path, plan.start_s, change, outcome)


def _change(plan: FitPlan) -> Fit:
    why = tuple(one.value for one in plan.why)
    return Fit(plan.speed, plan.duration_s, plan.trimmed, plan.cut_s, why)
