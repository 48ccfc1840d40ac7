"""Further takes of a line, each made in another way than the ones before."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import soundfile

from dubarr_watch.dubbing.aloud import spoken_form
from dubarr_watch.dubbing.casting import fallback_voice
from dubarr_watch.dubbing.fitting import Outcome, Take
from dubarr_watch.dubbing.studio import Part, Studio
from dubarr_watch.engines.base import Voice
from dubarr_watch.errors import SynthesisFailed

_CLAUSE = re.compile(r"(?<=[.!?…;:,。！？；，、—])\s*")
_SHORTEST_CLAUSE = 8
_BETWEEN_CLAUSES_S = 0.12
_OTHER_RATES = (0.94, 1.06)
"""Speeds of the voice at which it stumbles elsewhere; nobody hears them as slow or hurried."""


def retake(part: Part, before: Take, number: int, studio: Studio) -> Take | None:
    """Speak a line again in another way; nothing when the engine refuses.

    The first time another recording of the speaker is taken, where the voice is cloned and there
    is one, else the text is split where it has clauses, else the rate is another. The second time
    another voice speaks, where there is one.

    Args:
        part: The line.
        before: Its take so far; the new one says the same text.
        number: How many were made anew before, 0 or 1.
        studio: Where.

    Raises:
        EngineError: The engine failed in a way that another take would not help.
    """
    studio.stop_if_cancelled()
    voice = next((one for one in studio.voices if one.id == before.voice), part.voice)
    references = part.references
    pieces = [before.text]
    speed = 1.0
    outcome = Outcome.FALLBACK_VOICE if voice.id != part.voice.id else Outcome.RETRIED
    if number > 0 and (other := part.fallback or fallback_voice(part.voice, studio.voices)):
        voice, outcome = other, Outcome.FALLBACK_VOICE
    elif voice.cloned and len(references) > 1:
        references = references[1:]
    elif len(clauses := split_at_clauses(before.text)) > 1:
        pieces = clauses
    else:
        fits = before.duration_s / _OTHER_RATES[0] <= part.slot.duration_s
        speed = _OTHER_RATES[0 if fits else 1]
    target = studio.folder / f"{part.line.index:05d}-again{number + 1}.wav"
    try:
        length_s = _speak(pieces, target, voice, speed, references, studio)
    except SynthesisFailed:
        return None  # the take before stays
    return Take(
        part.line.index, target, before.text, voice.id, length_s, before.attempts + 1, outcome
    )


def split_at_clauses(text: str) -> list[str]:
    """Return a text in two halves, cut at the mark nearest to its middle; whole without one."""
    cuts = [found.end() for found in _CLAUSE.finditer(text)]
    cuts = [cut for cut in cuts if _SHORTEST_CLAUSE <= cut <= len(text) - _SHORTEST_CLAUSE]
    if not cuts:
        return [text]
    best = min(cuts, key=lambda cut: abs(cut - len(text) / 2))
    return [text[:best].strip(), text[best:].strip()]


def _speak(
    pieces: list[str],
    target: Path,
    voice: Voice,
    speed: float,
    references: tuple[Path, ...],
    studio: Studio,
) -> float:
    """Speak pieces into one file and return its length."""
    if len(pieces) == 1:
        return _say(pieces[0], target, voice, speed, references, studio)
    files = [target.with_name(f"{target.stem}-{n}.wav") for n in range(len(pieces))]
    for text, file in zip(pieces, files, strict=True):
        _say(text, file, voice, speed, references, studio)
    found = [soundfile.read(file, dtype="int16") for file in files]
    rate = found[0][1]
    pause = np.zeros(round(_BETWEEN_CLAUSES_S * rate), dtype=np.int16)
    joined = np.concatenate([part for samples, _ in found for part in (samples, pause)][:-1])
    soundfile.write(target, joined, rate, subtype="PCM_16", format="WAV")
    for file in files:
        file.unlink()
    return len(joined) / float(rate)


def _say(
    text: str,
    target: Path,
    voice: Voice,
    speed: float,
    references: tuple[Path, ...],
    studio: Studio,
) -> float:
    return studio.synthesizer.synthesize(
        spoken_form(text, studio.language),
        language=studio.language,
        voice=voice.id,
        speed=speed,
        target=target,
        references=references if voice.cloned else (),
    ).duration_s
