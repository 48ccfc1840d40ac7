"""Every setting, read from the environment and nowhere else.

Order, highest first: the environment variable, the file that `NAME_FILE` points to (Docker
secrets), `CONFIG_DIR/config.env`, the default. Only this package reads the environment.
"""

from __future__ import annotations

from dubarr_watch.settings.choices import (
    Device,
    Executor,
    LlmBackend,
    LogFormat,
    LogLevel,
    LoudnessGoal,
    MixStyle,
    NotifyEvent,
    OutputMode,
    Profile,
    Qa,
    Separation,
    TtsModel,
    WatchMode,
    WhisperModel,
)
from dubarr_watch.settings.example import example_env
from dubarr_watch.settings.loading import (
    Missing,
    almost_full,
    in_words,
    load_settings,
    missing_for_full,
    resolve_profile,
)
from dubarr_watch.settings.model import Settings
from dubarr_watch.settings.shown import ShownSetting, shown_settings
from dubarr_watch.settings.sources import (
    child_environment,
    counts_by_bus,
    visible_devices,
    whole_environment,
)

__all__ = [
    "Device",
    "Executor",
    "LlmBackend",
    "LogFormat",
    "LogLevel",
    "LoudnessGoal",
    "Missing",
    "MixStyle",
    "NotifyEvent",
    "OutputMode",
    "Profile",
    "Qa",
    "Separation",
    "Settings",
    "ShownSetting",
    "TtsModel",
    "WatchMode",
    "WhisperModel",
    "almost_full",
    "child_environment",
    "counts_by_bus",
    "example_env",
    "in_words",
    "load_settings",
    "missing_for_full",
    "resolve_profile",
    "shown_settings",
    "visible_devices",
    "whole_environment",
]
