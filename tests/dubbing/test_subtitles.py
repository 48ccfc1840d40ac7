"""Subtitles found beside and inside real videos, and subtitles written."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from dubarr_watch.dubbing.subtitle_text import (
    MAX_BYTES,
    Cue,
    SubtitlesUnusable,
    parse_subtitles,
    read_subtitles,
)
from dubarr_watch.dubbing.subtitle_writing import MAX_LINE_CHARS, write_srt
from dubarr_watch.dubbing.subtitles import find_subtitles
from dubarr_watch.languages import parse_language
from dubarr_watch.media import probe
from tests.dubbing.samples import ffmpeg

ES = parse_language("es")
PL = parse_language("pl")


def srt(*texts: str) -> str:
    return "\n".join(
        f"{n}\n00:00:{n:02},000 --> 00:00:{n:02},900\n{text}\n" for n, text in enumerate(texts, 1)
    )


def said(*texts: str) -> list[str]:
    return [cue.text for cue in parse_subtitles(srt(*texts).encode(), "en").cues]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "library" / "Film.mkv"
    path.parent.mkdir()
    ffmpeg("-f", "lavfi", "-i", "sine=d=3", "-c:a", "aac", path)
    return path


def found(video: Path, tmp_path: Path, language: str = "es") -> list[str]:
    return [
        cue.text for cue in find_subtitles(probe(video), parse_language(language), tmp_path).cues
    ]


class TestSideFiles:
    @pytest.mark.parametrize(
        "name",
        [
            "Film.es.srt",
            "Film.spa.srt",
            "Film.Spanish.srt",
            "film.ES.SRT",
            "Film.es-MX.srt",
            "Film.es.sdh.srt",
            "Film.es.hi.srt",
            "Film.default.es.srt",
            "Film.Director's Cut.es.srt",
        ],
    )
    def test_name_is_understood(self, video: Path, tmp_path: Path, name: str) -> None:
        """A code or a name between the video's stem and the ending tells the language."""
        (video.parent / name).write_text(srt("Hola."))
        assert found(video, tmp_path) == ["Hola."]

    @pytest.mark.parametrize(
        "name",
        [
            "Film.srt",
            "Film.en.srt",
            "Film.es.forced.srt",
            "Film.forced.es.srt",
            "Film.es.signs.srt",
            "Film.Dubarr.es.srt",
            "Film.es.en.srt",
            "Film 2.es.srt",
            "Film2.es.srt",
            "Film.es.txt",
            "Film.es.sub",
        ],
    )
    def test_name_is_not_ours_to_use(self, video: Path, tmp_path: Path, name: str) -> None:
        """Another language, forced subtitles, another film and our own output are left out."""
        (video.parent / name).write_text(srt("Hola."))
        assert found(video, tmp_path) == []

    def test_hindi_alone(self, video: Path, tmp_path: Path) -> None:
        """`hi` is Hindi where it stands alone and `for the deaf` beside another language."""
        (video.parent / "Film.hi.srt").write_text(srt("नमस्ते"))
        (video.parent / "Film.es.hi.srt").write_text(srt("Hola."))
        assert found(video, tmp_path, "hi") == ["नमस्ते"]
        assert found(video, tmp_path) == ["Hola."]

    def test_full_ones_come_first(self, video: Path, tmp_path: Path) -> None:
        """Plain subtitles are taken before those for the deaf."""
        (video.parent / "Film.es.hi.srt").write_text(srt("Para sordos."))
        (video.parent / "Film.es.vtt").write_text(
            "WEBVTT\n\n00:01.000 --> 00:02.000\n<v Ana>Hola.\n"
        )
        assert found(video, tmp_path) == ["Hola."]

    def test_damaged_file_is_passed_over(self, video: Path, tmp_path: Path) -> None:
        """A file that cannot be used is logged with its reason, and the next one is used."""
        (video.parent / "Film.es.srt").write_bytes(b"\x00\x01\x02" * 50)
        (video.parent / "Film.spa.srt").write_text(srt("Hola."))
        with capture_logs() as logs:
            assert found(video, tmp_path) == ["Hola."]
        (warning,) = [entry for entry in logs if entry["log_level"] == "warning"]
        assert warning["event"] == "subtitles unusable"
        assert warning["reason"]

    def test_folder_is_no_file(self, video: Path, tmp_path: Path) -> None:
        """A folder named like a subtitle file does no harm."""
        (video.parent / "Film.es.srt").mkdir()
        assert found(video, tmp_path) == []


