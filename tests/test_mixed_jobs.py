"""What the settings of a mix do to published tracks: whole jobs on fakes, real files, ffmpeg."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from dubarr_watch.dubbing.balance import MixLine
from dubarr_watch.dubbing.codecs import TrackCodec
from dubarr_watch.dubbing.extraction import extract_audio
from dubarr_watch.dubbing.layouts import STEREO
from dubarr_watch.dubbing.levels import Loudness, parse_loudness
from dubarr_watch.dubbing.mixing import mix
from dubarr_watch.dubbing.muxing import publish_muxed
from dubarr_watch.dubbing.programme import Programme
from dubarr_watch.dubbing.report import Summary
from dubarr_watch.dubbing.timeline import PlacedTake
from dubarr_watch.dubbing.workspace import JobControl
from dubarr_watch.engines.base import Span
from dubarr_watch.languages import parse_language
from dubarr_watch.media import probe, run_ffmpeg
from dubarr_watch.runner import Ended
from dubarr_watch.settings import LoudnessGoal, MixStyle
from dubarr_watch.store.records import JobState
from tests.composing import TONE_HZ, Shop, ffmpeg, make_talk, open_shop, share_of, sound_of

SECONDS = 6


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        yield opened


def ebur128(path: Path, stream: int) -> Loudness:
    words = run_ffmpeg(
        ["-i", f"file:{path}", "-map", f"0:a:{stream}", "-af", "ebur128=peak=true", "-f", "null",
         "-"], path=path,
    )  # fmt: skip
    return parse_loudness(words, path)


def summary_of(ended: Ended) -> Summary:
    assert ended.result is not None
    report = ended.result.languages[0].report
    assert report is not None
    return report.summary


def make_surround(path: Path, channels: int, codec: str) -> Path:
    """Make a video that talks in its centre, with music of another pitch in each other channel."""
    layout = {6: "5.1", 8: "7.1"}[channels]
    tones = [f"0.05*sin(2*PI*{200 + 60 * n}*t)" for n in range(channels)]
    tones[2] = f"0.3*sin(2*PI*{TONE_HZ}*t)"
    video = "libvpx" if path.suffix == ".webm" else "mpeg4"
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=64x48:r=5:d={SECONDS}",
           "-f", "lavfi", "-i", f"aevalsrc={'|'.join(tones)}:c={layout}:s=48000:d={SECONDS}",
           "-c:v", video, "-c:a", codec, *(["-mapping_family:a", "1"] if "opus" in codec else []),
           f"file:{path}")  # fmt: skip
    return path


class TestSurround:
    @pytest.mark.parametrize(
        ("suffix", "channels", "original", "codec", "layout"),
        [
            (".mkv", 6, "ac3", "eac3", "5.1"),
            (".mkv", 8, "flac", "flac", "7.1"),
            (".mkv", 8, "aac", "aac", "7.1"),
            (".mp4", 6, "aac", "eac3", "5.1"),
            (".mp4", 8, "aac", "aac", "7.1"),
            (".mov", 6, "pcm_s16le", "eac3", "5.1"),
            (".mov", 8, "pcm_s16le", "aac", "7.1"),
            (".ts", 6, "ac3", "ac3", "5.1"),
            (".ts", 8, "aac", "ac3", "5.1"),
            (".avi", 6, "ac3", "ac3", "5.1"),
            (".webm", 6, "libopus", "opus", "5.1"),
            (".webm", 8, "libopus", "opus", "7.1"),
        ],
    )
    def test_a_dub_in_the_video_has_the_channels_of_the_original(
        self, suffix: str, channels: int, original: str, codec: str, layout: str, shop: Shop
    ) -> None:
        """As far as its container and a codec hold them, else fewer, and the report says so."""
        film = make_surround(shop.videos / f"Film{suffix}", channels, original)
        ended = shop.dub(film, "es", mode="mux")
        assert ended.job.state is JobState.DONE, ended.job.reason
        before, dub = probe(film).of_kind("audio")
        assert before.channels == channels
        assert (dub.codec, dub.layout.replace("(side)", "")) == (codec, layout)
        got = ebur128(film, 1)
        assert got.integrated_lufs == pytest.approx(-23, abs=0.5)
        assert got.true_peak_dbtp <= -1.5
        notes = summary_of(ended).notes
        assert any("5.1 instead of 7.1" in n for n in notes) == (channels == 8 and layout == "5.1")

    def test_stereo_where_it_is_asked_for(self, shop: Shop) -> None:
        """STEREO=true: two channels of which both carry the centre's dub."""
        shop.set(stereo=True)
        film = make_surround(shop.videos / "Film.mkv", 6, "ac3")
        track = shop.track(shop.dub(film, "es").job)
        (stream,) = probe(track).streams
        assert (stream.codec, stream.channels, stream.layout) == ("aac", 2, "stereo")
        assert ebur128(track, 0).integrated_lufs == pytest.approx(-23, abs=0.5)


