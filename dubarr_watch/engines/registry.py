"""Chooses the engines of a profile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dubarr_watch.engines.base import EngineSpec
from dubarr_watch.engines.embedded_languages import embedded_language
from dubarr_watch.engines.host import usable_threads
from dubarr_watch.errors import SettingsInvalid
from dubarr_watch.languages import Language, parse_language
from dubarr_watch.settings import Profile, Settings, in_words

_ENGINES = "dubarr_watch.engines"
_NO_MATTER = {"api_key", "slots", "port", "threads", "device", "references_dir", "licence_agreed"}


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
        embedded: Whether these are the small models, which know some languages badly.
        understands: Whether the translator can make something of a whole film.
        clones: Whether the synthesizer takes voices from recordings.
        side_by_side: Whether translator and synthesizer run at a time.
        speaks: ISO 639-1 codes of what the synthesizer speaks; None when it is asked.
        speech: What the synthesizer is called.
    """

    transcriber: EngineSpec
    diarizer: EngineSpec
    translator: EngineSpec
    synthesizer: EngineSpec
    separator: EngineSpec | None = None
    diarizer_fallback: EngineSpec | None = None
    listener: EngineSpec | None = None
    embedded: bool = False
    understands: bool = False
    clones: bool = False
    side_by_side: bool = False
    speaks: frozenset[str] | None = None
    speech: str = ""

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


def specs_for(profile: Profile, settings: Settings) -> EngineSpecs:
    """Return the engines of a resolved profile; MOCK_MODE replaces them all by fakes.

    Raises:
        SettingsInvalid: This version has no engines for the profile.
    """
    if settings.mock_mode:
        return _mock()
    if profile is Profile.EMBEDDED:
        return _embedded(settings)
    why = " It was chosen because OPENAI_API_KEY and HF_TOKEN are set."
    raise SettingsInvalid(
        f"PROFILE={settings.profile}: this version has no engines for the {profile} profile yet."
        f"{why if settings.profile is Profile.AUTO else ''}",
        hint="Set PROFILE=embedded to dub with small models, which need no key.",
    )


def made_by(spec: EngineSpec) -> tuple[str, dict[str, Any]]:
    """Return what decides what an engine makes: not where it runs, nor on whose account."""
    return spec.target, {k: v for k, v in spec.options.items() if k not in _NO_MATTER}


def _mock() -> EngineSpecs:
    return EngineSpecs(
        transcriber=EngineSpec(f"{_ENGINES}.fakes:FakeTranscriber"),
        diarizer=EngineSpec(f"{_ENGINES}.fakes:FakeDiarizer"),
        translator=EngineSpec(f"{_ENGINES}.fakes:FakeTranslator"),
        synthesizer=EngineSpec(f"{_ENGINES}.fakes:FakeSynthesizer"),
    )


def _embedded(settings: Settings) -> EngineSpecs:
    """Return small models on the CPU; nothing in them touches the network."""
    models, threads = settings.models_dir, usable_threads(settings)
    return EngineSpecs(
        transcriber=EngineSpec(
            f"{_ENGINES}.whisper:WhisperTranscriber",
            {"model": models / "faster-whisper-base", "threads": threads},
        ),
        diarizer=EngineSpec(
            f"{_ENGINES}.dvector:DVectorDiarizer",
            {"model": models / "d-vector" / "embedder.int8.onnx", "threads": threads},
        ),
        translator=EngineSpec(
            f"{_ENGINES}.llama:LlamaTranslator",
            {
                "model": models / "qwen2.5-coder-1.5b-instruct-q4_k_m" / "model.gguf",
                "threads": threads,
            },
        ),
        synthesizer=EngineSpec(
            f"{_ENGINES}.sidecar:SidecarSynthesizer",
            {
                "engine": "kokoro",
                "models_dir": models,
                "port": settings.tts_port,
                "threads": threads,
            },
            owns_process=True,
        ),
        embedded=True,
    )
