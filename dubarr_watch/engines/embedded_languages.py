"""Which languages the embedded profile speaks and translates well, and which it does not.

Speech: Kokoro has trained voices for six languages; espeak-ng speaks the others, understandable but
robotic. Translation: the small language model is fair at the widespread Romance languages and at
English (of eleven everyday lines from Spanish and German it missed three, the idioms among them),
and weak at everything else (wrong words, odd grammar, lines left out).
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from enum import StrEnum

from dubarr_watch.languages import parse_language


class SpeechEngine(StrEnum):
    """Who speaks a language."""

    KOKORO = "kokoro"
    ESPEAK = "espeak"


class Translation(StrEnum):
    """How good translations into a language are."""

    FAIR = "fair"
    WEAK = "weak"


@dataclass(frozen=True, slots=True)
class EmbeddedLanguage:
    """One language as a target of the embedded profile.

    Attributes:
        code: ISO 639-1, or 639-3 where there is no such.
        name: English name.
        speech: Who speaks it.
        translation: How good translations into it are.
    """

    code: str
    name: str
    speech: SpeechEngine
    translation: Translation

    @property
    def well(self) -> bool:
        """Whether a dub sounds natural and mostly says the right thing."""
        return self.speech is SpeechEngine.KOKORO and self.translation is Translation.FAIR


_KOKORO = ("en", "es", "fr", "hi", "it", "pt")
_FAIR = ("en", "es", "fr", "it", "pt")
_OTHERS = """
    af am an ar as az ba be bg bn bs ca cs cy da de el eo et eu fa fi ga gd gn gu haw he hr ht hu
    hy id is ka kk kl kn ko kok ku ky la lb lt lv mi mk ml mr ms mt my nb ne nl no nog om or pa pap
    pl ro ru sd shn si sk sl smj sq sr sv sw ta te th tk tn tr tt ug uk ur uz vi yue zh
"""
_ESPEAK = tuple(_OTHERS.split())


def embedded_languages() -> list[EmbeddedLanguage]:
    """Return every language that can be spoken: the good ones first, then by name."""
    found = [_language(code) for code in (*_KOKORO, *_ESPEAK)]
    return sorted(found, key=lambda one: (not one.well, one.speech != "kokoro", one.name))


def embedded_language(code: str) -> EmbeddedLanguage | None:
    """Return what the embedded profile makes of a language; nothing when none here speaks it."""
    return _language(code) if code in _KOKORO or code in _ESPEAK else None


def language_note(code: str) -> str:
    """Return what a listener should know before dubbing into a language; empty when it is good."""
    known = embedded_language(code)
    if known is None:
        return "no engine here speaks it, so nothing can be dubbed into it"
    notes = []
    if known.translation is Translation.WEAK:
        notes.append("the small translation model is weak in it")
    if known.speech is SpeechEngine.ESPEAK:
        notes.append("its voices come from espeak-ng and sound robotic")
    return "; ".join(notes)


def describe_languages() -> str:
    """Return which languages are good and which are not, in a few lines for a person."""
    known = embedded_languages()
    well = [_named(one) for one in known if one.well]
    half = [_named(one) for one in known if not one.well and one.speech is SpeechEngine.KOKORO]
    rest = [one.code for one in known if one.speech is SpeechEngine.ESPEAK]
    return "\n".join(
        (
            "The embedded profile (no key, no GPU) dubs",
            f"  well into:   {', '.join(well)}",
            f"  poorly into: {', '.join(half)} (natural voices, but weak translation)",
            "  poorly into: German (de), Polish (pl) and others (weak translation, robotic voice):",
            *_wrapped(rest),
            "  not into:    Japanese (ja) and whatever is not listed",
        )
    )


def _language(code: str) -> EmbeddedLanguage:
    speech = SpeechEngine.KOKORO if code in _KOKORO else SpeechEngine.ESPEAK
    translation = Translation.FAIR if code in _FAIR else Translation.WEAK
    return EmbeddedLanguage(code, parse_language(code).name, speech, translation)


def _named(language: EmbeddedLanguage) -> str:
    return f"{language.name} ({language.code})"


def _wrapped(codes: list[str], width: int = 80) -> list[str]:
    return textwrap.wrap(
        " ".join(sorted(codes)), width, initial_indent=" " * 15, subsequent_indent=" " * 15
    )
