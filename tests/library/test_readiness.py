"""What has arrived whole, and what is left to dub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dubarr_watch.errors import MediaError, NoAudio, NotAVideo
from dubarr_watch.languages import parse_language
from dubarr_watch.library.completeness import missing_bytes
from dubarr_watch.library.readiness import (
    MAX_DURATION_S,
    MIN_DURATION_S,
    NotReady,
    examine,
    languages_left,
)
from dubarr_watch.media import Probe, probe, run_ffmpeg
from tests.library.conftest import film, read_film, stream

PL, DE, EN = (parse_language(code) for code in ("pl", "de", "en"))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of picture and tone, in English, as Matroska; and the same as MP4."""
    folder = tmp_path_factory.mktemp("media")
    mkv, mp4 = folder / "real.mkv", folder / "real.mp4"
    run_ffmpeg(
        ["-f", "lavfi", "-i", "sine=duration=3", "-f", "lavfi", "-i", "testsrc=d=3:s=64x48:r=5",
         "-c:v", "mpeg4", "-c:a", "aac", "-metadata:s:a:0", "language=eng", mkv], path=mkv,
    )  # fmt: skip
    run_ffmpeg(["-i", mkv, "-c", "copy", "-movflags", "faststart", mp4], path=mp4)
    return folder


@pytest.mark.parametrize("name", ["real.mkv", "real.mp4"])
def test_a_real_video_is_ready_and_a_cut_one_is_not(real: Path, name: str, tmp_path: Path) -> None:
    whole = (real / name).read_bytes()
    assert missing_bytes(real / name) == 0
    found = examine(real / name, probe, patient=True)
    assert 2.5 < found.duration_s < 3.5
    cut = tmp_path / name
    cut.write_bytes(whole[:-1])
    assert missing_bytes(cut) == 1
    with pytest.raises(NotReady, match="1 bytes are missing"):
        examine(cut, probe, patient=True)
    assert examine(cut, probe, patient=False).of_kind("audio")


def test_real_junk_is_told_in_plain_words(tmp_path: Path) -> None:
    junk = tmp_path / "junk.mkv"
    junk.write_bytes(bytes(range(256)) * 100)
    with pytest.raises(NotReady, match="no media file"):
        examine(junk, probe, patient=True)


@pytest.mark.parametrize(
    ("content", "missing"),
    [
        (b"", 0),
        (b"\x1a\x45\xdf\xa3", 0),
        (b"\x1a\x45\xdf\xa3\x81\0\x18\x53\x80\x67\x82ab", 0),
        (b"\x1a\x45\xdf\xa3\x81\0\x18\x53\x80\x67\x84ab", 2),
        (
            b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff",
            0,
        ),  # live: unknown
        (b"\x1a\x45\xdf\xa3\xff", 0),
        (b"\0\0\0\x08ftyp\0\0\0\x10mdat", 8),
        (b"\0\0\0\x08ftyp\0\0\0\0mdat", 0),  # up to the end
        (b"\0\0\0\x08ftyp\0\0\0\x01mdat\0\0\0\0\0\0\0\x20", 16),
        (b"\0\0\0\x08ftyp\0\0\0\x02mdat", 0),  # makes no sense: left to ffprobe
        (b"\0\0\0\x08ftyp\0\0", 0),
        (b"RIFF\0\0\0\0AVI ", 0),
    ],
)
def test_containers_tell_what_is_missing(tmp_path: Path, content: bytes, missing: int) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    assert missing_bytes(path) == missing


def _examine(tmp_path: Path, **changes: object) -> Probe:
    path = tmp_path / "film.mkv"
    path.write_bytes(film())
    return examine(path, lambda p: replace(read_film(p), **changes), patient=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("duration_s", [MIN_DURATION_S, 7200, MAX_DURATION_S])
def test_plausible_lengths(tmp_path: Path, duration_s: float) -> None:
    assert _examine(tmp_path, duration_s=duration_s).duration_s == duration_s


@pytest.mark.parametrize("duration_s", [0.0, MIN_DURATION_S - 0.1, MAX_DURATION_S + 1])
def test_implausible_lengths(tmp_path: Path, duration_s: float) -> None:
    with pytest.raises(NotReady, match="not plausible"):
        _examine(tmp_path, duration_s=duration_s)


def test_no_audio_and_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(NoAudio):
        _examine(tmp_path, streams=(stream("video"),))
    with pytest.raises(NotAVideo):
        _examine(tmp_path, streams=(stream("audio"), stream("video", "", "attached_pic")))


def test_empty_unreadable_and_silent_probes_are_not_ready(tmp_path: Path) -> None:
    def stuck(path: Path) -> Probe:
        raise MediaError("ffprobe did not answer.", path=path)

    empty = tmp_path / "empty.mkv"
    empty.touch()
    with pytest.raises(NotReady, match="empty"):
        examine(empty, read_film, patient=True)
    with pytest.raises(NotReady, match="cannot be read"):
        examine(tmp_path / "none.mkv", read_film, patient=True)
    empty.write_bytes(film())
    with pytest.raises(NotReady, match="did not answer"):
        examine(empty, stuck, patient=True)


def _left(
    *audio: object, again: bool = False, source: object = None, published: bool = False
) -> tuple[list[str], tuple[str, ...]]:
    found = Probe(Path("/x"), "", 60, 0, 1, tuple(audio))  # type: ignore[arg-type]
    left = languages_left(
        found, [PL, DE], again=again, source=source, published=lambda _: published  # type: ignore[arg-type]
    )  # fmt: skip
    return [language.code for language in left.languages], left.reasons


def test_languages_that_are_there_in_any_spelling_are_not_left() -> None:
    assert _left(stream("audio", "eng")) == (["pl", "de"], ())
    assert _left(stream("audio", "eng"), stream("audio", "ger"))[0] == ["pl"]
    assert _left(stream("audio", "eng"), stream("audio", "deu"))[0] == ["pl"]
    assert _left(stream("audio", ""), stream("audio", "nonsense"))[0] == ["pl", "de"]


def test_the_spoken_language_is_the_default_tracks() -> None:
    codes, reasons = _left(stream("audio", "eng"), stream("audio", "pol", "default"))
    assert (codes, reasons) == (["de"], ("It is spoken in Polish.",))


def test_commentary_does_not_count() -> None:
    assert _left(stream("audio", "eng"), stream("audio", "pol", "comment"))[0] == ["pl", "de"]


def test_again_remakes_a_track_but_never_dubs_a_language_into_itself() -> None:
    audio = (stream("audio", "eng", "default"), stream("audio", "pol"))
    assert _left(*audio, again=True)[0] == ["pl", "de"]
    assert _left(stream("audio", "pol"), again=True)[0] == ["de"]
    assert _left(stream("audio", ""), source=PL, again=True)[0] == ["de"]


def test_source_lang_outweighs_the_tag() -> None:
    assert _left(stream("audio", "eng"), source=PL) == (["de"], ("It is spoken in Polish.",))


def test_what_is_published_is_not_left_unless_again() -> None:
    assert _left(stream("audio", "eng"), published=True)[0] == []
    assert _left(stream("audio", "eng"), published=True, again=True)[0] == ["pl", "de"]