class TestSettings:
    @pytest.mark.parametrize("volume", [0.03, 0.6])
    @pytest.mark.parametrize("goal", list(LoudnessGoal))
    def test_a_track_is_at_its_loudness(
        self, volume: float, goal: LoudnessGoal, shop: Shop
    ) -> None:
        """LOUDNESS: -23 LUFS, or that of the original's own track, however loud that is."""
        shop.set(loudness=goal)
        film = shop.videos / "Film.mkv"
        ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=5:d=8", "-f", "lavfi", "-i",
               f"sine={TONE_HZ}:r=44100:d=8,volume={volume}*8,aformat=channel_layouts=stereo",
               "-c:v", "mpeg4", "-c:a", "aac", film)  # fmt: skip
        ended = shop.dub(film, "es")
        got = ebur128(shop.track(ended.job), 0)
        wanted = ebur128(film, 0).integrated_lufs if goal is LoudnessGoal.MATCH else -23
        assert got.integrated_lufs == pytest.approx(wanted, abs=0.5)
        assert got.true_peak_dbtp <= -1.5
        told = summary_of(ended)
        assert told.loudness_lufs == pytest.approx(got.integrated_lufs, abs=0.11)
        assert told.true_peak_dbtp == pytest.approx(got.true_peak_dbtp, abs=0.21)

    def test_a_voice_over_keeps_the_original_audible(self, shop: Shop) -> None:
        """MIX_STYLE=voiceover for every job: the voice stands as clear as need be, and no more."""
        heard, depth = {}, {}
        for style in MixStyle:
            shop.set(mix_style=style)
            film = make_talk(shop.videos / f"{style.value}.mkv")
            ended = shop.dub(film, "es")
            track, depth[style] = shop.track(ended.job), summary_of(ended).depth_lu or 0.0
            heard[style] = share_of(sound_of(track), TONE_HZ)
            assert ebur128(track, 0).integrated_lufs == pytest.approx(-23, abs=0.5)
        assert 10 <= depth[MixStyle.VOICEOVER] <= 14 < depth[MixStyle.DUB]
        assert heard[MixStyle.VOICEOVER] > heard[MixStyle.DUB] + 0.03


class TestTwoHours:
    """Clicks in original and dub, seconds before the end of a film of two hours."""

    LENGTH_S, RATE, OFFSET_S = 7200, 44_100, 1.3337
    CLICKS_S = (30.0, 3600.0, 7180.0)
    TAKES_S = (40.0, 3610.0, 7190.25)

    def test_all_is_in_place_to_20_ms(self, tmp_path: Path) -> None:
        """At 23.976 frames a second of varying length, with 44.1 kHz that start late and end early.

        In the published video: the original's track, and both sounds of the dub's.
        """
        film = self.film(tmp_path)
        audio = extract_audio(probe(film), tmp_path, source=None, control=JobControl())
        assert audio.duration_s == pytest.approx(self.LENGTH_S, abs=1.5)
        take = tmp_path / "take.wav"
        soundfile.write(take, self.click(24_000), 24_000)
        heard_s = [click + self.OFFSET_S for click in self.CLICKS_S]
        lines = [
            MixLine(PlacedTake(take, at, 0.2), Span(click, click + 0.2), 0)
            for at, click in zip(self.TAKES_S, heard_s, strict=True)
        ]
        dub = tmp_path / "dub.mka"
        codec = TrackCodec("flac", STEREO, 0)  # the quickest; others are held to 1 ms elsewhere
        mix(Programme(audio.bed, audio.bed, lines, audio.duration_s), dub, codec=codec)
        spanish = parse_language("es")
        publish_muxed(film, [(spanish, dub)], work=tmp_path, still_there=lambda: None, job=7)
        for stream, places in ((0, heard_s), (1, heard_s), (1, self.TAKES_S)):
            for at in places:
                assert self.onset_s(film, stream, at) == pytest.approx(at, abs=0.02)

    def film(self, folder: Path) -> Path:
        """Make a film whose sound starts late, and ends before its picture does."""
        silence = np.zeros((self.RATE, 2), dtype=np.int16)
        with soundfile.SoundFile(folder / "sound.flac", "w", self.RATE, 2, "PCM_16") as file:
            for second in range(self.LENGTH_S - 15):
                part = silence
                if second in self.CLICKS_S:
                    part = silence.copy()
                    click = 32767 * self.click(self.RATE)
                    part[: len(click)] = click[:, None]
                file.write(part)
        film = folder / "Film.mkv"
        few = "select='not(mod(n\\,24))+lt(mod(n\\,2400)\\,50)'"
        picture = f"color=s=16x16:r=24000/1001:d={self.LENGTH_S},{few}"
        ffmpeg("-f", "lavfi", "-i", picture,
               "-itsoffset", str(self.OFFSET_S), "-i", folder / "sound.flac", "-map", "0",
               "-map", "1", "-fps_mode", "vfr", "-c:v", "mpeg4", "-c:a", "copy", film)  # fmt: skip
        return film

    @staticmethod
    def click(rate: int) -> NDArray[np.float64]:
        return 0.5 * np.sin(2 * np.pi * 1000 * np.arange(round(0.2 * rate)) / rate)

    @staticmethod
    def onset_s(film: Path, stream: int, near_s: float) -> float:
        """Return where sound begins in the second around a moment, on the picture's clock."""
        start_s = near_s - 0.5
        raw = ffmpeg("-ss", f"{start_s:.4f}", "-i", film, "-map", f"0:a:{stream}", "-t", "1",
                     "-af", "aresample=48000:async=1:first_pts=0", "-ac", "1", "-f", "f32le",
                     "-")  # fmt: skip
        heard = np.abs(np.frombuffer(raw, dtype=np.float32))
        assert heard.max() > 0.01
        return start_s + float(np.argmax(heard > 0.3 * heard.max())) / 48_000
