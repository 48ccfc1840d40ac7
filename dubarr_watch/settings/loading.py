"""Settings as the program gets them: checked all at once, and the profile that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from dubarr_watch.errors import KeyMissing, SettingsInvalid
from dubarr_watch.settings.choices import LlmBackend, Profile, TtsModel
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


@dataclass(frozen=True, slots=True)
class Missing:
    """A setting that the full profile needs and that is not set.

    Attributes:
        name: The variable.
        advice: What to do about it.
    """

    name: str
    advice: str


def resolve_profile(settings: Settings) -> Profile:
    """Return the profile that runs: full or embedded.

    Raises:
        KeyMissing: PROFILE=full and something that it needs is not set.
    """
    missing = missing_for_full(settings)
    if settings.profile is Profile.AUTO:
        return Profile.EMBEDDED if missing else Profile.FULL
    if settings.profile is Profile.FULL and missing:
        raise KeyMissing(
            f"PROFILE=full needs {in_words([one.name for one in missing])}.",
            hint="\n".join(
                [one.advice for one in missing]
                + ["Or set PROFILE=embedded to dub with small models and no key."]
            ),
        )
    return settings.profile


def missing_for_full(settings: Settings) -> list[Missing]:
    """Return what the full profile, with the engines chosen, needs and does not have."""
    return [Missing(name, advice) for name, advice, is_set in _needs(settings) if not is_set]


def almost_full(settings: Settings) -> list[Missing]:
    """Return what is missing where PROFILE=auto has a part of what full needs, but not all."""
    missing = missing_for_full(settings)
    some = len(missing) < len(_needs(settings))
    return missing if settings.profile is Profile.AUTO and some else []


def in_words(names: Sequence[str]) -> str:
    """Return names as a person lists them: `A`, `A and B`, `A, B and C`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""


def _needs(settings: Settings) -> list[tuple[str, str, bool]]:
    """Return (variable, advice, whether it is set) for each need of the full profile."""
    speech = settings.tts_model
    needs: list[tuple[str, str, bool]] = []
    by_llm, by_speech = settings.llm_backend is LlmBackend.OPENAI, speech is TtsModel.OPENAI
    if by_llm or by_speech:
        other = "set LLM_BACKEND=local to translate on this machine"
        if by_speech:
            other = f"choose another TTS_MODEL{f' and {other}' if by_llm else ''}"
        advice = f"OPENAI_API_KEY: set it to a key of the OpenAI API, or {other}."
        needs.append(("OPENAI_API_KEY", advice, settings.openai_api_key is not None))
    advice = "HF_TOKEN: set it to a token of your Hugging Face account, to tell speakers apart."
    needs.append(("HF_TOKEN", advice, settings.hf_token is not None))
    if speech is TtsModel.ELEVENLABS:
        advice = "ELEVENLABS_API_KEY: set it to your key, or choose another TTS_MODEL."
        needs.append(("ELEVENLABS_API_KEY", advice, settings.elevenlabs_api_key is not None))
    if speech is TtsModel.XTTS:
        advice = (
            "COQUI_TOS_AGREED: set it to true if you accept the Coqui Public Model License of "
            "XTTS v2, which allows no commercial use of the model or of what it speaks; or choose "
            "another TTS_MODEL, such as kokoro."
        )
        needs.append(("COQUI_TOS_AGREED", advice, settings.coqui_tos_agreed))
    return needs


def _plain(error: Any) -> str:
    context = error.get("ctx") or {}
    if error["type"] == "enum":
        return f"must be one of {str(context['expected']).replace(' or ', ', ')}."
    if error["type"] == "value_error":
        return str(context.get("error", error["msg"]))
    return f"{error['msg'][0].lower()}{error['msg'][1:]}."
