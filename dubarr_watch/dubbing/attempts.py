"""One wording of one line, spoken: in the cast voice if that goes well, else once more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from dubarr_watch.dubbing.aloud import spoken_form
from dubarr_watch.dubbing.casting import fallback_voice
from dubarr_watch.dubbing.fitting import Outcome, Take
from dubarr_watch.dubbing.studio import Part, Studio
from dubarr_watch.engines.base import Voice
from dubarr_watch.errors import SynthesisFailed


def speak(part: Part, text: str, attempt: int, studio: Studio) -> Take | None:
    """Speak a text, and once more in another way when the first take fails or sounds wrong.

    Of two takes that both sound wrong the first is kept: it is the one that was cast for.

    Args:
        part: The line.
        text: What to say.
        attempt: Number of this attempt, counted from 1.
        studio: Where.

    Returns:
        The take, its `attempts` counting all that were made; nothing when there is none.

    Raises:
        JobCancelled: As `studio.cancelled` says.
        EngineError: The engine failed in a way that another voice would not help.
    """
    kept: Take | None = None
    for voice, references in _ways(part, studio):
        number = attempt if kept is None else kept.attempts + 1
        take = _take(part, text, voice, references, number, studio)
        if take is None:
            continue
        if kept is not None:
            return replace(kept, attempts=number) if take.suspect else take
        if not take.suspect:
            return take
        kept = take
    return kept


def _ways(part: Part, studio: Studio) -> Iterator[tuple[Voice, tuple[Path, ...]]]:
    yield part.voice, part.references
    if part.voice.cloned and len(part.references) > 1:
        yield part.voice, part.references[1:]  # it may be the best recording that went wrong
    able = [voice for voice in studio.voices if part.references or not voice.cloned]
    if other := part.fallback or fallback_voice(part.voice, able):
        yield other, part.references


def _take(
    part: Part, text: str, voice: Voice, references: tuple[Path, ...], attempt: int, studio: Studio
) -> Take | None:
    studio.stop_if_cancelled()
    target = studio.folder / f"{part.line.index:05d}-{attempt}.wav"
    try:
        speech = studio.synthesizer.synthesize(
            spoken_form(text, studio.language),
            language=studio.language,
            voice=voice.id,
            speed=1.0,
            target=target,
            references=references if voice.cloned else (),
        )
    except SynthesisFailed:
        return None  # the outcome of the line says so
    outcome = Outcome.OK if attempt == 1 else Outcome.RETRIED
    if voice.id != part.voice.id:
        outcome = Outcome.FALLBACK_VOICE
    index, length_s = part.line.index, speech.duration_s
    return Take(index, target, text, voice.id, length_s, attempt, outcome, speech.suspect)
