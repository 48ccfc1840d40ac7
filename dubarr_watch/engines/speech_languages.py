"""Languages of speech services, known without asking them."""

from __future__ import annotations

OPENAI_SPEECH_LANGUAGES = frozenset(
    {
        "af", "ar", "az", "be", "bg", "bs", "ca", "cs", "cy", "da", "de", "el", "en", "es", "et",
        "fa", "fi", "fr", "gl", "he", "hi", "hr", "hu", "hy", "id", "is", "it", "ja", "kk", "kn",
        "ko", "lt", "lv", "mi", "mk", "mr", "ms", "ne", "nl", "no", "pl", "pt", "ro", "ru", "sk",
        "sl", "sr", "sv", "sw", "ta", "th", "tl", "tr", "uk", "ur", "vi", "zh",
    }
)  # fmt: skip
"""ISO 639-1 codes of what the text-to-speech guide of the OpenAI API lists."""
