"""Which engines a profile has, and what is said where it has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubarr_watch.engines.registry import specs_for
from dubarr_watch.errors import ExitCode, SettingsInvalid
from dubarr_watch.settings import Profile, load_settings, resolve_profile
from tests.programs import Program

KEYS = {"openai_api_key": "sk-of-somebody", "hf_token": "hf_of_somebody"}


@pytest.mark.parametrize("profile", [Profile.AUTO, Profile.FULL])
def test_a_profile_without_engines_says_why_it_was_chosen_and_what_to_do(profile: Profile) -> None:
    """Who set two keys for other programs never asked for it."""
    settings = load_settings(profile=profile, **KEYS)
    with pytest.raises(SettingsInvalid) as refused:
        specs_for(resolve_profile(settings), settings)
    text = str(refused.value)
    assert text.startswith(f"PROFILE={profile}: ")
    assert ("because OPENAI_API_KEY and HF_TOKEN are set" in text) is (profile is Profile.AUTO)
    assert "PROFILE=embedded" in text


def test_the_daemon_does_not_start_without_engines(tmp_path: Path) -> None:
    """It ends with the code of a wrong setting, and no key is in what it says."""
    keys = {name.upper(): value for name, value in KEYS.items()}
    with Program(tmp_path, MOCK_MODE="false", **keys) as program:
        refused = program.run("run")
        assert refused.returncode == ExitCode.WRONG_USAGE
        assert "PROFILE=embedded" in refused.stderr
        assert not any(value in refused.stderr for value in KEYS.values())


@pytest.mark.parametrize("profile", [Profile.EMBEDDED, Profile.FULL])
def test_mock_mode_has_fakes_for_every_profile(profile: Profile) -> None:
    """One for each seam, so that the whole daemon runs."""
    specs = specs_for(profile, load_settings(mock_mode=True))
    for spec in (specs.transcriber, specs.diarizer, specs.translator, specs.synthesizer):
        assert ".fakes:" in spec.target
