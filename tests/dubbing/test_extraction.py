"""The original's sound, decoded once."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dubarr_watch.dubbing.extraction import SourceAudio, choose_stream, extract_audio
from dubarr_watch.dubbing.workspace import JobControl
from dubarr_watch.errors import JobCancelled, MediaError, NoAudio
from dubarr_watch.languages import parse_language
from dubarr_watch.media import Probe, Stream, ffmpeg_path, probe

PICTURE = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=4")


def make(path: Path, *arguments: str | Path) -> Path:
    command = [ffmpeg_path(), "-v", "error", "-nostdin", "-y", *map(str, arguments), str(path)]
    subprocess.run(command, check=True)
    return path


def extract(video: Path, folder: Path, *, source: str = "") -> SourceAudio:
    folder.mkdir(exist_ok=True)
    wanted = parse_language(source) if source else None
    return extract_audio(probe(video), folder, source=wanted, control=JobControl(stall_s=20))


def first_sound_s(path: Path) -> float:
    samples, rate = soundfile.read(path, always_2d=True)
    return float(np.argmax(np.abs(samples).max(axis=1) > 0.02) / float(rate))


def pitch_hz(path: Path, start_s: float = 1.0) -> float:
    samples = soundfile.read(path, always_2d=True)[0]
    rate: int = soundfile.info(path).samplerate
    part = samples[round(start_s * rate) : round((start_s + 1) * rate)].sum(axis=1)
    return float(np.argmax(np.abs(np.fft.rfft(part * np.hanning(len(part)))))) * rate / len(part)


class TestTimeLine:
    def test_a_late_start_is_filled_with_silence(self, tmp_path: Path) -> None:
        """Sound that starts 1.3 s after the picture starts there in both files, offset kept."""
        video = make(tmp_path / "v.mkv", *PICTURE, "-itsoffset", "1.3", "-f", "lavfi", "-i",
                     "sine=440:d=2", "-c:v", "mpeg4", "-c:a", "flac")  # fmt: skip
        audio = extract(video, tmp_path / "work")
        assert audio.offset_s == pytest.approx(1.3, abs=0.002)
        assert first_sound_s(audio.models) == pytest.approx(1.3, abs=0.005)
        assert first_sound_s(audio.bed) == pytest.approx(1.3, abs=0.005)
        assert soundfile.info(audio.models).duration == pytest.approx(3.3, abs=0.01)

    def test_what_lies_before_the_picture_counts_from_its_own_start(self, tmp_path: Path) -> None:
        """Sound that starts first is the start of the time line, as players show it."""
        video = make(tmp_path / "v.mkv", "-itsoffset", "0.7", *PICTURE, "-f", "lavfi", "-i",
                     "sine=440:d=4", "-c:v", "mpeg4", "-c:a", "flac")  # fmt: skip
        audio = extract(video, tmp_path / "work")
        assert audio.offset_s == pytest.approx(0.0, abs=0.002)
        assert first_sound_s(audio.models) < 0.01
        assert soundfile.info(audio.bed).duration == pytest.approx(4, abs=0.01)

    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("shifted.ts", ["-c:a", "mp2", "-output_ts_offset", "7000"]),
            ("edited.mp4", ["-c:a", "aac"]),
            ("edited.mov", ["-c:a", "pcm_s16le"]),
        ],
    )
    def test_the_container_clock_does_not_matter(
        self, name: str, options: list[str], tmp_path: Path
    ) -> None:
        """A recording whose clock starts at 7000 s, or behind an edit list, starts at 0."""
        sound = "aevalsrc=0.3*sin(2*PI*440*t)*gt(t\\,1):d=4"
        video = make(tmp_path / name, *PICTURE, "-f", "lavfi", "-i", sound, "-c:v", "mpeg4",
                     *options)  # fmt: skip
        audio = extract(video, tmp_path / "work")
        assert first_sound_s(audio.models) == pytest.approx(1.0, abs=0.05)
        assert abs(audio.offset_s) < 0.05

    def test_a_hole_in_the_sound_keeps_what_follows_in_place(self, tmp_path: Path) -> None:
        """Packets lost in the middle become silence."""
        whole = make(tmp_path / "w.mkv", *PICTURE, "-f", "lavfi", "-i",
                     "aevalsrc=0.3*sin(2*PI*440*t)*gt(t\\,3):d=4", "-c:v", "mpeg4",
                     "-c:a", "flac")  # fmt: skip
        holed = make(tmp_path / "v.mkv", "-i", whole, "-c", "copy", "-map", "0", "-bsf:a",
                     "noise=drop='between(pts*tb\\,1\\,2)'")  # fmt: skip
        audio = extract(holed, tmp_path / "work")
        assert first_sound_s(audio.models) == pytest.approx(3, abs=0.12)

    def test_sound_shorter_or_longer_than_the_picture_is_kept(self, tmp_path: Path) -> None:
        """The length is the file's; the sound is as long as it is."""
        for seconds in (2, 6):
            video = make(tmp_path / f"{seconds}.mkv", *PICTURE, "-f", "lavfi", "-i",
                         f"sine=d={seconds}", "-c:v", "mpeg4", "-c:a", "flac")  # fmt: skip
            audio = extract(video, tmp_path / "work")
            assert soundfile.info(audio.bed).duration == pytest.approx(seconds, abs=0.01)
            assert audio.duration_s == pytest.approx(max(seconds, 4), abs=0.05)


