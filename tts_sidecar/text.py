"""Cleaning of the text that is to be spoken."""

from __future__ import annotations

import unicodedata

from tts_sidecar.errors import BadRequest, TextTooLong

MAX_TEXT_CHARACTERS = 1000

# Zero-width joiners shape words in Persian and in Indic scripts; other format characters
# (bidirectional marks, soft hyphens) only disturb the phonemizer.
_KEPT_FORMAT_CHARACTERS = frozenset("\u200c\u200d")


def clean_text(text: str) -> str:
    """Return the text in NFC, without control characters, its white space as single spaces.

    Raises:
        TextTooLong: More than `MAX_TEXT_CHARACTERS` are left.
        BadRequest: Nothing is left that could be spoken.
    """
    composed = unicodedata.normalize("NFC", text.encode("utf-8", "ignore").decode("utf-8"))
    cleaned = " ".join("".join(_replace(character) for character in composed).split())
    if len(cleaned) > MAX_TEXT_CHARACTERS:
        raise TextTooLong(
            f"The text has {len(cleaned)} characters; one request may have {MAX_TEXT_CHARACTERS}.",
            hint="Split it at a sentence end and send the parts one by one.",
        )
    if not any(character.isalnum() for character in cleaned):
        raise BadRequest(
            "The text has no letter or digit that could be spoken.",
            hint=f"Send 1 to {MAX_TEXT_CHARACTERS} characters of text.",
        )
    return cleaned


def _replace(character: str) -> str:
    if character.isspace():
        return " "
    category = unicodedata.category(character)
    if category[0] == "C" and character not in _KEPT_FORMAT_CHARACTERS:
        return " " if category == "Cc" else ""
    return character
