"""The report page: what is in the file; `tests/test_page_in_browser.py` looks at it."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dubarr_watch.dubbing.page import Sources, make_page
from dubarr_watch.dubbing.page.sound import decode
from dubarr_watch.dubbing.report import LineReport, Report, Summary
from dubarr_watch.dubbing.speaker_report import SpeakerReport
from tests.composing import share_of

EVIL = '</script><script>alert(1)</script><img src=x onerror="alert(2)">{{ 7 * 7 }}'
SUMMARY = Summary(3, 1.0, 1.0, 1.0, 1.0, 0, 0.8, -23.0, -2.0, 2, {}, 0.5, 100)


def line(index: int, **changes: object) -> LineReport:
    plain = LineReport(index, index * 2.0, index * 2 + 1.5, index * 2.0, 1.9, 1.4, 1.0, 1, 0,
                       f"Line number {index}.", f"Frase {index}.", "ok", 0.0)  # fmt: skip
    return replace(plain, **changes)  # type: ignore[arg-type]


LINES = [line(0), line(1, check=True, outcome="misspoken", wer=1.0, heard="otra cosa"), line(2)]


def report(lines: list[LineReport]) -> Report:
    summary = replace(SUMMARY, lines=len(lines), lines_to_check=sum(one.check for one in lines))
    return Report(7, f"/films/{EVIL}.mkv", "es", "done_with_warnings", lines, summary)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    folder = tmp_path_factory.mktemp("sounds")
    times = np.arange(48_000 * 7) / 48_000
    for name, pitch_hz in (("original", 300), ("dub", 900)):
        tone = 0.4 * np.sin(2 * np.pi * pitch_hz * times)
        soundfile.write(folder / f"{name}.wav", tone, 48_000)
    return Sources(folder / "original.wav", 0, folder / "dub.wav", 0)


@pytest.fixture
def page(tmp_path: Path, sources: Sources) -> str:
    assert make_page(report(LINES), sources, tmp_path / "page.html") == 0
    return (tmp_path / "page.html").read_text(encoding="utf-8")


def sounds(page: str) -> dict[str, str]:
    found = re.search(r'id="sounds">(.*?)</script>', page, re.S)
    assert found
    kept: dict[str, str] = json.loads(found[1])
    return kept


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_speakers_are_called_by_their_names_and_told_in_plain_words(
    tmp_path: Path, sources: Sources
) -> None:
    told = "2 speakers, fairly sure; Anna rests on 2 s of speech"
    cast = [SpeakerReport(0, "Anna", 1, "ef_dora", 2, 2.0, 0.4)]
    other = line(2, speaker=1)
    plain = report([*LINES[:2], other])
    named = replace(plain, summary=replace(plain.summary, speakers_told=told, cast=cast))
    make_page(named, sources, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert told in page
    assert page.count(">Anna</span>") == 2
    assert page.count(">Speaker 2</span>") == 1


def test_every_line_can_be_played_in_both_languages(page: str) -> None:
    """Its own stretch of each sound."""
    found = sounds(page)
    assert set(found) == {f"{n}{kind}" for n in range(3) for kind in "od"}
    for kind, pitch_hz in (("o", 300), ("d", 900)):
        samples, rate = soundfile.read(io.BytesIO(base64.b64decode(found[f"1{kind}"])))
        assert len(samples) / rate == pytest.approx(2.1, abs=0.1)
        assert share_of(samples, pitch_hz, rate) > 0.8


def test_a_line_says_what_was_done_to_make_it_fit(tmp_path: Path, sources: Sources) -> None:
    """And how often it was spoken; a line to which nothing was done says nothing."""
    lines = [line(0, why=["gap borrowed", "sped up"]), line(1, attempts=2), line(2)]
    made = tmp_path / "why.html"
    make_page(report(lines), sources, made)
    text = made.read_text("utf-8")
    assert "Gap borrowed, sped up</p>" in text
    assert text.count("Take 2</p>") == 1


def test_lines_to_check_come_first(page: str) -> None:
    """And what was heard in them is told."""
    assert re.findall(r'<li id="line-(\d)"', page) == ["1", "0", "2"]
    assert "otra cosa" in page


def test_text_from_a_film_is_never_markup(tmp_path: Path, sources: Sources) -> None:
    """Neither in the names of files, nor in what is said in either language."""
    lines = [line(0, source_text=EVIL, text=EVIL, heard=EVIL, check=True)]
    make_page(report(lines), sources, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(text)
    assert [name for name, _ in tags.found].count("script") == 2
    assert not [name for name, attrs in tags.found if name == "img" or "onerror" in attrs]
    assert "49" not in re.findall(r"<p[^>]*>([^<]*)</p>", text)


def test_a_page_needs_nothing_else(page: str) -> None:
    """No address of any host, and a policy that forbids the browser to ask for one."""
    shown = page.replace(json.dumps(sounds(page), sort_keys=True), "")
    assert len(shown) < len(page)
    assert not re.search(r"(?:https?:)?//[a-z]", shown)
    assert "default-src 'none'" in page
    tags = Tags()
    tags.feed(page)
    assert not [attrs for _, attrs in tags.found if "src" in attrs or attrs.get("rel")]


def test_a_page_has_a_size(tmp_path: Path, sources: Sources, page: str) -> None:
    """Lines to check get their sound first; the page says how many have none."""
    one = sum(len(found) for name, found in sounds(page).items() if name.startswith("1"))
    target = tmp_path / "small.html"
    assert make_page(report(LINES), sources, target, budget_bytes=one) == 2
    small = target.read_text(encoding="utf-8")
    assert set(sounds(small)) == {"1o", "1d"}
    assert "2 of 3 lines cannot be played here" in small
    assert make_page(report(LINES), sources, target, budget_bytes=one - 1) == 3
    assert sounds(target.read_text(encoding="utf-8")) == {}


def test_peaks_are_those_of_the_sound(tmp_path: Path) -> None:
    """Loud where it is loud, nothing behind its end."""
    samples = np.concatenate([np.zeros(24_000), 0.5 * np.ones(24_000)])
    soundfile.write(tmp_path / "step.wav", samples, 24_000)
    sound = decode(tmp_path / "step.wav", 0, tmp_path / "decoded.wav")
    assert sound.duration_s == pytest.approx(2.0, abs=0.02)
    bars = sound.bars(0, 4, 4)
    assert bars == pytest.approx([0, 0.5, 0, 0], abs=0.02)


def test_a_film_without_lines_has_a_page(tmp_path: Path, sources: Sources) -> None:
    assert make_page(report([]), sources, tmp_path / "page.html") == 0
