"""Settings of the full profile: its engines, and the memory that they share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode

from dubarr_watch.settings.choices import (
    Device,
    LlmBackend,
    Separation,
    TtsModel,
    WhisperModel,
)

ENGINE_KINDS = ("transcriber", "diarizer", "separator", "translator", "synthesizer")


class FullProfileSettings(BaseSettings):
    """What the full profile needs beside what every profile does."""

    openai_api_key: SecretStr | None = Field(
        None,
        description="key for the OpenAI API; the full profile needs it where it uses that",
    )
    openai_base_url: str | None = Field(
        None, description="address of another service with the OpenAI API; unset: OpenAI's own"
    )
    hf_token: SecretStr | None = Field(
        None, description="Hugging Face token; the full profile needs it"
    )
    llm_backend: LlmBackend = Field(
        LlmBackend.OPENAI,
        description="openai, or local: a llama.cpp server on this machine, which needs no key",
    )
    llm_model: str = Field("gpt-6-luna", description="model that translates, with openai")
    llm_file: Path | None = Field(
        None, description="GGUF file of the local model; unset: Gemma 3 12B, pulled"
    )
    llama_server: Path | None = Field(
        None, description="llama.cpp's server for the local model; unset: the one on PATH, if any"
    )
    llm_slots: int = Field(
        0, ge=0, le=64, description="requests to the model at a time; 0: as many as there is room"
    )
    llm_context: int = Field(
        8192, ge=1024, le=1048576, description="tokens of context that local slots share"
    )
    llm_usd_in: float = Field(0, ge=0, description="price of a million tokens sent, for the report")
    llm_usd_out: float = Field(
        0, ge=0, description="price of a million tokens received, for the report"
    )
    tts_model: TtsModel = Field(
        TtsModel.XTTS, description="xtts, openai, elevenlabs or kokoro; embedded always uses kokoro"
    )
    coqui_tos_agreed: bool = Field(
        False, description="true: you accept the non-commercial licence of XTTS v2 (CPML)"
    )
    openai_tts_model: str = Field(
        "gpt-4o-mini-tts",
        description="model of TTS_MODEL=openai; OpenAI itself ends this one on 2027-01-06",
    )
    elevenlabs_api_key: SecretStr | None = Field(
        None, description="key for ElevenLabs; TTS_MODEL=elevenlabs needs it"
    )
    elevenlabs_model: str = Field(
        "eleven_multilingual_v2", description="model of TTS_MODEL=elevenlabs"
    )
    whisper_model: WhisperModel = Field(
        WhisperModel.MEDIUM,
        description="tiny, base, small, medium or large-v3; embedded always uses base",
    )
    min_speakers: int = Field(
        0, ge=0, le=100, description="speakers there are at least in a video; 0: unknown"
    )
    max_speakers: int = Field(
        0, ge=0, le=100, description="speakers there are at most in a video; 0: unknown"
    )
    diarization_fallback: bool = Field(
        False, description="true: tell speakers apart with a small model when pyannote cannot"
    )
    separation: Separation = Field(
        Separation.AUTO,
        description="auto (with a GPU), always or never take the voices out of the original",
    )

    device: Device | None = Field(
        None, description="cuda, cpu or mps; detected when unset; embedded always uses cpu"
    )
    gpu_tts: int = Field(
        0,
        ge=0,
        description="index of the GPU that speaks, as nvidia-smi counts; unset: the smallest "
        "that is large enough",
    )
    cpu_fallback: bool = Field(
        True, description="run an engine on the CPU when no GPU is large enough; false: fail"
    )
    cpu_slots: int = Field(1, ge=1, le=64, description="engines that compute on the CPU at a time")
    engine_mib: Annotated[dict[str, int], NoDecode] = Field(
        {},
        description="GPU memory of engines, e.g. translator=10000,synthesizer=4000; unset: learned",
    )
    gpu_margin_mib: int = Field(
        512, ge=0, le=65536, description="MiB of each GPU that are never handed out"
    )
    keep_alive: float = Field(
        300,
        ge=0,
        le=86400,
        description="seconds that an idle translator or voice of a job stays loaded",
    )
    lease_dir: Path | None = Field(
        None, description="folder that daemons on one GPU share; unset: MODELS_DIR/leases"
    )
    jobs: int = Field(
        0, ge=0, le=16, description="jobs worked on at a time; 0: two with a GPU, else one"
    )

    @field_validator("max_speakers")
    @classmethod
    def _not_below_the_least(cls, value: int, info: ValidationInfo) -> int:
        least = info.data.get("min_speakers", 0)
        if value and value < least:
            raise ValueError(f"is smaller than MIN_SPEAKERS={least}")
        return value

    @field_validator("engine_mib", mode="before")
    @classmethod
    def _engine_mib(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        found: dict[str, int] = {}
        for pair in filter(None, (part.strip() for part in value.split(","))):
            kind, _, mib = (part.strip() for part in pair.partition("="))
            if kind not in ENGINE_KINDS or not mib.isdecimal():
                raise ValueError(
                    f"'{pair}' is no engine and MiB; engines are {', '.join(ENGINE_KINDS)}"
                )
            found[kind] = int(mib)
        return found
