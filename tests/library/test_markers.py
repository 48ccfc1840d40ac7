"""What markers say, by their names and by their content."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubarr_watch.errors import UnknownLanguage, WrongUsage
from dubarr_watch.library.markers import (
    MARKER_MAX_BYTES,
    MarkerKind,
    MarkerName,
    parse_marker,
    parse_marker_name,
)
from dubarr_watch.store.records import JobOptions, Priority

DUB, NODUB, SETTLED = MarkerKind.DUB, MarkerKind.NODUB, MarkerKind.SETTLED


@pytest.mark.parametrize(
    ("name", "siblings", "expected"),
    [
        ("Film.mkv.dub", [], MarkerName(DUB, "Film.mkv")),
        ("Film.dub", [], MarkerName(DUB, "Film")),
        ("FILM.MKV.DUB", [], MarkerName(DUB, "FILM.MKV")),
        ("Film.mkv.de+fr.dub", [], MarkerName(DUB, "Film.mkv", "de+fr")),
        ("Film.mkv.de.dub", [], MarkerName(DUB, "Film.mkv", "de")),
        ("Film.mkv.German.dub", [], MarkerName(DUB, "Film.mkv", "German")),
        ("Film.mkv.klingonn.dub", [], MarkerName(DUB, "Film.mkv", "klingonn")),
        ("Film.de+fr.dub", [], MarkerName(DUB, "Film", "de+fr")),
        ("Film.de+fr.dub", ["Film.de+fr.dub"], MarkerName(DUB, "Film", "de+fr")),
        ("Film.de.dub", ["Film.mkv"], MarkerName(DUB, "Film", "de")),
        ("Film.de.dub", ["Film.de.mkv"], MarkerName(DUB, "Film.de")),
        ("Film.de.dub", ["Film.de.mkv", "Film.mkv"], MarkerName(DUB, "Film.de")),
        ("Film.de.dub", [], MarkerName(DUB, "Film.de")),
        ("Run.Lola.Run.dub", ["Run.Lola.mkv"], MarkerName(DUB, "Run.Lola.Run")),
        ("Film.2020.dub", ["Film.mkv"], MarkerName(DUB, "Film.2020")),
        (".dub", [], MarkerName(DUB, "")),
        (".de+fr.dub", [], MarkerName(DUB, "", "de+fr")),
        (".nodub", [], MarkerName(NODUB, "")),
        ("Film.mkv.nodub", [], MarkerName(NODUB, "Film.mkv")),
        ("Film.nodub", [], MarkerName(NODUB, "Film")),
        ("Film.mkv.dub.done", [], MarkerName(SETTLED, "Film.mkv")),
        ("Film.mkv.dub.failed", [], MarkerName(SETTLED, "Film.mkv")),
        (".dub.done", [], MarkerName(SETTLED, "")),
        ("two\nlines.mkv.dub", [], MarkerName(DUB, "two\nlines.mkv")),
        ("Film-trailer.mkv.dub", [], MarkerName(DUB, "Film-trailer.mkv")),
        (".Film.mkv.dub", [], None),
        (".syncthing.Film.mkv.dub", [], None),
        ("Film.mkv.part.dub", [], None),
        ("Film.mkv", [], None),
        ("Film.dubbed", [], None),
        ("Film.dub.mkv", [], None),
        ("dub", [], None),
    ],
)
def test_names(name: str, siblings: list[str], expected: MarkerName | None) -> None:
    assert parse_marker_name(name, siblings) == expected


@pytest.mark.parametrize(
    ("content", "codes"),
    [
        (b"", ()),
        (b"\n  \n# nothing but a thought\n", ()),
        (b"de", ("de",)),
        (b"de,fr es\nit;pt+nl", ("de", "fr", "es", "it", "pt", "nl")),
        (b"deu ger de-DE de_AT German GERMAN", ("de",)),
        (b"de # German, for grandma\nfr", ("de", "fr")),
        (b"\xef\xbb\xbfde\r\nfr\r\n", ("de", "fr")),
        ("\ufeffde, fr\r\n".encode("utf-16-le"), ("de", "fr")),
        ("\ufeffde, fr".encode("utf-16-be"), ("de", "fr")),
        (b"de # f\xfcr Oma", ("de",)),
        ("de # für Oma 🎬".encode(), ("de",)),
        (b"de\x0c\n\tfr", ("de", "fr")),
    ],
)
def test_languages(content: bytes, codes: tuple[str, ...]) -> None:
    wish = parse_marker(MarkerName(DUB, "Film.mkv"), content)
    assert tuple(language.code for language in wish.languages) == codes
    assert wish.options == JobOptions()


def test_languages_of_the_name_and_of_the_content_add_up() -> None:
    wish = parse_marker(MarkerName(DUB, "Film.mkv", "de+fr"), b"fr, es")
    assert [language.code for language in wish.languages] == ["de", "fr", "es"]


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (b"mode: mux", JobOptions(mode="mux")),
        (b"MODE = Both", JobOptions(mode="both")),
        (b"style: voiceover\nmode:sidecar", JobOptions(mode="sidecar", style="voiceover")),
        (b"again: yes", JobOptions(again=True)),
        (b"again: TRUE", JobOptions(again=True)),
        (b"again: no", JobOptions()),
        (b"priority: high # now", JobOptions(priority=Priority.HIGH)),
        (b"priority: low\npriority: high", JobOptions(priority=Priority.HIGH)),
    ],
)
def test_options(content: bytes, options: JobOptions) -> None:
    assert parse_marker(MarkerName(DUB, "Film.mkv"), content).options == options


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        (b"Germann", "'Germann' is not a language", "German (de)"),
        (b"de, xx-nonsense", "'xx-nonsense' is not a language", ""),
        (b"mode: loud", "'mode' cannot be 'loud'", "sidecar or mux or both"),
        (b"modes: mux", "'modes' is no option", "Did you mean mode?"),
        (b"colour: blue", "'colour' is no option", "mode, style, again, priority"),
        (b"again: maybe", "'again' cannot be 'maybe'", "yes or no"),
        (b"de\0fr", "not text", "de, fr"),
        (b"\x7fELF\x02\x01\x01\0\0", "not text", ""),
        (b"d" * (MARKER_MAX_BYTES + 1), "larger than 64 KiB", "few languages"),
    ],
)
def test_what_makes_no_sense_is_refused_in_plain_words(
    content: bytes, message: str, hint: str
) -> None:
    with pytest.raises(WrongUsage) as caught:
        parse_marker(MarkerName(DUB, "Film.mkv"), content)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_marker_may_be_as_large_as_the_limit() -> None:
    content = b"de\n#" + b"x" * (MARKER_MAX_BYTES - 4)
    assert len(content) == MARKER_MAX_BYTES
    assert parse_marker(MarkerName(DUB, "Film.mkv"), content).languages[0].code == "de"


def test_an_unknown_language_in_the_name_is_refused() -> None:
    with pytest.raises(UnknownLanguage, match="klingonn"):
        parse_marker(MarkerName(DUB, "Film.mkv", "klingonn"), b"")


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_a_wish_or_a_plain_refusal(content: bytes) -> None:
    with suppress(WrongUsage):
        parse_marker(MarkerName(DUB, "Film.mkv"), content)


@settings(deadline=None)
@given(st.binary(max_size=60), st.sampled_from([".dub", ".nodub", ".dub.done", ""]))
def test_any_name_is_a_marker_or_none(name: bytes, ending: str) -> None:
    text = name.replace(b"/", b"").decode("utf-8", "surrogateescape") + ending
    found = parse_marker_name(text, [text, "Film.mkv"])
    assert found is None or text.startswith(found.base)
