"""The languages that XTTS v2 speaks, known without loading it."""

from __future__ import annotations

XTTS_LANGUAGES = (
    *("ar", "cs", "de", "en", "es", "fr", "hi", "hu", "it"),
    *("ja", "ko", "nl", "pl", "pt", "ru", "tr", "zh"),
)
"""ISO 639-1 codes in order; the published model's `languages`, where Chinese is `zh-cn`."""
