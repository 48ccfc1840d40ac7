"""Chooses the engines of a profile."""

from __future__ import annotations

from dataclasses import dataclass

from dubarr_watch.engines.base import EngineSpec
from dubarr_watch.engines.host import usable_threads
from dubarr_watch.errors import SettingsInvalid
from dubarr_watch.settings import Profile, Settings

_ENGINES = "dubarr_watch.engines"


@dataclass(frozen=True, slots=True)
class EngineSpecs:
    """One engine for each seam.

    Attributes:
        transcriber: Speech to text.
        diarizer: Who speaks.
        translator: Text to text.
        synthesizer: Text to speech.
        separator: Voices apart from the rest; without one the original is ducked as it is.
        embedded: Whether these are the small models, which know some languages badly.
    """

    transcriber: EngineSpec
    diarizer: EngineSpec
    translator: EngineSpec
    synthesizer: EngineSpec
    separator: EngineSpec | None = None
    embedded: bool = False


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