class TestForms:
    @pytest.mark.parametrize(
        ("layout", "rate", "channels"),
        [
            ("mono", 8_000, 2),
            ("stereo", 44_100, 2),
            ("quad", 48_000, 4),
            ("5.1", 48_000, 6),
            ("5.1(side)", 48_000, 6),
            ("6.1", 48_000, 7),
            ("7.1", 96_000, 8),
        ],
    )
    def test_every_layout_and_rate_becomes_two_files(
        self, layout: str, rate: int, channels: int, tmp_path: Path
    ) -> None:
        """16 kHz mono for the models, 48 kHz in its own layout for the mix, the pitch unchanged."""
        sound = f"sine=500:r={rate}:d=3,aformat=channel_layouts={layout}"
        video = make(tmp_path / "v.mkv", "-f", "lavfi", "-i", sound, "-c:a", "flac")
        audio = extract(video, tmp_path / "work")
        models, bed = soundfile.info(audio.models), soundfile.info(audio.bed)
        assert (models.samplerate, models.channels, models.subtype) == (16_000, 1, "PCM_16")
        assert (bed.samplerate, bed.channels, bed.format) == (48_000, channels, "FLAC")
        assert pitch_hz(audio.models) == pytest.approx(500, abs=2)
        assert pitch_hz(audio.bed) == pytest.approx(500, abs=2)

    def test_the_centre_of_surround_sound_is_heard(self, tmp_path: Path) -> None:
        """Dialogue lies in the centre channel and reaches both files."""
        sound = "aevalsrc=0|0|0.5*sin(2*PI*500*t)|0|0|0:c=5.1:d=3"
        video = make(tmp_path / "v.mkv", "-f", "lavfi", "-i", sound, "-c:a", "flac")
        audio = extract(video, tmp_path / "work")
        assert np.abs(soundfile.read(audio.models)[0]).max() > 0.1
        heard = np.abs(soundfile.read(audio.bed)[0]).max(axis=0)
        assert [level > 0.1 for level in heard] == [False, False, True, False, False, False]

    def test_stereo_is_mixed_down_where_it_is_asked_for(self, tmp_path: Path) -> None:
        """STEREO=true: the centre is heard on both sides."""
        sound = "aevalsrc=0|0|0.5*sin(2*PI*500*t)|0|0|0:c=5.1:d=3"
        video = make(tmp_path / "v.mkv", "-f", "lavfi", "-i", sound, "-c:a", "flac")
        audio = extract_audio(
            probe(video), tmp_path, source=None, stereo=True, control=JobControl()
        )
        heard = np.abs(soundfile.read(audio.bed)[0]).max(axis=0)
        assert heard.shape == (2,)
        assert heard.min() > 0.1

    def test_levels_are_measured_with_it(self, tmp_path: Path) -> None:
        """Every mix of the video finds them beside the bed."""
        video = make(tmp_path / "v.mkv", "-f", "lavfi", "-i", "sine=d=3", "-c:a", "flac")
        audio = extract(video, tmp_path / "work")
        assert np.load(f"{audio.bed}.levels.npy").shape == (30, 2)
        assert audio.codec == "flac"

    def test_a_truncated_video_gives_what_it_has(self, tmp_path: Path) -> None:
        """Half a file is decoded as far as it goes."""
        whole = make(tmp_path / "w.mkv", *PICTURE, "-f", "lavfi", "-i", "sine=d=4", "-c:v",
                     "mpeg4", "-c:a", "flac")  # fmt: skip
        video = tmp_path / "v.mkv"
        video.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        audio = extract(video, tmp_path / "work")
        assert 0.5 < soundfile.info(audio.models).duration < 3.9

    def test_cancelling_ends_it(self, tmp_path: Path) -> None:
        """Cancelled while it decodes, the job stops."""
        video = make(tmp_path / "v.mkv", "-f", "lavfi", "-i", "sine=d=1500:r=8000", "-c:a", "flac")
        with pytest.raises(JobCancelled):
            extract_audio(
                probe(video), tmp_path, source=None, control=JobControl(cancelled=lambda: True)
            )

    def test_a_video_that_is_gone_is_an_error(self, tmp_path: Path) -> None:
        """Deleted between looking and decoding: the error names it."""
        video = make(tmp_path / "v.mkv", "-f", "lavfi", "-i", "sine=d=1", "-c:a", "flac")
        found = probe(video)
        video.unlink()
        with pytest.raises(MediaError) as caught:
            extract_audio(found, tmp_path, source=None, control=JobControl())
        assert caught.value.path == video