class TestStreams:
    @pytest.mark.parametrize(
        ("container", "codec"),
        [("mkv", "srt"), ("mkv", "ass"), ("mp4", "mov_text"), ("webm", "webvtt")],
    )
    def test_text_is_extracted(self, tmp_path: Path, container: str, codec: str) -> None:
        """Text subtitles inside the video are used, at the video's own times."""
        (tmp_path / "s.srt").write_text(srt("<i>Hola,</i> Ana.", "Adiós."))
        path = tmp_path / f"Film.{container}"
        audio = "libopus" if container == "webm" else "aac"
        ffmpeg("-f", "lavfi", "-i", "sine=d=4", "-i", tmp_path / "s.srt", "-map", "0", "-map", "1",
               "-c:a", audio, "-c:s", codec, "-metadata:s:s:0", "language=spa", path)  # fmt: skip
        cues = find_subtitles(probe(path), ES, tmp_path).cues
        assert [cue.text for cue in cues] == ["Hola, Ana.", "Adiós."]
        assert [cue.start_s for cue in cues] == pytest.approx([1, 2], abs=0.03)
        assert [cue.end_s for cue in cues] == pytest.approx([1.9, 2.9], abs=0.03)
        assert find_subtitles(probe(path), PL, tmp_path).cues == []

    def test_forced_stream_is_left_out(self, tmp_path: Path) -> None:
        """A forced stream and one that is titled so hold signs only."""
        (tmp_path / "s.srt").write_text(srt("Calle Mayor"))
        path = tmp_path / "Film.mkv"
        ffmpeg("-f", "lavfi", "-i", "sine=d=4", "-i", tmp_path / "s.srt", "-map", "0", "-map", "1",
               "-map", "1", "-c:s", "srt", "-metadata:s:s:0", "language=spa",
               "-metadata:s:s:1", "language=spa", "-disposition:s:0", "forced",
               "-metadata:s:s:1", "title=Forced", path)  # fmt: skip
        assert find_subtitles(probe(path), ES, tmp_path).cues == []

    @pytest.mark.parametrize(("codec", "kind"), [("copy", "VobSub"), ("dvbsub", "DVB")])
    def test_pictures_are_noted(self, tmp_path: Path, codec: str, kind: str) -> None:
        """Subtitles that are pictures cannot be read; the note says what would be."""
        path = picture_film(tmp_path, codec)
        told = find_subtitles(probe(path), ES, tmp_path)
        assert told.cues == []
        assert told.notes == [
            f"The Spanish subtitles are pictures ({kind}), which cannot be read; a .srt file "
            "beside the video would be used."
        ]
        assert find_subtitles(probe(path), PL, tmp_path).notes == []

    def test_pictures_are_not_noted_beside_text(self, tmp_path: Path) -> None:
        """Nobody needs what is there in text too."""
        path = picture_film(tmp_path, "copy")
        path.with_suffix(".es.srt").write_text(srt("Hola."))
        told = find_subtitles(probe(path), ES, tmp_path)
        assert [cue.text for cue in told.cues] == ["Hola."]
        assert told.notes == []

    def test_files_of_pictures_are_noted(self, video: Path, tmp_path: Path) -> None:
        for name in ("Film.es.sup", "Film.es.idx", "Film.es.sub"):
            (video.parent / name).write_bytes(b"PG")
        (note,) = find_subtitles(probe(video), ES, tmp_path).notes
        assert "(VobSub and PGS)" in note

    def test_styles_overrides_and_positions_of_a_real_stream(self, tmp_path: Path) -> None:
        """ASS in Matroska: signs, songs and drawings are told apart from what is said."""
        (tmp_path / "s.ass").write_text(ASS)
        path = tmp_path / "Film.mkv"
        ffmpeg("-f", "lavfi", "-i", "sine=d=30", "-i", tmp_path / "s.ass", "-map", "0", "-map", "1",
               "-c:s", "ass", "-metadata:s:s:0", "language=spa", path)  # fmt: skip
        told = find_subtitles(probe(path), ES, tmp_path)
        assert told.cues == [
            Cue(1, 2, "Hola, mundo"), Cue(5, 6, "Arriba está él."), Cue(9, 10, "Fin.")
        ]  # fmt: skip
        assert told.songs == [Cue(3, 5, "la canción"), Cue(7, 8, "canta así")]

    def test_the_full_stream_comes_before_that_for_the_deaf_which_tells_of_songs(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "a.srt").write_text(srt("(ruido) Para sordos.", "♪ La la, así ♪"))
        (tmp_path / "b.srt").write_text(srt("Hola."))
        path = tmp_path / "Film.mkv"
        ffmpeg("-f", "lavfi", "-i", "sine=d=4", "-i", tmp_path / "a.srt", "-i", tmp_path / "b.srt",
               "-map", "0", "-map", "1", "-map", "2", "-c:s", "srt",
               "-metadata:s:s:0", "language=spa", "-disposition:s:0", "hearing_impaired",
               "-metadata:s:s:1", "language=spa", path)  # fmt: skip
        told = find_subtitles(probe(path), ES, tmp_path)
        assert [cue.text for cue in told.cues] == ["Hola."]
        assert [cue.text for cue in told.songs] == ["La la, así"]


