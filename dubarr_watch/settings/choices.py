"""The words that settings choose between."""

from __future__ import annotations

from enum import StrEnum


class Profile(StrEnum):
    """Which engines run."""

    AUTO = "auto"
    FULL = "full"
    EMBEDDED = "embedded"


class TtsModel(StrEnum):
    """Speech engine of the full profile; the embedded profile always uses Kokoro."""

    XTTS = "xtts"
    OPENAI = "openai"
    ELEVENLABS = "elevenlabs"
    KOKORO = "kokoro"


class WhisperModel(StrEnum):
    """Whisper size of the full profile; the embedded profile always uses base."""

    TINY = "tiny"
    BASE = "base"
    SMALL = "small"
    MEDIUM = "medium"
    LARGE_V3 = "large-v3"


class LlmBackend(StrEnum):
    """Where the language model of the full profile runs."""

    OPENAI = "openai"
    LOCAL = "local"


class Separation(StrEnum):
    """Whether voices are taken out of the original before a dub is laid over it."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class Device(StrEnum):
    """Computation device."""

    CUDA = "cuda"
    CPU = "cpu"
    MPS = "mps"


class Executor(StrEnum):
    """Where engines run: on this machine, or on the workers of a Dask cluster."""

    LOCAL = "local"
    DASK = "dask"


class OutputMode(StrEnum):
    """Where a finished track goes: beside the video, into it, or both."""

    SIDECAR = "sidecar"
    MUX = "mux"
    BOTH = "both"


class WatchMode(StrEnum):
    """How the library is watched."""

    AUTO = "auto"
    EVENTS = "events"
    POLL = "poll"


class NotifyEvent(StrEnum):
    """What a push message can be about."""

    DONE = "done"
    DONE_WITH_WARNINGS = "done_with_warnings"
    FAILED = "failed"
    PAUSED = "paused"
    WORKER_LOST = "worker_lost"


class MixStyle(StrEnum):
    """What is left of the original's voices under a dub."""

    DUB = "dub"
    VOICEOVER = "voiceover"


class LoudnessGoal(StrEnum):
    """How loud a track becomes: EBU R 128's -23 LUFS, or as loud as the original track."""

    R128 = "r128"
    MATCH = "match"


class Qa(StrEnum):
    """Whether takes are transcribed back and compared with their text."""

    AUTO = "auto"
    OFF = "off"


class LogLevel(StrEnum):
    """The least severe events that are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How log lines are written; auto is console on a terminal and JSON elsewhere."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"
