"""Languages of speech services, known without asking them."""

from __future__ import annotations

from collections.abc import Mapping

OPENAI_SPEECH_LANGUAGES = frozenset(
    {
        "af", "ar", "az", "be", "bg", "bs", "ca", "cs", "cy", "da", "de", "el", "en", "es", "et",
        "fa", "fi", "fr", "gl", "he", "hi", "hr", "hu", "hy", "id", "is", "it", "ja", "kk", "kn",
        "ko", "lt", "lv", "mi", "mk", "mr", "ms", "ne", "nl", "no", "pl", "pt", "ro", "ru", "sk",
        "sl", "sr", "sv", "sw", "ta", "th", "tl", "tr", "uk", "ur", "vi", "zh",
    }
)  # fmt: skip
"""ISO 639-1 codes of what the text-to-speech guide of the OpenAI API lists."""

_MULTILINGUAL_V2 = frozenset(
    {
        "ar", "bg", "cs", "da", "de", "el", "en", "es", "fi", "fil", "fr", "hi", "hr", "id", "it",
        "ja", "ko", "ms", "nl", "pl", "pt", "ro", "ru", "sk", "sv", "ta", "tl", "tr", "uk", "zh",
    }
)  # fmt: skip
_V2_5 = _MULTILINGUAL_V2 | {"hu", "no", "vi"}
_V3 = _V2_5 | {
    "af", "as", "az", "be", "bn", "bs", "ca", "ceb", "cy", "et", "fa", "ga", "gl", "gu", "ha", "he",
    "hy", "is", "jv", "ka", "kk", "kn", "ky", "lb", "ln", "lt", "lv", "mk", "ml", "mr", "ne", "ny",
    "pa", "ps", "sd", "sl", "so", "sr", "sw", "te", "th", "ur",
}  # fmt: skip
_ENGLISH = frozenset({"en"})

ELEVENLABS_LANGUAGES: Mapping[str, frozenset[str]] = {
    "eleven_v3": _V3,
    "eleven_multilingual_v2": _MULTILINGUAL_V2,
    "eleven_flash_v2_5": _V2_5,
    "eleven_turbo_v2_5": _V2_5,
    "eleven_flash_v2": _ENGLISH,
    "eleven_turbo_v2": _ENGLISH,
}
"""ISO 639-1 codes (639-3 where there is none) by model, of ElevenLabs' page of models and its help
page on Eleven v3; its Filipino is Tagalog too. What is not listed is asked of the service.
"""
