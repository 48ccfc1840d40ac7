"""Lines, their wording and the cast become what each line needs to be spoken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dubarr_watch.dubbing.casting import Speaker, stand_ins
from dubarr_watch.dubbing.dub import Understood
from dubarr_watch.dubbing.references import borrowed_from, references_of
from dubarr_watch.dubbing.studio import Part
from dubarr_watch.dubbing.translation import Origin, TranslatedLine
from dubarr_watch.engines.base import Span, Voice


def make_parts(
    known: Understood,
    speakers: Sequence[Speaker],
    cast: Mapping[int, Voice],
    voices: Sequence[Voice],
    wording: Sequence[TranslatedLine],
    slots: Sequence[Span],
) -> list[Part]:
    """Return what each line needs.

    Args:
        known: The original.
        speakers: As from `find_speakers`.
        cast: The voice of each speaker number.
        voices: What the synthesizer offers.
        wording: What is said, line by line.
        slots: The time that each line may fill.
    """
    instead = stand_ins(speakers, voices, cast)
    lent = borrowed_from(speakers, known.references)
    return [
        Part(
            line,
            said.text,
            slot,
            voice := cast[line.speaker],
            references=references_of(line, known.references, lent) if voice.cloned else (),
            fallback=instead.get(line.speaker) if voice.cloned else None,
            joined=said.origin is Origin.JOINED,
            song=said.origin is Origin.SONG,
            others=said.others,
        )
        for line, said, slot in zip(known.lines, wording, slots, strict=True)
    ]