def stream(
    index: int, language: str = "", *, title: str = "", marks: tuple[str, ...] = ()
) -> Stream:
    return Stream(index, "audio", "aac", language, title, 2, 48_000, 0.0, None, frozenset(marks))


def chosen(*streams: Stream, source: str = "") -> int:
    found = Probe(Path("v.mkv"), "matroska", 10, 0, 1, streams)
    return choose_stream(found, parse_language(source) if source else None).index


class TestChoosing:
    def test_the_default_stream_is_taken(self) -> None:
        """The default wins over the first, the first over the rest."""
        assert chosen(stream(1), stream(2, marks=("default",))) == 2
        assert chosen(stream(1), stream(2)) == 1

    @pytest.mark.parametrize(
        "other",
        [
            stream(1, "eng", title="Director's Commentary", marks=("default",)),
            stream(1, "eng", title="Kommentar der Regie", marks=("default",)),
            stream(1, "eng", title="Commentaires", marks=("default",)),
            stream(1, "eng", title="Audio Description", marks=("default",)),
            stream(1, "eng", title="Polish (AI dub)", marks=("default",)),
            stream(1, "eng", marks=("default", "comment")),
            stream(1, "eng", marks=("default", "visual_impaired")),
        ],
        ids=lambda other: other.title or "marked",
    )
    def test_what_talks_over_the_film_is_never_chosen(self, other: Stream) -> None:
        """Commentary, audio description and our own dubs lose, default and language or not."""
        assert chosen(other, stream(2, "fre")) == 2
        assert chosen(other, stream(2, "fre"), source="en") == 2

    def test_a_commentary_alone_is_better_than_nothing(self) -> None:
        """Where there is nothing else, it is what is spoken."""
        assert chosen(stream(1, title="Commentary")) == 1

    def test_the_source_language_is_taken(self) -> None:
        """SOURCE_LANG wins over the default, in any form of its code."""
        french, german = stream(1, "fre", marks=("default",)), stream(2, "deu")
        assert chosen(french, german, source="de") == 2
        assert chosen(french, german, source="it") == 1

    def test_a_video_without_sound_cannot_be_dubbed(self) -> None:
        """The error names the file."""
        with pytest.raises(NoAudio) as caught:
            chosen()
        assert caught.value.path == Path("v.mkv")