ASS = r"""[Script Info]
ScriptType: v4.00+
PlayResX: 640

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour
Style: Default,Arial,20,&H00FFFFFF
Style: Signs,Arial,20,&H00FFFFFF
Style: OP-Romaji,Arial,20,&H00FFFFFF

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:01.00,0:00:02.00,Default,Ana,0,0,0,,{\i1}Hola,{\i0}\Nmundo
Dialogue: 1,0:00:01.00,0:00:02.00,Default,Ana,0,0,0,,{\blur3\bord2}Hola,\Nmundo
Dialogue: 0,0:00:03.00,0:00:04.00,Signs,,0,0,0,,{\pos(320,20)}CALLE MAYOR
Dialogue: 0,0:00:03.00,0:00:05.00,OP-Romaji,,0,0,0,,{\k20}la {\k30}canción
Dialogue: 0,0:00:05.00,0:00:06.00,Default,Luis,0,0,0,,{\an8\pos(320,20)}Arriba\hestá él.
Dialogue: 0,0:00:06.00,0:00:07.00,Default,,0,0,0,,{\p1}m 0 0 l 1 1{\p0}
Dialogue: 0,0:00:07.00,0:00:08.00,Default,,0,0,0,,♪ canta así ♪
Dialogue: 0,0:00:08.00,0:00:09.00,Default,,0,0,0,,♪♪
Dialogue: 0,0:00:09.00,0:00:10.00,Default,,0,0,0,,[suspira] Fin.
"""


def picture_film(folder: Path, codec: str) -> Path:
    """Make a film with Spanish subtitles that are pictures, of a VobSub file made by hand."""
    (folder / "s.idx").write_text(
        "# VobSub index file, v7 (do not modify this line!)\nsize: 64x48\n"
        "palette: " + ", ".join(["ffffff"] * 16) + "\nid: es, index: 0\n"
        "timestamp: 00:00:00:500, filepos: 000000000\n"
    )
    picture = b"\x40\x40"  # two rows of one colour, of DVD's run lengths
    at = 4 + len(picture)
    control = bytes([0, 0, 0, at, 3, 0x32, 0x10, 4, 0xFF, 0xF0, 5, 0, 0, 3, 0, 0, 1, 6, 0, 4, 0, 5,
                     1, 0xFF])  # fmt: skip
    packet = (at + len(control)).to_bytes(2, "big") + at.to_bytes(2, "big") + picture + control
    body = b"\x81\x80\x05\x21\x00\x03\x5f\x91\x20" + packet
    pack = b"\x00\x00\x01\xba\x44\x00\x04\x00\x04\x01\x00\x00\x03\xf8\x00\x00\x01\xbd"
    (folder / "s.sub").write_bytes(
        (pack + len(body).to_bytes(2, "big") + body).ljust(2048, b"\xff")
    )
    path = folder / "Film.mkv"
    ffmpeg("-f", "lavfi", "-i", "sine=d=3", "-f", "lavfi", "-i", "color=s=64x48:d=3",
           "-i", folder / "s.idx", "-map", "0", "-map", "1", "-map", "2", "-c:v", "mpeg4",
           "-c:s", codec, "-metadata:s:s:0", "language=spa", path)  # fmt: skip
    return path


