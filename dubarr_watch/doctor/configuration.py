"""Settings, profile, keys and languages."""

from __future__ import annotations

import difflib

from dotenv import dotenv_values
from pydantic import SecretStr

from dubarr_watch.doctor.result import CheckResult, failed, ok, skipped, warning
from dubarr_watch.engines.embedded_languages import embedded_language, language_note
from dubarr_watch.engines.full_packages import require_full_packages
from dubarr_watch.engines.registry import specs_for
from dubarr_watch.errors import printable
from dubarr_watch.settings import (
    Profile,
    Settings,
    almost_full,
    in_words,
    missing_for_full,
    resolve_profile,
)


def check_settings(name: str, settings: Settings) -> CheckResult:
    """Look for names in config.env that mean nothing: a typing error is never noticed otherwise."""
    path = settings.config_dir / "config.env"
    known = {field.upper() for field in type(settings).model_fields}
    known |= {f"{field}_FILE" for field in known}
    written = dotenv_values(path, interpolate=False) if path.is_file() else {}
    unknown = [key for key in written if key.upper() not in known]
    if unknown:
        near = {key: difflib.get_close_matches(key.upper(), known, n=1) for key in unknown}
        told = [printable(k) + (f" ({near[k][0]}?)" if near[k] else "") for k in unknown]
        return warning(
            name,
            f"{printable(path)} sets what is no setting: {', '.join(told)}.",
            "Correct or remove these lines; config.example.env lists every setting.",
        )
    changed = sorted(field.upper() for field in settings.model_fields_set)
    return ok(name, f"All valid; set: {', '.join(changed) or 'none, all defaults'}.")


def check_profile(name: str, settings: Settings) -> CheckResult:
    """Say which profile runs and why; whether its engines are there."""
    profile = resolve_profile(settings)
    specs_for(profile, settings)
    if settings.mock_mode:
        return warning(
            name,
            "MOCK_MODE=true: every model is a fake, nothing is really dubbed.",
            "Set MOCK_MODE=false when you have seen enough.",
        )
    if settings.profile is not Profile.AUTO:
        why = f"PROFILE={settings.profile} asks for it"
    elif profile is Profile.FULL:
        why = "PROFILE=auto, and all that it needs is set"
    else:
        why = f"PROFILE=auto, and {unset_in_words(settings)}"
    what = (
        "small models on the CPU, no key needed" if profile is Profile.EMBEDDED else "large models"
    )
    if almost := almost_full(settings):
        return warning(
            name,
            f"{profile} ({what}): {why}, but another part of what the full profile needs is.",
            " ".join([*(one.advice for one in almost), "Or set PROFILE=embedded to say so."]),
        )
    return ok(name, f"{profile} ({what}): {why}.")


def unset_in_words(settings: Settings) -> str:
    """Say what keeps PROFILE=auto from the full profile: `HF_TOKEN is not set`."""
    names = [one.name for one in missing_for_full(settings)]
    return f"{in_words(names)} {'is' if len(names) == 1 else 'are'} not set"


def check_packages(name: str, settings: Settings) -> CheckResult:
    """Say whether the packages of the full profile are installed, where it is in use."""
    if settings.mock_mode or resolve_profile(settings) is not Profile.FULL:
        return skipped(name, "The full profile is not in use.")
    require_full_packages(settings)
    return ok(name, "All packages of the full profile are installed.")


def check_keys(name: str, settings: Settings) -> CheckResult:
    """Say which secrets are set, and never what they are."""
    fields = [
        field
        for field, info in type(settings).model_fields.items()
        if "SecretStr" in str(info.annotation) and field != "api_pass"
    ]
    states = [
        f"{field.upper()} {'set' if getattr(settings, field) is not None else 'not set'}"
        for field in fields
    ]
    default = type(settings).model_fields["api_pass"].default
    as_shipped = isinstance(default, SecretStr) and settings.api_pass == default
    states.append(f"API_PASS {'as shipped' if as_shipped else 'set'}")
    return ok(name, f"{', '.join(states)}.")


def check_languages(name: str, settings: Settings) -> CheckResult:
    """Say how well TARGET_LANGS can be dubbed into."""
    languages = settings.target_langs
    if settings.mock_mode:
        return skipped(name, "MOCK_MODE=true: fakes hum in any language.")
    if resolve_profile(settings) is Profile.FULL:
        return _full_languages(name, settings)
    advice = "`dubarr-watch languages` lists what sounds good."
    notes = [
        f"{one.name} ({one.code}): {note}" for one in languages if (note := language_note(one.code))
    ]
    if any(embedded_language(one.code) is None for one in languages):
        return failed(name, f"TARGET_LANGS: {'; '.join(notes)}.", advice)
    if notes:
        return warning(name, f"TARGET_LANGS: {'; '.join(notes)}.", advice)
    return ok(name, f"{', '.join(one.name for one in languages)}: natural voices.")


def _full_languages(name: str, settings: Settings) -> CheckResult:
    specs = specs_for(Profile.FULL, settings)
    refused = [reason for one in settings.target_langs if (reason := specs.refusal(one))]
    if refused:
        advice = "Change TARGET_LANGS, or choose another TTS_MODEL."
        return failed(name, f"TARGET_LANGS: {' '.join(refused)}", advice)
    names = in_words([one.name for one in settings.target_langs])
    known = "speaks" if specs.speaks is not None else "is asked for"
    return ok(name, f"{specs.speech} {known} {names}.")
