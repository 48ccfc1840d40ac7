"""Wordings into fitted takes: synthesis, shorter wordings where needed, a last touch of speed.

Each take is a checkpoint: a job that is interrupted here goes on with the first line that has no
take yet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from dubarr_watch.dubbing.casting import fallback_voice
from dubarr_watch.dubbing.fitting import Fit, Outcome, Take, fit, fitting_chars, overlong
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.dubbing.wording_checks import looks_wrong
from dubarr_watch.engines.base import (
    Progress,
    ShortenRequest,
    Span,
    Synthesizer,
    Translator,
    Voice,
    no_progress,
)
from dubarr_watch.errors import JobCancelled, SynthesisFailed
from dubarr_watch.media import input_arguments, output_name, run_ffmpeg


class TakeKeeper(Protocol):
    """Where takes are remembered between runs."""

    def load(self, index: int, key: str) -> tuple[Take, bool] | None:
        """Return a line's take and whether it is settled, if made from the same key."""
        ...

    def save(self, key: str, take: Take, *, settled: bool) -> None:
        """Remember a take; `settled` when no other wording is to be tried."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """What one line needs to be spoken.

    Attributes:
        line: The original line.
        text: Its wording; empty when there is none.
        slot: The time it may fill.
        voice: Who says it.
    """

    line: Line
    text: str
    slot: Span
    voice: Voice

    @property
    def key(self) -> str:
        """Content key of the take."""
        made_from = f"{self.text}\0{self.voice.engine}\0{self.voice.id}\0{self.slot.duration_s:.3f}"
        return hashlib.sha256(made_from.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class FittedTake:
    """A take as it will be heard; without a path when the line stays silent.

    Attributes:
        take: What was synthesized, or nothing.
        path: Mono WAV file at its final speed, or nothing.
        placed_s: Where it starts.
        fit: What was done to it.
        outcome: How the line ended.
    """

    take: Take | None
    path: Path | None
    placed_s: float
    fit: Fit
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Studio:
    """What speaking needs from around it.

    Attributes:
        language: ISO 639-1 code.
        folder: Where WAV files go; its name carries job and language.
        voices: Every voice of the language, to fall back on.
        synthesizer: The engine that speaks.
        translator: Gives the engine that finds shorter wordings; called only when needed.
        keeper: See `TakeKeeper`.
        max_speedup: MAX_SPEEDUP.
        cancelled: Whether to stop.
        progress: Called with (seconds of lines done, seconds of all lines).
    """

    language: str
    folder: Path
    voices: Sequence[Voice]
    synthesizer: Synthesizer
    translator: Callable[[], Translator]
    keeper: TakeKeeper
    max_speedup: float
    cancelled: Callable[[], bool] = lambda: False
    progress: Progress = no_progress


def speak_lines(parts: Sequence[Part], studio: Studio) -> list[FittedTake]:
    """Return a fitted take for each line, in order.

    Raises:
        JobCancelled: As `studio.cancelled` says.
        EngineCrashed: The speech process cannot be kept alive.
    """
    studio.folder.mkdir(parents=True, exist_ok=True)
    takes, settled = _first_takes(parts, studio)
    too_long = [
        part
        for part in parts
        if (take := takes.get(part.line.index)) is not None
        and part.line.index not in settled
        and overlong(take.duration_s, part.slot.duration_s)
    ]
    if too_long:
        takes |= _shorter_takes(too_long, takes, studio)
    return [_fitted(part, takes.get(part.line.index), studio) for part in parts]


def _first_takes(parts: Sequence[Part], studio: Studio) -> tuple[dict[int, Take], set[int]]:
    total_s = sum(part.line.duration_s for part in parts)
    done_s = 0.0
    takes: dict[int, Take] = {}
    settled: set[int] = set()
    for part in parts:
        _stop_if(studio)
        index = part.line.index
        if kept := studio.keeper.load(index, part.key):
            takes[index] = kept[0]
            if kept[1]:
                settled.add(index)
        elif _can_be_heard(part) and (take := _synthesize(part, part.text, 1, studio)):
            takes[index] = take
            studio.keeper.save(part.key, take, settled=False)
        done_s += part.line.duration_s
        studio.progress(done_s, total_s)
    return takes, settled


def _can_be_heard(part: Part) -> bool:
    return bool(part.text) and part.slot.duration_s > 0


def _shorter_takes(
    parts: Sequence[Part], takes: Mapping[int, Take], studio: Studio
) -> dict[int, Take]:
    """Try a shorter wording for some lines; keep it only where its audio is shorter."""
    requests = [
        ShortenRequest(
            id=part.line.index,
            source_text=part.line.text,
            text=part.text,
            max_chars=fitting_chars(
                part.text, takes[part.line.index].duration_s, part.slot.duration_s
            ),
        )
        for part in parts
    ]
    shorter = studio.translator().shorten(studio.language, requests)
    better: dict[int, Take] = {}
    for part in parts:
        _stop_if(studio)
        kept = takes[part.line.index]
        text = " ".join(shorter.get(part.line.index, "").split())
        if text and text != part.text and not looks_wrong(part.line.text, text, len(part.text)):
            attempt = _synthesize(part, text, kept.attempts + 1, studio)
            kept = replace(kept, attempts=kept.attempts + 1)
            if attempt and attempt.duration_s < kept.duration_s:
                kept = attempt
        better[part.line.index] = kept
        studio.keeper.save(part.key, kept, settled=True)
    return better


def _synthesize(part: Part, text: str, attempt: int, studio: Studio) -> Take | None:
    """Speak a text in the cast voice, else in another one; nothing when both fail."""
    candidates = [part.voice]
    if other := fallback_voice(part.voice, studio.voices):
        candidates.append(other)
    for voice in candidates:
        target = studio.folder / f"{part.line.index:05d}-{attempt}.wav"
        try:
            speech = studio.synthesizer.synthesize(
                text, language=studio.language, voice=voice.id, speed=1.0, target=target
            )
        except SynthesisFailed:
            continue  # the outcome of the line says so
        outcome = Outcome.OK if attempt == 1 else Outcome.RETRIED
        if voice.id != part.voice.id:
            outcome = Outcome.FALLBACK_VOICE
        return Take(part.line.index, target, text, voice.id, speech.duration_s, attempt, outcome)
    return None


def _fitted(part: Part, take: Take | None, studio: Studio) -> FittedTake:
    _stop_if(studio)
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


def _stop_if(studio: Studio) -> None:
    if studio.cancelled():
        raise JobCancelled("Cancelled.")
