"""Subtitles that are there already, as the words of a dub."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dubarr_watch.engines.base import (
    EMPTY_FILM,
    EngineSpec,
    FilmContext,
    Progress,
    ShortenRequest,
    TranslationRequest,
    no_progress,
)
from dubarr_watch.engines.fakes import FakeTranslator
from dubarr_watch.engines.registry import specs_for
from dubarr_watch.settings import Profile
from dubarr_watch.store.records import JobState
from tests.composing import Shop, ffmpeg, make_talk, open_shop
from tests.dubbing.test_subtitles import picture_film

LONG = "Esto es lo que dicen los subtítulos, que es muchísimo más de lo que cabe aquí ahora mismo."
SHORT = "Esto dicen los subtítulos."
TEXT = """1
00:00:00,000 --> 00:00:02,400
{0}

2
00:00:02,800 --> 00:00:05,400
Ya.

3
00:00:05,600 --> 00:00:08,000
Sí.
"""


class Desk(FakeTranslator):
    """Keeps what it is asked; translates nothing."""

    shortened: ClassVar[list[ShortenRequest]] = []

    def translate(
        self, request: TranslationRequest, *, progress: Progress = no_progress
    ) -> Mapping[int, str]:
        raise AssertionError("the subtitles have words for every line")

    def shorten(
        self,
        target: str,
        texts: Sequence[ShortenRequest],
        *,
        film: FilmContext = EMPTY_FILM,
        progress: Progress = no_progress,
    ) -> Mapping[int, tuple[str, ...]]:
        self.shortened.extend(texts)
        return {text.id: (SHORT,) for text in texts}


def lines_of(shop: Shop, film: Path) -> list[dict[str, Any]]:
    ended = shop.dub(film)
    assert ended.job.state is JobState.DONE
    return list(report_of(shop, ended.job.id)["lines"])


def report_of(shop: Shop, job: int) -> dict[str, Any]:
    path = shop.settings.reports_dir / f"{job}.es.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("profile", [Profile.EMBEDDED, Profile.FULL])
@pytest.mark.parametrize("inside", [False, True])
def test_what_is_too_long_is_shortened_from_the_subtitle(
    tmp_path: Path, profile: Profile, inside: bool
) -> None:
    """The translator gets the subtitle's words and the original's; the others are said as shown."""
    Desk.shortened.clear()
    with open_shop(tmp_path) as shop:
        desk = EngineSpec("tests.dubbing.test_subtitle_wording:Desk")
        shop.specs = replace(specs_for(profile, shop.settings), translator=desk)
        film = make_talk(shop.videos / "Film.mkv")
        if inside:
            with_stream(film, TEXT.format(LONG))
        else:
            film.with_suffix(".es.srt").write_text(TEXT.format(LONG))
        lines = lines_of(shop, film)
    (asked,) = Desk.shortened
    assert asked.text == LONG
    assert asked.source_text == lines[0]["source_text"]
    assert asked.max_chars < len(LONG)
    assert [line["text"] for line in lines] == [SHORT, "Ya.", "Sí."]


def test_our_own_subtitles_are_no_input(tmp_path: Path) -> None:
    """A second dub says what the model says, not what the first one said."""
    with open_shop(tmp_path) as shop:
        film = make_talk(shop.videos / "Film.mkv")
        first = [line["text"] for line in lines_of(shop, film)]
        ours = film.with_name("Film.Dubarr.es.srt")
        ours.write_text(TEXT.format("Nuestro."))
        ended = shop.dub(film, again=True)
        assert [line["text"] for line in report_of(shop, ended.job.id)["lines"]] == first


def test_pictures_are_noted_in_the_report(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    with open_shop(tmp_path / "shop") as shop:
        talk = make_talk(shop.videos / "Talk.mkv")
        pictures = picture_film(tmp_path, "copy")
        film = shop.videos / "Film.mkv"
        ffmpeg("-i", talk, "-i", pictures, "-map", "0", "-map", "1:s", "-c", "copy", film)
        ended = shop.dub(film)
        notes = report_of(shop, ended.job.id)["summary"]["notes"]
    assert any("subtitles are pictures (VobSub)" in note for note in notes)


def with_stream(film: Path, text: str) -> None:
    """Put Spanish subtitles into a video."""
    srt, made = film.with_suffix(".srt"), film.with_name("made.mkv")
    srt.write_text(text)
    ffmpeg("-i", film, "-i", srt, "-map", "0", "-map", "1", "-c", "copy", "-c:s", "srt",
           "-metadata:s:s:0", "language=spa", made)  # fmt: skip
    made.replace(film)
    srt.unlink()
