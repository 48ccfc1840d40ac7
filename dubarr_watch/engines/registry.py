"""Chooses the engines of a profile."""

from __future__ import annotations

from dubarr_watch.engines.base import EngineSpec
from dubarr_watch.engines.full_profile import full_specs, planned
from dubarr_watch.engines.host import usable_threads
from dubarr_watch.engines.specs import EngineSpecs, made_by
from dubarr_watch.settings import Profile, Settings

__all__ = ["EngineSpecs", "made_by", "planned", "specs_for"]

_ENGINES = "dubarr_watch.engines"


def specs_for(profile: Profile, settings: Settings) -> EngineSpecs:
    """Return the engines of a resolved profile; MOCK_MODE replaces them all by fakes.

    Those of the full profile go where a plan puts them with `planned`.
    """
    if settings.mock_mode:
        return _mock(full=profile is Profile.FULL)
    return full_specs(settings) if profile is Profile.FULL else _embedded(settings)


def _mock(*, full: bool) -> EngineSpecs:
    separator = EngineSpec(f"{_ENGINES}.fakes:FakeSeparator") if full else None
    return EngineSpecs(
        transcriber=EngineSpec(f"{_ENGINES}.fakes:FakeTranscriber"),
        diarizer=EngineSpec(f"{_ENGINES}.fakes:FakeDiarizer"),
        translator=EngineSpec(f"{_ENGINES}.fakes:FakeTranslator"),
        synthesizer=EngineSpec(f"{_ENGINES}.fakes:FakeSynthesizer"),
        separator=separator,
        printer=EngineSpec(f"{_ENGINES}.fake_printer:FakePrinter"),
        understands=full,
    )


def _embedded(settings: Settings) -> EngineSpecs:
    """Return small models on the CPU; nothing in them touches the network."""
    models, threads = settings.models_dir, usable_threads(settings)
    transcriber = EngineSpec(
        f"{_ENGINES}.whisper:WhisperTranscriber",
        {"model": models / "faster-whisper-base", "threads": threads},
    )
    songs = models / "speech-music" / "speech_music_cnn.hdf5"
    voices = {"model": models / "d-vector" / "embedder.int8.onnx", "threads": threads}
    return EngineSpecs(
        transcriber=transcriber,
        diarizer=EngineSpec(f"{_ENGINES}.dvector:DVectorDiarizer", voices),
        printer=EngineSpec(f"{_ENGINES}.dvector_prints:DVectorPrinter", {**voices, "songs": songs}),
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
        prover=transcriber,
        embedded=True,
    )
