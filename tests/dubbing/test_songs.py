"""Lines that are sung, and what becomes of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dubarr_watch.dubbing.songs import (
    COVERED_SHARE,
    REFRAIN_AGAIN_S,
    REFRAIN_WORDS,
    SUNG_ALONE,
    SUNG_OVER_MUSIC,
    sounding_sung,
    sung_lines,
    united,
)
from dubarr_watch.dubbing.subtitle_text import Cue
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.engines.base import EngineSpec, Span
from dubarr_watch.engines.registry import specs_for
from dubarr_watch.runner import Ended
from dubarr_watch.settings import Profile
from dubarr_watch.store.records import JobState
from tests.composing import TONE_HZ, Shop, make_talk, open_shop, share_of, sound_of

SONG = """1
00:00:00,000 --> 00:00:02,400
♪ Somebody sings ♪

2
00:00:03,000 --> 00:00:08,000
Somebody talks.
"""


def line(index: int, text: str, *, start_s: float | None = None, lasts_s: float = 4.0) -> Line:
    begin_s = index * 5.0 if start_s is None else start_s
    return Line(index, begin_s, begin_s + lasts_s, 0, text, index)


VERSE = "oh my dear the river runs so wide and nobody ever will cross it again"


class TestMarks:
    def test_notes_in_what_was_heard(self) -> None:
        assert sung_lines([line(0, "♪ La la ♪"), line(1, "Come in.")], []) == {0}

    @pytest.mark.parametrize(
        ("share", "sung"), [(COVERED_SHARE, True), (COVERED_SHARE - 0.01, False)]
    )
    def test_subtitles_mark_enough_of_a_line(self, share: float, sung: bool) -> None:
        cues = [Cue(0, 4 * share, "la"), Cue(0, 2 * share, "twice there")]
        assert sung_lines([line(0, "la la"), line(1, "no")], cues) == ({0} if sung else set())


class TestSound:
    """Passages that sound sung, by how each of their moments sounds."""

    @pytest.mark.parametrize("alone", [True, False], ids=["voices alone", "over music"])
    @pytest.mark.parametrize(("off", "sung"), [(0.001, True), (-0.001, False)])
    def test_enough_of_it_sounds_sung(self, alone: bool, off: float, sung: bool) -> None:
        share = (SUNG_ALONE if alone else SUNG_OVER_MUSIC) + off
        lines = [line(0, "la"), line(1, "la"), line(2, "Come in.")]
        heard = [(share, share), (share,), (0.0,)]
        assert sounding_sung(lines, heard, alone=alone) == ({0, 1} if sung else set())

    @pytest.mark.parametrize(("lasts_s", "sung"), [(4.01, True), (3.99, False)])
    def test_it_is_long_enough_to_tell(self, lasts_s: float, sung: bool) -> None:
        lines = [line(0, "la", lasts_s=lasts_s), line(1, "la", lasts_s=lasts_s)]
        assert bool(sounding_sung(lines, [(1.0,), (1.0,)], alone=False)) == sung

    @pytest.mark.parametrize(("pause_s", "sung"), [(4.9, True), (5.1, False)])
    def test_a_pause_that_is_long_ends_it(self, pause_s: float, sung: bool) -> None:
        lines = [line(0, "la"), line(1, "la", start_s=4.0 + pause_s)]
        assert bool(sounding_sung(lines, [(1.0,), (1.0,)], alone=False)) == sung

    def test_a_spoken_line_parts_what_is_sung_around_it(self) -> None:
        """And is spoken whatever lies around it."""
        lines = [line(n, "la") for n in range(5)]
        heard = [(1.0,), (1.0,), (0.3,), (1.0,), (1.0,)]
        assert sounding_sung(lines, heard, alone=False) == {0, 1, 3, 4}

    def test_a_line_of_which_part_is_drowned_is_sung_with_the_rest(self) -> None:
        lines = [line(n, "la") for n in range(4)]
        heard = [(1.0,) * 9, (0.5,), (1.0,) * 9, (1.0,) * 9]
        assert sounding_sung(lines, heard, alone=False) == {0, 1, 2, 3}

    def test_nobody_sings_where_nobody_speaks(self) -> None:
        assert sounding_sung([], [], alone=False) == frozenset()


class TestRefrains:
    def test_what_comes_back_word_for_word_is_sung(self) -> None:
        lines = [
            line(0, VERSE, lasts_s=7),
            line(2, "Did you hear that?"),
            line(5, VERSE, lasts_s=7),
        ]
        assert sung_lines(lines, []) == {0, 5}

    @pytest.mark.parametrize(
        ("words", "again_s", "lasts_s"),
        [
            (REFRAIN_WORDS - 1, 60, 7),
            (REFRAIN_WORDS, REFRAIN_AGAIN_S + 1, 7),
            (REFRAIN_WORDS, 60, 5.9),
        ],
    )
    def test_what_is_short_quick_or_far_away_is_speech(
        self, words: int, again_s: float, lasts_s: float
    ) -> None:
        text = " ".join(VERSE.split()[:words])
        lines = [line(0, text, lasts_s=lasts_s), line(1, text, start_s=again_s, lasts_s=lasts_s)]
        assert sung_lines(lines, []) == set()

    def test_at_the_limits_it_is_a_refrain(self) -> None:
        text = " ".join(VERSE.split()[:REFRAIN_WORDS])
        lines = [line(0, text, lasts_s=6), line(1, text, start_s=REFRAIN_AGAIN_S, lasts_s=6)]
        assert sung_lines(lines, []) == {0, 1}

    def test_a_word_said_over_and_over_is_none(self) -> None:
        lines = [line(0, "no " * 12, lasts_s=8), line(5, "no " * 12, lasts_s=8)]
        assert sung_lines(lines, []) == set()


def test_stretches_are_united() -> None:
    some, others = [Span(0, 2), Span(5, 6)], [Span(1, 3), Span(8, 9)]
    assert united(some, others) == [Span(0, 3), Span(5, 6), Span(8, 9)]


@pytest.fixture(params=[Profile.EMBEDDED, Profile.FULL])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        opened.specs = specs_for(request.param, opened.settings)
        yield opened


def report_of(shop: Shop, ended: Ended) -> dict[str, Any]:
    path = shop.settings.reports_dir / f"{ended.job.id}.es.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


class TestDubbing:
    @pytest.mark.parametrize("code", ["en", "es"])
    def test_a_song_is_left_alone(self, shop: Shop, code: str) -> None:
        """Marked by subtitles in the film's language or in that of the dub."""
        film = make_talk(shop.videos / "Film.mkv")
        film.with_suffix(f".{code}.srt").write_text(SONG)
        ended = shop.dub(film)
        assert ended.job.state is JobState.DONE
        report = report_of(shop, ended)
        first, *others = report["lines"]
        assert (first["outcome"], first["text"], first["attempts"]) == ("song", "", 0)
        assert not first["check"]
        assert {one["outcome"] for one in others} == {"ok"}
        assert report["summary"]["within_slot"] == 1
        assert any("1 line is sung and stays" in note for note in report["summary"]["notes"])

    def test_the_original_is_heard_where_it_sings(self, shop: Shop) -> None:
        """With voices taken out of everything else, too: the fake takes all of it for voice."""
        film = make_talk(shop.videos / "Film.mkv")
        film.with_suffix(".en.srt").write_text(SONG)
        ended = shop.dub(film)
        sung = report_of(shop, ended)["lines"][0]
        sound = sound_of(shop.track(ended.job))
        inside = slice(
            round((sung["start_s"] + 0.1) * 16_000), round((sung["end_s"] - 0.1) * 16_000)
        )
        assert share_of(sound[inside], TONE_HZ) > 0.5

    @pytest.mark.parametrize("share", [1.0, 0.7])
    def test_what_sounds_sung_is_left_alone(self, shop: Shop, share: float) -> None:
        """Unmarked: over music all of it has to, of voices alone most; see `SUNG_ALONE`."""
        heard = EngineSpec("tests.telling_fakes:SingingPrinter", {"until_s": 13.0, "share": share})
        shop.specs = replace(shop.specs, printer=heard)
        film = make_talk(shop.videos / "Film.mkv", 20.0)
        lines = report_of(shop, shop.dub(film))["lines"]
        sung = {one["index"] for one in lines if one["end_s"] <= 13}
        assert 0 < len(sung) < len(lines)
        found = {one["index"] for one in lines if one["outcome"] == "song"}
        assert found == (sung if share == 1.0 or shop.specs.separator else set())

    def test_dub_songs_dubs_what_sounds_sung_too(self, shop: Shop) -> None:
        heard = EngineSpec("tests.telling_fakes:SingingPrinter", {"until_s": 13.0})
        shop.specs = replace(shop.specs, printer=heard)
        shop.set(dub_songs=True)
        film = make_talk(shop.videos / "Film.mkv", 20.0)
        assert {one["outcome"] for one in report_of(shop, shop.dub(film))["lines"]} == {"ok"}

    def test_dub_songs_dubs_them(self, shop: Shop) -> None:
        shop.set(dub_songs=True)
        film = make_talk(shop.videos / "Film.mkv")
        film.with_suffix(".en.srt").write_text(SONG)
        assert {one["outcome"] for one in report_of(shop, shop.dub(film))["lines"]} == {"ok"}

    def test_nothing_but_songs_is_nothing_to_dub(self, shop: Shop) -> None:
        film = make_talk(shop.videos / "Film.mkv")
        film.with_suffix(".en.srt").write_text(SONG.replace("Somebody talks.", "♪ And on ♪"))
        ended = shop.dub(film)
        assert ended.job.state is JobState.DONE
        assert ended.job.reason == "Only songs; DUB_SONGS=true dubs them."


def test_nobody_is_asked_about_a_song(tmp_path: Path) -> None:
    """Neither to translate nor to understand it."""
    from tests.full_fakes import UnderstandingTranslator as Model

    with open_shop(tmp_path) as shop:
        shop.specs = replace(
            specs_for(Profile.FULL, shop.settings),
            translator=EngineSpec("tests.full_fakes:UnderstandingTranslator"),
        )
        Model.analysed.clear()
        Model.translated.clear()
        film = make_talk(shop.videos / "Film.mkv")
        film.with_suffix(".en.srt").write_text(SONG.split("\n\n")[0] + "\n")
        shop.dub(film)
        assert [text.id for text in Model.analysed[0].texts] == [1, 2]
        assert [text.id for request in Model.translated for text in request.texts] == [1, 2]
