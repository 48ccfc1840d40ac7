"""Settings as a person may see them: each with its value and where that comes from, no secrets."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr
from pydantic_settings import DotEnvSettingsSource

from dubarr_watch.settings.example import as_written
from dubarr_watch.settings.model import Settings
from dubarr_watch.settings.sources import config_env, config_env_problem

HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class ShownSetting:
    """One setting.

    Attributes:
        name: The variable.
        value: As it would be written; `***` for a secret that is set.
        default: What it is when nobody sets it.
        source: `environment`, `file` (NAME_FILE), `config.env` or `default`.
        meaning: One line of help.
        secret: Whether its value is hidden.
    """

    name: str
    value: str
    default: str
    source: str
    meaning: str
    secret: bool


def shown_settings(settings: Settings) -> list[ShownSetting]:
    """Return every setting in the order of config.example.env's rooms."""
    below = _config_env()
    return [
        _shown(settings, name, field, "config.env" if name in below else "default")
        for name, field in Settings.model_fields.items()
    ]


def _shown(settings: Settings, name: str, field: Any, otherwise: str) -> ShownSetting:
    value = getattr(settings, name)
    secret = isinstance(value, SecretStr) or "SecretStr" in str(field.annotation)
    upper = name.upper()
    source = otherwise
    if any(os.environ.get(one) for one in (upper, name)):
        source = "environment"
    elif os.environ.get(f"{upper}_FILE"):
        source = "file"
    written = HIDDEN if secret and value is not None else as_written(value)
    return ShownSetting(
        name=upper,
        value=settings.without_secrets(written),
        default=HIDDEN if secret and field.default is not None else as_written(field.default),
        source=source,
        meaning=str(field.description),
        secret=secret,
    )


def _config_env() -> set[str]:
    if config_env_problem():
        return set()
    source = DotEnvSettingsSource(Settings, env_file=config_env(), env_ignore_empty=True)
    return {name.lower() for name, value in source.env_vars.items() if value}
