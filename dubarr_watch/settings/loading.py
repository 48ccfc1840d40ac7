"""Settings as the program gets them: checked all at once, and the profile that follows."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from dubarr_watch.errors import KeyMissing, SettingsInvalid
from dubarr_watch.settings.choices import Profile
from dubarr_watch.settings.model import Settings
from dubarr_watch.settings.sources import config_env_problem


def load_settings(**overrides: Any) -> Settings:
    """Read and check every setting.

    Args:
        **overrides: Values by field name that win over the environment (command-line options).

    Raises:
        SettingsInvalid: One line for each wrong variable, all of them at once.
    """
    problem = config_env_problem()
    lines = [f"CONFIG_DIR/config.env: cannot be read: {problem}."] if problem else []
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        # The input value is left out: it may be a secret.
        lines += [f"{str(e['loc'][0]).upper()}: {_plain(e)}" for e in error.errors()]
    if lines:
        raise SettingsInvalid("\n".join(dict.fromkeys(lines)))
    return settings


def resolve_profile(settings: Settings) -> Profile:
    """Return the profile that runs: full or embedded.

    Raises:
        KeyMissing: PROFILE=full and a key that it needs is not set.
    """
    needs = {"OPENAI_API_KEY": settings.openai_api_key, "HF_TOKEN": settings.hf_token}
    missing = [name for name, value in needs.items() if value is None]
    if settings.profile is Profile.AUTO:
        return Profile.EMBEDDED if missing else Profile.FULL
    if settings.profile is Profile.FULL and missing:
        raise KeyMissing(
            f"PROFILE=full needs {' and '.join(missing)}.",
            hint=f"Set {' and '.join(missing)}, or set PROFILE=embedded to dub with small models "
            "and no key.",
        )
    return settings.profile


def _plain(error: Any) -> str:
    context = error.get("ctx") or {}
    if error["type"] == "enum":
        return f"must be one of {str(context['expected']).replace(' or ', ', ')}."
    if error["type"] == "value_error":
        return str(context.get("error", error["msg"]))
    return f"{error['msg'][0].lower()}{error['msg'][1:]}."
