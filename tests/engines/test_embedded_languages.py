"""What the embedded profile says about its languages."""

from __future__ import annotations

from dubarr_watch.engines.embedded_languages import (
    SpeechEngine,
    describe_languages,
    embedded_language,
    embedded_languages,
    language_note,
)
from tts_sidecar.engines.kokoro_voices import LANGUAGES
from tts_sidecar.languages import ESPEAK_VOICES, UNSPOKEN


def test_the_table_says_what_the_speech_process_speaks() -> None:
    """Who speaks which language is told without starting the process, and told right."""
    spoken = dict.fromkeys(ESPEAK_VOICES, "espeak") | dict.fromkeys(LANGUAGES, "kokoro")
    assert {one.code: one.speech.value for one in embedded_languages()} == spoken


def test_natural_voices_with_fair_translation_are_good() -> None:
    """The good ones come first, and only they have nothing to be noted."""
    known = embedded_languages()
    well = [one.code for one in known if one.well]
    assert {"es", "fr", "it", "pt"} <= set(well)
    assert [one.code for one in known[: len(well)]] == well
    assert {one.code for one in known if not language_note(one.code)} == set(well)


def test_a_robotic_voice_and_weak_translation_are_both_said() -> None:
    """Polish has both; Hindi has a natural voice."""
    assert "robotic" in language_note("pl")
    assert "weak" in language_note("pl")
    assert "robotic" not in language_note("hi")
    assert "weak" in language_note("hi")


def test_a_language_that_nobody_speaks_is_said_to_be_impossible() -> None:
    """Japanese: espeak-ng does not read kanji."""
    for code in UNSPOKEN:
        assert embedded_language(code) is None
        assert "nothing can be dubbed" in language_note(code)


def test_the_description_names_good_and_bad() -> None:
    """A person reads names, and the code of every language."""
    text = describe_languages()
    well, poorly = text.split("poorly", 1)
    assert "Spanish (es)" in well
    assert "Polish (pl)" in poorly
    assert all(one.code in text.replace(")", " ").split() for one in embedded_languages()
               if one.speech is SpeechEngine.ESPEAK)  # fmt: skip
    assert max(map(len, text.splitlines())) <= 100
