"""The voices that people keep: from one video to the next, in each language and of each engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from dubarr_watch.dubbing.casting import Speaker, cast_voices
from dubarr_watch.dubbing.pins import Pin, Recognised
from dubarr_watch.engines.base import Voice
from dubarr_watch.store.store import Store


def cast_people(
    store: Store,
    language: str,
    speakers: Sequence[Speaker],
    voices: Sequence[Voice],
    *,
    cloneable: Collection[int] = (),
    recognised: Recognised,
    keep: bool = True,
) -> dict[int, Voice]:
    """Return a voice for each speaker number: whoever has one in this language keeps it.

    What a cast file asks for comes first, and is not kept: without it everything is as before.

    A voice that is not offered any more (of another engine, say) is kept for when it is again.
    Voices that others of the series have are taken last.

    Args:
        store: Who has which voice; new ones are kept.
        language: ISO 639-1 code.
        speakers: As from `find_speakers`.
        voices: What the synthesizer offers, not empty.
        cloneable: Numbers of those of whom there are clean recordings.
        recognised: Who the speakers are.
        keep: Whether new voices are kept; else they are only foreseen.
    """
    offered = {(voice.engine, voice.id): voice for voice in voices}
    person_of = {one.speaker: one.person for one in recognised.people if one.person is not None}
    speaker_of = {person: speaker for speaker, person in person_of.items()}
    with store.transaction():
        kept = pinned_voices(language, voices, recognised.pins, cloneable)
        pinned = set(kept)
        have: set[int] = set()
        elsewhere: Counter[str] = Counter()
        known = {*person_of.values(), *recognised.around}
        for casting in store.people.castings(known, language):
            voice = offered.get((casting.engine, casting.voice))
            speaker = speaker_of.get(casting.person_id)
            if speaker is None:
                elsewhere[casting.voice] += 1
            elif voice is not None:
                have.add(casting.person_id)
                if not voice.cloned or speaker in cloneable:
                    kept.setdefault(speaker, voice)
        cast = cast_voices(speakers, voices, cloneable, kept=kept, elsewhere=elsewhere)
        new = {
            person: (cast[speaker].engine, cast[speaker].id)
            for speaker, person in person_of.items()
            if speaker in cast and speaker not in pinned and person not in have
        }
        if new and keep:
            store.people.cast(language, new)
    return cast


def pinned_voices(
    language: str, voices: Sequence[Voice], pins: Sequence[Pin], cloneable: Collection[int]
) -> dict[int, Voice]:
    """Return the voices that a cast file asks for, as far as there are such."""
    found = {}
    for pin in pins:
        wanted = pin.voice(language)
        fitting = [
            voice
            for voice in voices
            if (voice.cloned if pin.reference is not None else voice.id == wanted)
            and (not voice.cloned or pin.speaker in cloneable)
        ]
        if fitting:
            found[pin.speaker] = max(fitting, key=lambda voice: voice.quality)
    return found
