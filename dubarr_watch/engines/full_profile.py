"""The engines of the full profile, as the settings choose them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dubarr_watch.engines.base import EngineSpec, Need
from dubarr_watch.engines.catalog.listing import PROVER_MODEL
from dubarr_watch.engines.embedded_languages import embedded_languages
from dubarr_watch.engines.host import usable_threads
from dubarr_watch.engines.needs import DEMUCS_NEED, PYANNOTE_NEED
from dubarr_watch.engines.specs import EngineSpecs
from dubarr_watch.engines.speech_languages import ELEVENLABS_LANGUAGES, OPENAI_SPEECH_LANGUAGES
from dubarr_watch.engines.whisper_sizes import whisper_need
from dubarr_watch.engines.xtts_languages import XTTS_LANGUAGES
from dubarr_watch.gpu.plan import Placement, Plan, StageNeed, Where
from dubarr_watch.settings import LlmBackend, Qa, Settings, TtsModel

_ENGINES = "dubarr_watch.engines"
_CUDA, _ANY_GPU = ("cuda",), ("cuda", "mps")
_LOCAL = f"{_ENGINES}.llm.local:LocalLlmTranslator"
_KINDS = ("separator", "transcriber", "diarizer", "translator", "synthesizer")

XTTS_MIB = 6144
"""Twelve lines of XTTS v2 at a time."""


_PLENTY_MIB = 2**20
"""Room in which a local model takes the slots that it is told, for a plan to look at."""


def full_specs(settings: Settings) -> EngineSpecs:
    """Return the engines of the full profile; nothing is looked for and nothing is loaded."""
    translator, llm = _translator(settings)
    synthesizer, voice, speaks = _synthesizer(settings)
    transcriber = _on_device(
        settings,
        "whisper:WhisperTranscriber",
        {"model": settings.models_dir / f"faster-whisper-{settings.whisper_model}"},
        whisper_need(settings.whisper_model),
    )
    diarizer = _on_device(
        settings,
        "pyannote_diarizer:PyannoteDiarizer",
        {
            "model": settings.models_dir / "speaker-diarization-community-1",
            "min_speakers": settings.min_speakers,
            "max_speakers": settings.max_speakers,
        },
        PYANNOTE_NEED,
    )
    separator = _on_device(
        settings,
        "demucs_separator:DemucsSeparator",
        {"model": settings.models_dir / "htdemucs"},
        DEMUCS_NEED,
    )
    return EngineSpecs(
        transcriber=transcriber,
        diarizer=diarizer,
        translator=translator,
        synthesizer=synthesizer,
        separator=separator,
        diarizer_fallback=_d_vectors(settings) if settings.diarization_fallback else None,
        listener=EngineSpec(f"{_ENGINES}.listener:VoiceListener"),
        understands=True,
        prover=_prover(settings),
        printer=_printer(settings),
        clones=settings.tts_model is TtsModel.XTTS,
        speaks=speaks,
        speech=_SPEECH[settings.tts_model],
        needs=(
            _stage("separator", separator, _ANY_GPU),
            _stage("transcriber", transcriber, _CUDA),
            _stage("diarizer", diarizer, _ANY_GPU),
            llm,
            voice,
        ),
    )


def planned(specs: EngineSpecs, plan: Plan) -> EngineSpecs:
    """Return the engines as a plan places them."""
    changed: dict[str, Any] = {}
    for kind in _KINDS:
        spec, placed = getattr(specs, kind), plan.of(kind)
        if spec is None or placed is None:
            continue
        if spec.target == _LOCAL:
            spec = _with_slots(spec, placed)
        need: Need | None = spec.need
        if need is not None and placed.gpu is not None:
            need = replace(need, gpu=placed.gpu.index if placed.fixed else None)
        elif placed.where is Where.CPU and not placed.why:
            # Not for want of room: no device there is of use to it.
            need = None
        changed[kind] = replace(spec, need=need)
    if not plan.separate:
        changed["separator"] = None
    return replace(specs, side_by_side=plan.side_by_side, **changed)


_SPEECH = {
    TtsModel.XTTS: "XTTS v2",
    TtsModel.OPENAI: "OpenAI's speech",
    TtsModel.ELEVENLABS: "ElevenLabs",
    TtsModel.KOKORO: "Kokoro",
}


def _on_device(
    settings: Settings, target: str, options: Mapping[str, Any], need: Need
) -> EngineSpec:
    return EngineSpec(
        f"{_ENGINES}.{target}", {**options, "threads": usable_threads(settings)}, need=need
    )


def _stage(kind: str, spec: EngineSpec, gpu: tuple[str, ...], *, slot_mib: int = 0) -> StageNeed:
    need = spec.need
    if need is None:
        return StageNeed(kind, spec.target.rpartition(":")[2], gpu=())
    return StageNeed(kind, need.name, need.mib, cpu=need.cpu, gpu=gpu, slot_mib=slot_mib)


def _prover(settings: Settings) -> EngineSpec | None:
    """Return the smallest Whisper that understands what it hears well enough, on the CPU."""
    if settings.qa is Qa.OFF:
        return None
    return EngineSpec(
        f"{_ENGINES}.whisper:WhisperTranscriber",
        {
            "model": settings.models_dir / PROVER_MODEL,
            "threads": usable_threads(settings),
        },
    )


def _d_vectors(settings: Settings) -> EngineSpec:
    return EngineSpec(
        f"{_ENGINES}.dvector:DVectorDiarizer",
        {
            "model": settings.models_dir / "d-vector" / "embedder.int8.onnx",
            "threads": usable_threads(settings),
        },
    )


def _printer(settings: Settings) -> EngineSpec:
    songs = settings.models_dir / "speech-music" / "speech_music_cnn.hdf5"
    options = {**_d_vectors(settings).options, "songs": songs}
    return EngineSpec(f"{_ENGINES}.dvector_prints:DVectorPrinter", options)


def _translator(settings: Settings) -> tuple[EngineSpec, StageNeed]:
    if settings.llm_backend is LlmBackend.LOCAL:
        return _local_translator(settings)
    key = settings.openai_api_key
    options = {
        "api_key": key.get_secret_value() if key else "",
        "base_url": settings.openai_base_url,
        "model": settings.llm_model,
        "slots": settings.llm_slots,
        "usd_in": settings.llm_usd_in,
        "usd_out": settings.llm_usd_out,
    }
    spec = EngineSpec(f"{_ENGINES}.llm.api:ApiTranslator", options, owns_process=True)
    return spec, StageNeed("translator", settings.llm_model, service=True)


def _local_translator(settings: Settings) -> tuple[EngineSpec, StageNeed]:
    """Return the model with one slot, and what each further one takes; a plan gives it more."""
    # Imported where it is used: its client takes 30 MB that a daemon without it can do without.
    from dubarr_watch.engines.llm.local import LocalModel, local_spec

    model = settings.llm_file or settings.models_dir / "gemma-3-12b-it-q4_k_m" / "model.gguf"
    one, two = (
        local_spec(
            LocalModel(model, slots, settings.llm_context, settings.llama_server),
            threads=usable_threads(settings),
            most_mib=_PLENTY_MIB,
            keep_alive_s=settings.keep_alive,
        )
        for slots in (1, 2)
    )
    slot_mib = two.need.mib - one.need.mib if one.need and two.need else 0
    need = _stage("translator", one, _ANY_GPU, slot_mib=slot_mib)
    return one, replace(need, name=f"llm {model.stem if settings.llm_file else 'gemma-3-12b'}")


def _with_slots(spec: EngineSpec, placed: Placement) -> EngineSpec:
    """Return a local model with as many slots as its placement says."""
    from dubarr_watch.engines.llm.local import LocalModel, local_spec

    return local_spec(
        LocalModel(
            spec.options["model"], placed.slots, spec.options["tokens"], spec.options["program"]
        ),
        threads=spec.options["threads"],
        most_mib=_PLENTY_MIB if spec.need else None,
        cpu=spec.need.cpu if spec.need else True,
        keep_alive_s=spec.need.keep_alive_s if spec.need else 0.0,
    )


def _synthesizer(settings: Settings) -> tuple[EngineSpec, StageNeed, frozenset[str] | None]:
    """Return the engine that speaks, what it needs, and which languages it speaks."""
    options: dict[str, Any]
    match settings.tts_model:
        case TtsModel.OPENAI:
            key, url = settings.openai_api_key, settings.openai_base_url
            options = {
                "api_key": key.get_secret_value() if key else "",
                "base_url": url,
                "model": settings.openai_tts_model,
            }
            return _service("openai_speech:OpenAISynthesizer", options, OPENAI_SPEECH_LANGUAGES)
        case TtsModel.ELEVENLABS:
            key = settings.elevenlabs_api_key
            options = {
                "api_key": key.get_secret_value() if key else "",
                "model": settings.elevenlabs_model,
            }
            speaks = ELEVENLABS_LANGUAGES.get(settings.elevenlabs_model)
            return _service("elevenlabs_speech:ElevenLabsSynthesizer", options, speaks)
        case TtsModel.KOKORO:
            spec = _sidecar(settings, "kokoro", {}, None)
            codes = frozenset(one.code for one in embedded_languages())
            return spec, StageNeed("synthesizer", "kokoro", gpu=()), codes
        case TtsModel.XTTS:
            options = {
                "references_dir": settings.work_dir,
                "licence_agreed": settings.coqui_tos_agreed,
            }
            need = Need("xtts v2", XTTS_MIB, keep_alive_s=settings.keep_alive)
            spec = _sidecar(settings, "xtts", options, need)
            return spec, _stage("synthesizer", spec, _ANY_GPU), frozenset(XTTS_LANGUAGES)


def _service(
    target: str, options: Mapping[str, Any], speaks: frozenset[str] | None
) -> tuple[EngineSpec, StageNeed, frozenset[str] | None]:
    spec = EngineSpec(f"{_ENGINES}.{target}", options, owns_process=True)
    return spec, StageNeed("synthesizer", str(options["model"]), service=True), speaks


def _sidecar(
    settings: Settings, engine: str, options: Mapping[str, Any], need: Need | None
) -> EngineSpec:
    return EngineSpec(
        f"{_ENGINES}.sidecar:SidecarSynthesizer",
        {
            "engine": engine,
            "models_dir": settings.models_dir,
            "port": settings.tts_port,
            "threads": usable_threads(settings),
            **options,
        },
        owns_process=True,
        need=need,
    )