class TestText:
    @pytest.mark.parametrize(
        ("shown", "spoken"),
        [
            ("JOHN: Come here.", "Come here."),
            ("- MRS. O'HARA: Come.", "Come."),
            ("ŁUCJA: Chodź.", "Chodź."),
            ("John: come here.", "John: come here."),
            ("Now: go.", "Now: go."),
            ("At 12:30 we leave.", "At 12:30 we leave."),
            ("[door slams] What?", "What?"),
            ("(laughs) Yes.", "Yes."),
            ("Yes. [a long\nnoise]", "Yes."),
            ("- Hi.\n- Hello.", "Hi. Hello."),
            ("Well-known\nwords", "Well-known words"),
            (r"{\an8}<font color='red'>Up <b>here</b></font>", "Up here"),
            ("Tom &amp; Ana", "Tom & Ana"),
            ("2 < 3 and 5 > 4", "2 < 3 and 5 > 4"),
            ("♪ la la ♪\nStop it!", ""),
            ("Stop it!\n♪ la la ♪", "Stop it!"),
        ],
    )
    def test_what_is_said(self, shown: str, spoken: str) -> None:
        """Only what is said aloud is left of a cue."""
        assert said(shown, "End.") == ([spoken, "End."] if spoken else ["End."])

    @pytest.mark.parametrize(
        "shown",
        ["[music]", "(sighs)", "♪♪", "# la la la #", "...", "-", "Subtitles by www.example.com",
         "Synced: https://example.org"],
    )  # fmt: skip
    def test_what_is_not_said(self, shown: str) -> None:
        """Sounds, songs, dots and credits are no lines."""
        assert said("First.", shown, "Last.") == ["First.", "Last."]

    def test_signs_and_drawings(self) -> None:
        """Styled signs, drawings and comments of SubStation files are not said."""
        text = (
            "[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname\n"
            "Style: Default,Arial\nStyle: Signs,Arial\n\n[Events]\n"
            "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
            "Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,Hola,\\Nmundo\n"
            "Dialogue: 1,0:00:01.00,0:00:02.00,Default,,0,0,0,,{\\blur3}Hola,\\Nmundo\n"
            "Dialogue: 0,0:00:03.00,0:00:04.00,Signs,,0,0,0,,CALLE\n"
            "Dialogue: 0,0:00:05.00,0:00:06.00,Default,,0,0,0,,{\\p1}m 0 0 l 1 1\n"
            "Comment: 0,0:00:07.00,0:00:08.00,Default,,0,0,0,,nota\n"
        )
        assert parse_subtitles(text.encode(), "es").cues == [Cue(1, 2, "Hola, mundo")]

    @pytest.mark.parametrize(
        ("encoding", "language"),
        [
            ("utf-8", "pl"),
            ("utf-8-sig", "pl"),
            ("utf-16", "pl"),
            ("utf-16-le", "pl"),
            ("utf-16-be", "pl"),
            ("cp1250", "pl"),
        ],
    )
    def test_encodings(self, encoding: str, language: str) -> None:
        """Unicode in every form and the old encoding of the language are read."""
        text = srt("Zażółć gęślą jaźń.", "Koniec.").encode(encoding)
        assert parse_subtitles(text, language).cues[0].text == "Zażółć gęślą jaźń."

    @pytest.mark.parametrize(
        ("text", "encoding", "language"),
        [("Привет.", "cp1251", "ru"), ("¿Qué?", "cp1252", "es"), ("こんにちは", "cp932", "ja"),
         ("你好", "gb18030", "zh"), ("Καλημέρα", "cp1253", "el")],
    )  # fmt: skip
    def test_old_encodings(self, text: str, encoding: str, language: str) -> None:
        """Each language's own old encoding is known."""
        assert parse_subtitles(srt(text).encode(encoding), language).cues[0].text == text

    def test_windows_lines(self) -> None:
        """Line ends of any system are understood."""
        for ending in ("\r\n", "\r"):
            data = srt("Uno\ndos", "Tres").replace("\n", ending).encode()
            assert [cue.text for cue in parse_subtitles(data, "es").cues] == ["Uno dos", "Tres"]

    def test_order_and_nonsense_times(self) -> None:
        """Cues come in order of start; one that ends before it starts is dropped."""
        text = (
            "1\n00:00:05,000 --> 00:00:06,000\nB\n\n2\n00:00:01,000 --> 00:00:02,000\nA\n\n"
            "3\n00:00:09,000 --> 00:00:08,000\nC\n"
        )
        assert [cue.text for cue in parse_subtitles(text.encode(), "en").cues] == ["A", "B"]

    @pytest.mark.parametrize("data", [b"", b"\x00" * 100, b"\xff\xfe", b"no subtitles", b"\x89PNG"])
    def test_unusable(self, data: bytes) -> None:
        """What is no subtitle file is refused with a reason."""
        with pytest.raises(SubtitlesUnusable):
            parse_subtitles(data, "es")

    def test_size_limit(self) -> None:
        """A file of exactly the limit is read, one byte more is refused."""
        body = srt("Hola.").encode()
        padded = body + b"\n" * (MAX_BYTES - len(body))
        assert parse_subtitles(padded, "es").cues[0].text == "Hola."
        with pytest.raises(SubtitlesUnusable, match="larger"):
            parse_subtitles(padded + b"\n", "es")

    @pytest.mark.timeout(60)
    @pytest.mark.parametrize("piece", ["\n", "<a", "{", "[(", "\n 1", "- ", "♪", "&#", "A:", "a."])
    def test_made_to_be_slow(self, piece: str) -> None:
        """A file made to be slow takes no longer than any other of its size."""
        text = srt("Hola.") + "\n2\n00:00:02,000 --> 00:00:03,000\n" + piece * 400_000 + "\nend"
        assert parse_subtitles(text.encode(), "es")

    @settings(max_examples=300, deadline=None)
    @given(
        st.binary(max_size=600)
        | st.text(max_size=300).map(lambda t: srt(t).encode("utf-8", "replace")),
        st.sampled_from(["es", "pl", "zh", "ja"]),
    )
    def test_any_bytes(self, data: bytes, language: str) -> None:
        """Whatever a file holds, it is read or refused."""
        for head in (b"", b"WEBVTT\n\n00:01.000 --> 00:02.000\n", b"[Script Info]\n[Events]\n",
                     b"[V4 Styles]\n[Script Info]\n[Events]\nDialogue: "):  # fmt: skip
            try:
                told = parse_subtitles(head + data, language)
            except SubtitlesUnusable:
                continue
            cues = [*told.cues, *told.songs]
            assert all(cue.text.strip() and cue.start_s < cue.end_s for cue in cues)


