"""Which engines a profile has, and what decides what they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dubarr_watch.engines.base import EngineSpec
from dubarr_watch.engines.embedded_languages import embedded_language
from dubarr_watch.gpu.plan import StageNeed
from dubarr_watch.languages import Language, parse_language
from dubarr_watch.settings import in_words

_NO_MATTER = frozenset(
    {"api_key", "device", "licence_agreed", "patience", "port", "program",
     "references_dir", "slots", "threads", "tokens", "usd_in", "usd_out"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class EngineSpecs:
    """One engine for each seam.

    Attributes:
        transcriber: Speech to text.
        diarizer: Who speaks.
        translator: Text to text.
        synthesizer: Text to speech.
        separator: Voices apart from the rest; without one the original is ducked as it is.
        diarizer_fallback: What tells speakers apart when `diarizer` cannot, where that is allowed.
        listener: Hears where there is voice in a finished dub; without one the transcriber does.
        prover: Hears takes back, so that they can be compared with their text; without one nobody
            does. It computes on the CPU: the memory of GPUs belongs to the voice by then.
        printer: Says what a voice sounds like: whose a line is, who was heard in another episode,
            and how like the original a cloned voice is; without one nobody does.
        embedded: Whether these are the small models, which know some languages badly.
        understands: Whether the translator can make something of a whole film.
        clones: Whether the synthesizer takes voices from recordings.
        side_by_side: Whether translator and synthesizer run at a time.
        speaks: ISO 639-1 codes of what the synthesizer speaks; None when it is asked.
        speech: What the synthesizer is called.
        needs: What each engine needs of a device, in the order of the stages.
    """

    transcriber: EngineSpec
    diarizer: EngineSpec
    translator: EngineSpec
    synthesizer: EngineSpec
    separator: EngineSpec | None = None
    diarizer_fallback: EngineSpec | None = None
    listener: EngineSpec | None = None
    prover: EngineSpec | None = None
    printer: EngineSpec | None = None
    embedded: bool = False
    understands: bool = False
    clones: bool = False
    side_by_side: bool = False
    speaks: frozenset[str] | None = None
    speech: str = ""
    needs: tuple[StageNeed, ...] = ()

    @property
    def languages_together(self) -> bool:
        """Whether one language of a job may be translated while another is spoken.

        Small models share one processor: there it would only take more memory.
        """
        return self.side_by_side and not self.embedded

    def refusal(self, language: Language) -> str:
        """Say why a language cannot be dubbed into; empty when it can."""
        if self.embedded:
            known = embedded_language(language.code) is not None
            return (
                "" if known else f"No voice speaks {language.name}. See `dubarr-watch languages`."
            )
        if self.speaks is None or language.code in self.speaks:
            return ""
        names = sorted(parse_language(code).name for code in self.speaks)
        return f"{self.speech} does not speak {language.name}. It speaks {in_words(names)}."


def made_by(spec: EngineSpec) -> tuple[str, dict[str, Any]]:
    """Return what decides what an engine makes: not where it runs, nor on whose account."""
    return spec.target, {k: v for k, v in spec.options.items() if k not in _NO_MATTER}
