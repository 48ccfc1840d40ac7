"""`dubarr-watch languages`: what the profile in use dubs from and into."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import typer

from dubarr_watch.cli.common import out, print_json, ready_settings, told_as_json
from dubarr_watch.engines.embedded_languages import describe_languages, embedded_languages
from dubarr_watch.engines.registry import EngineSpecs, specs_for
from dubarr_watch.engines.whisper_languages import WHISPER_LANGUAGES
from dubarr_watch.errors import KeyMissing, UnknownLanguage
from dubarr_watch.languages import parse_language
from dubarr_watch.settings import Profile, Settings, resolve_profile

_JSON = typer.Option(False, "--json", help="Print one JSON document.")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("languages")(languages)


def languages(json_: bool = _JSON) -> None:
    """Say which languages the profile in use dubs into: well, badly, or not at all."""
    with told_as_json(json_):
        settings = ready_settings()
        profile = _profile(settings)
        document = languages_document(profile, settings)
        if json_:
            print_json(document)
        elif profile is Profile.EMBEDDED:
            out.print(describe_languages(), markup=False)
        else:
            out.print(_described(document), markup=False)


def languages_document(profile: Profile, settings: Settings) -> dict[str, Any]:
    """Return what `languages --json` prints; the names are public.

    - `profile`
    - `speech`: what speaks them
    - `languages`: those that can be dubbed into; of the full profile `[{"code", "name", "checked"
      (takes are transcribed back and compared)}]`, null when the voice has to be asked; of the
      embedded one as in `EmbeddedLanguage`, and `well`
    - `heard`: `[{"code", "name"}]` that can be dubbed from
    """
    document: dict[str, Any] = {"profile": profile.value, "heard": _named(WHISPER_LANGUAGES)}
    if profile is Profile.EMBEDDED:
        known = [asdict(one) | {"well": one.well} for one in embedded_languages()]
        return document | {"speech": "Kokoro and espeak-ng", "languages": known}
    specs = specs_for(Profile.FULL, settings.model_copy(update={"mock_mode": False}))
    return document | {"speech": specs.speech, "languages": _spoken(specs)}


def _profile(settings: Settings) -> Profile:
    try:
        return resolve_profile(settings)
    except KeyMissing:
        return Profile.FULL  # it was asked for; what it lacks is said where it is started


def _spoken(specs: EngineSpecs) -> list[dict[str, Any]] | None:
    if specs.speaks is None:
        return None
    # Whoever translates writes any language; what nobody can hear back is not checked.
    return [one | {"checked": one["code"] in WHISPER_LANGUAGES} for one in _named(specs.speaks)]


def _named(codes: Iterable[str]) -> list[dict[str, Any]]:
    found = []
    for code in codes:
        try:
            found.append({"code": code, "name": parse_language(code).name})
        except UnknownLanguage:  # Whisper knows some that have no place in our list
            continue
    return sorted(found, key=lambda one: str(one["name"]))


def _described(document: dict[str, Any]) -> str:
    spoken, speech = document["languages"], document["speech"]
    if spoken is None:
        into = [f"into whatever its model speaks: {speech} is asked when a job starts"]
    else:
        into = [f"into {len(spoken)} languages:", *_wrapped(spoken)]
    heard = document["heard"]
    unchecked = [one for one in spoken or () if not one["checked"]]
    note = ["of these nobody listens to the takes:", *_wrapped(unchecked)] if unchecked else []
    return "\n".join(
        [
            f"The full profile with {speech} dubs",
            *(f"  {line}" for line in into),
            *(f"  {line}" for line in note),
            f"  from {len(heard)} languages that Whisper hears:",
            *(f"  {line}" for line in _wrapped(heard)),
        ]
    )


def _wrapped(known: Iterable[dict[str, Any]], width: int = 80) -> list[str]:
    text = ", ".join(f"{one['name']} ({one['code']})" for one in known)
    return textwrap.wrap(text, width, initial_indent="    ", subsequent_indent="    ")
