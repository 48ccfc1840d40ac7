"""What a translator is asked and what it knows of a film: text, never sound."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SourceText:
    """One piece of text to translate, whole sentences wherever possible.

    Attributes:
        id: Unique in its batch; comes back with the translation.
        text: In the source language.
        speaker: Who says it.
        max_chars: Character budget of the translation, from the time it may take to say.
    """

    id: int
    text: str
    speaker: int
    max_chars: int


@dataclass(frozen=True, slots=True)
class TranslationRequest:
    """A batch of texts to translate together.

    Attributes:
        source: ISO 639-1 code.
        target: ISO 639-1 code.
        texts: What to translate.
        before: Source texts just before the batch, as context, oldest first.
    """

    source: str
    target: str
    texts: tuple[SourceText, ...]
    before: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ShortenRequest:
    """A translation whose speech does not fit.

    Attributes:
        id: Unique in its batch.
        source_text: What the original says.
        text: The translation that is too long.
        max_chars: What would fit.
    """

    id: int
    source_text: str
    text: str
    max_chars: int