class TestWriting:
    def test_round_trip(self, tmp_path: Path) -> None:
        """What is written is read back with the same times and words."""
        cues = [Cue(0.5, 1.25, "¿Qué tal?"), Cue(3661.001, 3662.0, "Zażółć gęślą jaźń.")]
        write_srt(cues, tmp_path / "a.srt")
        assert read_subtitles(tmp_path / "a.srt", "es").cues == cues
        assert (tmp_path / "a.srt").read_text(encoding="utf-8") == (
            "1\n00:00:00,500 --> 00:00:01,250\n¿Qué tal?\n\n"
            "2\n01:01:01,001 --> 01:01:02,000\nZażółć gęślą jaźń.\n"
        )

    @pytest.mark.parametrize(("length", "rows"), [(42, 1), (43, 2)])
    def test_width(self, tmp_path: Path, length: int, rows: int) -> None:
        """Forty-two characters stay on one line, one more makes two of about equal length."""
        text = ("abcd efgh " * 5)[: length - 1] + "x"
        write_srt([Cue(0, 5, text)], tmp_path / "a.srt")
        written = (tmp_path / "a.srt").read_text().splitlines()[2:]
        assert len(written) == rows
        assert max(map(len, written)) <= (42 if rows == 1 else 26)

    def test_long_text_is_split_in_time(self, tmp_path: Path) -> None:
        """A text for more than two lines becomes several cues that fill the same time."""
        text = " ".join(f"word{n}" for n in range(40))
        write_srt([Cue(10, 20, text)], tmp_path / "a.srt")
        cues = read_subtitles(tmp_path / "a.srt", "en").cues
        assert len(cues) > 2
        assert " ".join(cue.text for cue in cues) == text
        assert (cues[0].start_s, cues[-1].end_s) == (10, 20)
        assert all(a.end_s == b.start_s for a, b in pairwise(cues))

    def test_wide_characters(self, tmp_path: Path) -> None:
        """Chinese takes half as many characters on a line."""
        write_srt([Cue(0, 5, "汉" * 30)], tmp_path / "a.srt")
        rows = (tmp_path / "a.srt").read_text().splitlines()[2:]
        assert max(map(len, rows)) <= 21

    def test_hostile_text(self, tmp_path: Path) -> None:
        """A text cannot end its cue, start another or bring markup."""
        text = "a\n\n2\n00:00:09,000 --> 00:00:10,000\n<b>b\x00\ud800"
        write_srt([Cue(1, 2, text)], tmp_path / "a.srt")
        written = (tmp_path / "a.srt").read_text(encoding="utf-8")
        assert written.startswith("1\n00:00:01,000 --> 00:00:02,000\na 2 00:00:09")
        assert written.count("-->") == 1
        assert "\n\n" not in written
        assert "<" not in written

    def test_no_overlap_and_no_empty_cue(self, tmp_path: Path) -> None:
        """What ends a moment late ends where the next starts; none is without text or time."""
        cues = [Cue(0, 4.19, "one"), Cue(3, 4, "  "), Cue(4, 6, "two"), Cue(6, 6, "three")]
        write_srt(cues, tmp_path / "a.srt")
        assert read_subtitles(tmp_path / "a.srt", "en").cues == [Cue(0, 4, "one"), Cue(4, 6, "two")]

    @pytest.mark.parametrize(("other_s", "alone"), [(0.8, True), (0.79, False)])
    def test_what_two_say_at_once_is_shown_with_dashes(
        self, tmp_path: Path, other_s: float, alone: bool
    ) -> None:
        """Who talks before the other is shown alone, unless that is for a moment only."""
        write_srt([Cue(0, 2, "Not now!"), Cue(other_s, 1.5, "Listen.")], tmp_path / "a.srt")
        first = "1\n00:00:00,000 --> 00:00:00,800\nNot now!\n\n2\n00:00:00,800" if alone else (
            "1\n00:00:00,000"
        )  # fmt: skip
        assert (tmp_path / "a.srt").read_text() == (
            f"{first} --> 00:00:02,000\n- Not now!\n- Listen.\n"
        )

    def test_who_is_interrupted_goes_on(self, tmp_path: Path) -> None:
        """A long text keeps all its words in order, and the other stands beside it once."""
        text = " ".join(f"word{n}" for n in range(20))
        write_srt([Cue(0, 10, text), Cue(4, 5, "No!"), Cue(9.9, 12, "Next.")], tmp_path / "a.srt")
        blocks = (tmp_path / "a.srt").read_text().strip().split("\n\n")
        shown = [block.split("\n")[2:] for block in blocks]
        assert [rows for rows in shown if len(rows) > 1] == [
            ["- word6 word7 word8 word9 word10 word11", "- No!"]
        ]
        said = dict.fromkeys(rows[0].removeprefix("- ") for rows in shown)
        assert " ".join(said) == f"{text} Next."

    def test_nobody_is_left_out_where_three_talk(self, tmp_path: Path) -> None:
        cues = [Cue(0, 5, "one"), Cue(0, 5, "two"), Cue(0, 5, "three")]
        write_srt(cues, tmp_path / "a.srt")
        written = (tmp_path / "a.srt").read_text()
        assert all(f"- {cue.text}\n" in written for cue in cues)

    def test_nothing_to_write(self, tmp_path: Path) -> None:
        """No lines make an empty file."""
        write_srt([], tmp_path / "a.srt")
        assert (tmp_path / "a.srt").read_bytes() == b""

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 20), st.text(max_size=200))))
    def test_always_well_formed(
        self, tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, float, str]]
    ) -> None:
        """Whatever is said, the file has rising times and lines of bounded width."""
        path = tmp_path_factory.getbasetemp() / "h.srt"
        write_srt([Cue(a, a + b, text) for a, b, text in sorted(rows)], path)
        text = path.read_text(encoding="utf-8")
        for block in filter(None, text.split("\n\n")):
            number, times, *shown = block.strip("\n").split("\n")
            assert number.isdigit()
            start, end = times.split(" --> ")
            assert start < end
            assert 1 <= len(shown) <= 2
            assert all(len(row) <= MAX_LINE_CHARS for row in shown)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("a\x1b2Jb\x07c", "a 2Jb c"),
        ("&#27;]0;owned&#7; d", "]0;owned d"),
        ("e\N{RIGHT-TO-LEFT OVERRIDE}f\N{POP DIRECTIONAL FORMATTING}", "ef"),
        ("g&#x202e;h\N{SOFT HYPHEN}i\N{ZERO WIDTH SPACE}j\ufeff", "ghij"),
        ("می\N{ZERO WIDTH NON-JOINER}خواهم", "می\N{ZERO WIDTH NON-JOINER}خواهم"),
        ("two\nrows", "two rows"),
    ],
)
def test_what_is_neither_seen_nor_said_is_left_out(written: str, read: str) -> None:
    """Control characters and what turns the direction of writing; joiners belong to words."""
    found = parse_subtitles(f"1\n00:00:01,000 --> 00:00:02,000\n{written}\n".encode(), "fa")
    assert [cue.text for cue in found.cues] == [read]
