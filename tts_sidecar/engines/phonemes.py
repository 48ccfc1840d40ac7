"""Text to the phonemes that Kokoro was trained on.

espeak-ng gives IPA with a tie between the parts of a diphthong or affricate; Kokoro knows most of
those as one symbol of its own. The table is that of misaki, the phonemizer of Kokoro's authors.
"""

from __future__ import annotations

from typing import Any

# Kokoro's language to espeak-ng's name of it. English goes by the voice (American or British).
_ESPEAK_NAMES = {"es": "es", "fr": "fr-fr", "hi": "hi", "it": "it", "pt": "pt-br"}

_COMMON = {
    "a^ɪ": "I",
    "a^ʊ": "W",
    "d^z": "ʣ",
    "d^ʒ": "ʤ",
    "e^ɪ": "A",
    "o^ʊ": "O",
    "s^s": "S",
    "t^s": "ʦ",
    "t^ʃ": "ʧ",
    "ə^ʊ": "Q",
    "ɔ^ɪ": "Y",
}
_ENGLISH = {
    "ʔˌn\u0329": "tᵊn",
    "ʔn\u0329": "tᵊn",
    "ʔn": "tᵊn",
    "ʔ": "t",
    "ə^l": "ᵊl",
    "ɚ": "əɹ",
    "r": "ɹ",
    "x": "k",
    "ç": "k",
    "ɐ": "ə",
    "ɬ": "l",
    "ʲ": "",
    "\u0303": "",
    "n\u0329": "ᵊn",
    "l\u0329": "ᵊl",
    "m\u0329": "ᵊm",
    "\u0329": "",
}
_BRITISH = {"e^ə": "ɛː", "i^ə": "ɪə", "iə": "ɪə"}
_AMERICAN = {"ɜːɹ": "ɜɹ", "ɜː": "ɜɹ", "ɪə": "iə", "ː": ""}

# phonemizer keeps these marks where they stand; quotation marks of other shapes would be read.
_QUOTES = str.maketrans({"«": "“", "»": "”", "„": "“", "‟": "“", "‹": "“", "›": "”"})


class Phonemizer:
    """One espeak-ng instance for each language, made when first needed and kept."""

    def __init__(self) -> None:
        self._backends: dict[str, Any] = {}

    def phonemize(self, text: str, language: str, *, british: bool = False) -> str:
        """Return Kokoro's phonemes of the text, with punctuation and stress marks.

        Args:
            text: One paragraph.
            language: `en`, `es`, `fr`, `hi`, `it` or `pt` (Brazilian).
            british: For `en`: British instead of American sounds.
        """
        name = _ESPEAK_NAMES.get(language) or ("en-gb" if british else "en-us")
        spoken = " ".join(self._backend(name).phonemize([text.translate(_QUOTES)]))
        table = dict(_COMMON)
        if language == "en":
            table = {**_COMMON, **_ENGLISH, **(_BRITISH if british else _AMERICAN)}
        for ipa in sorted(table, key=len, reverse=True):
            spoken = spoken.replace(ipa, table[ipa])
        return " ".join(spoken.replace("^", "").replace("-", "").split())

    def _backend(self, name: str) -> Any:
        if name not in self._backends:
            import espeakng_loader
            from phonemizer.backend import EspeakBackend
            from phonemizer.backend.espeak.wrapper import EspeakWrapper

            EspeakWrapper.set_library(espeakng_loader.get_library_path())
            EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
            # Foreign words make espeak-ng switch language and write a flag such as "(en)" into
            # the phonemes; left there, it would be spoken.
            self._backends[name] = EspeakBackend(
                name,
                preserve_punctuation=True,
                with_stress=True,
                tie="^",
                language_switch="remove-flags",
            )
        return self._backends[name]
