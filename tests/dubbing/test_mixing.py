"""The dub over the bed, on real ffmpeg."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from scipy.signal import correlate

from dubarr_watch.dubbing import encoding, mixing
from dubarr_watch.dubbing.balance import MixLine
from dubarr_watch.dubbing.codecs import TrackCodec
from dubarr_watch.dubbing.ducking import ATTACK_S, DUCK_DB, RELEASE_S, Duck, Ducker
from dubarr_watch.dubbing.layouts import STEREO
from dubarr_watch.dubbing.levels import Loudness, measure_loudness
from dubarr_watch.dubbing.mixing import TARGET_LUFS, MixedTrack, mix
from dubarr_watch.dubbing.programme import MixControl, Programme
from dubarr_watch.dubbing.timeline import SAMPLE_RATE, PlacedTake, write_speech
from dubarr_watch.dubbing.track_check import MAX_TRUE_PEAK_DBTP
from dubarr_watch.engines.base import Span
from dubarr_watch.errors import JobCancelled
from dubarr_watch.media import ffmpeg_path, probe, run_ffmpeg

Sound = NDArray[np.float64]
SECONDS = 12.0
RNG = np.random.default_rng(7)
SPANS = [Span(2.0, 4.0), Span(7.0, 10.0)]


def chirp(seconds: float, rate: int = 24_000) -> Sound:
    """Return a sweep with a slow swell, like nothing else in a mix."""
    times = np.arange(round(seconds * rate)) / rate
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 3 * times)
    return 0.3 * swell * np.sin(2 * np.pi * (300 * times + 400 * times**2))


def hum(seconds: float = SECONDS, level: float = 0.1) -> Sound:
    """Return stereo sound below 150 Hz, apart from every voice."""
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return level * np.stack([np.sin(2 * np.pi * 80 * times), np.sin(2 * np.pi * 130 * times)], 1)


def spoken_film(level: float = 0.02) -> Sound:
    """Return a hum over which somebody speaks in the middle, louder than it, in every span."""
    film = hum(level=level)
    for span in SPANS:
        start, voice = round(span.start_s * SAMPLE_RATE), chirp(span.duration_s, SAMPLE_RATE)
        film[start : start + len(voice)] += voice[:, None]
    return film


def noise(level: float) -> Sound:
    return level * RNG.standard_normal((round(SECONDS * SAMPLE_RATE), 2))


def peaky() -> Sound:
    """Return a quiet floor with a full-scale click every half second."""
    bed = noise(0.002)
    bed[:: SAMPLE_RATE // 2] = 0.99
    return bed


def save_bed(path: Path, sound: Sound) -> Path:
    soundfile.write(path, np.clip(sound, -1, 1), SAMPLE_RATE, subtype="PCM_16")
    return path


def save_take(path: Path, seconds: float, rate: int = 24_000) -> Path:
    soundfile.write(path, chirp(seconds, rate), rate, subtype="PCM_16")
    return path


def decoded(path: Path) -> Sound:
    """Return the samples of a finished track as a player hears them."""
    command = [ffmpeg_path(), "-v", "error", "-i", str(path), "-f", "f32le", "-ac", "2", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, dtype=np.float32).reshape(-1, 2).astype(np.float64)


def level_db(sound: Sound, hz: float, start_s: float, end_s: float) -> float:
    """Return the level of one tone in a stretch of one channel."""
    part = sound[round(start_s * SAMPLE_RATE) : round(end_s * SAMPLE_RATE)]
    times = np.arange(len(part)) / SAMPLE_RATE
    window = np.hanning(len(part))
    strength = np.abs((part * window * np.exp(-2j * np.pi * hz * times)).sum()) / window.sum()
    return float(20 * np.log10(strength))


def said(takes: list[PlacedTake]) -> list[MixLine]:
    """Return lines that the original says where the dub does."""
    return [MixLine(take, Span(take.start_s, take.start_s + take.duration_s), 0) for take in takes]


def mixed(
    bed: Path, lines: list[MixLine], target: Path, *, style: str = "dub", match: bool = False
) -> MixedTrack:
    return mix(Programme(bed, bed, lines, SECONDS, style=style, match=match), target)


@pytest.fixture
def lines(tmp_path: Path) -> list[MixLine]:
    return said([
        PlacedTake(save_take(tmp_path / "0.wav", 2.0), 2.0, 2.0),
        PlacedTake(save_take(tmp_path / "1.wav", 3.0), 7.0, 3.0),
    ])  # fmt: skip


class TestLoudness:
    @pytest.mark.parametrize(
        "sound",
        [
            noise(0.003),
            noise(0.3),
            noise(2.0),
            peaky(),
            hum() * 0,
            hum()[:, 0],
            noise(0.05)[:SAMPLE_RATE],
        ],
        ids=["quiet", "loud", "hissing", "peaky", "silent", "mono", "short"],
    )
    @pytest.mark.parametrize("style", ["dub", "voiceover"])
    def test_every_bed_ends_at_the_same_loudness(
        self, sound: Sound, style: str, lines: list[MixLine], tmp_path: Path
    ) -> None:
        """Within 0.5 LU of -23 LUFS and at most -1.5 dBTP, as measured in the finished file."""
        target = tmp_path / "dub.es.mka"
        told = mixed(save_bed(tmp_path / "bed.wav", sound), lines, target, style=style).loudness
        got = measure_loudness(target)
        assert told.integrated_lufs == pytest.approx(got.integrated_lufs, abs=0.11)
        assert told.true_peak_dbtp == pytest.approx(got.true_peak_dbtp, abs=0.21)
        assert abs(got.integrated_lufs - TARGET_LUFS) <= 0.5
        assert got.true_peak_dbtp <= MAX_TRUE_PEAK_DBTP
        (stream,) = probe(target).streams
        assert (stream.codec, stream.channels, stream.sample_rate) == ("aac", 2, 48_000)
        assert probe(target).duration_s == pytest.approx(SECONDS, abs=0.05)

    @pytest.mark.parametrize("level", [0.005, 0.05, 0.1])
    def test_a_mix_can_be_as_loud_as_the_original(
        self, level: float, lines: list[MixLine], tmp_path: Path
    ) -> None:
        """Switching tracks does not jump: within 0.5 LU of the original's own loudness."""
        bed = save_bed(tmp_path / "bed.wav", noise(level))
        told = mixed(bed, lines, tmp_path / "o.mka", match=True).loudness
        got, wanted = measure_loudness(tmp_path / "o.mka"), measure_loudness(bed)
        assert got.integrated_lufs == pytest.approx(wanted.integrated_lufs, abs=0.5)
        assert got.true_peak_dbtp <= MAX_TRUE_PEAK_DBTP
        assert told.integrated_lufs == pytest.approx(got.integrated_lufs, abs=0.11)

    def test_an_original_without_headroom_is_matched_as_far_as_peaks_allow(
        self, lines: list[MixLine], tmp_path: Path
    ) -> None:
        """A square wave at full scale: what is told is what was reached, peaks are kept."""
        square = np.sign(hum()) * 0.999
        bed = save_bed(tmp_path / "bed.wav", square)
        told = mixed(bed, lines, tmp_path / "o.mka", match=True).loudness
        got = measure_loudness(tmp_path / "o.mka")
        assert got.true_peak_dbtp <= MAX_TRUE_PEAK_DBTP
        assert told.integrated_lufs == pytest.approx(got.integrated_lufs, abs=0.11)


class TestTries:
    """Encoding again until the figures are right, with ffmpeg's measurements scripted."""

    @pytest.mark.parametrize(
        ("measured", "noted"),
        [
            ([(-23.39, -1.65)], ""),
            ([(-24.1, -9.0), (-22.55, -9.0), (-23.44, -9.0)], ""),
            ([(-23.0, -1.4), (-23.0, -1.65)], ""),
            ([(-22.4, -9.0)] * 3, "-22.4 LUFS instead of -23.0"),
            ([(-30.0, -2.0), (-29.0, -2.0), (-28.5, -2.0), (-28.4, -2.0), (-28.5, -2.0),
              (-28.5, -2.0), (-28.4, -2.0)], "-28.4 LUFS instead of -23.0"),
            ([(-23.0, -1.4)] * 6 + [(-24.1, -2.5)], "-24.1 LUFS instead of -23.0"),
        ],
        ids=["at once", "in steps", "peak", "too loud for ever", "ever less", "peak for ever"],
    )  # fmt: skip
    def test_a_mix_is_encoded_until_it_is_right(
        self,
        measured: list[tuple[float, float]],
        noted: str,
        lines: list[MixLine],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Close at first, within the promised 0.5 LU at last; else the nearest, and a note."""
        told = [Loudness(*figures) for figures in measured]
        monkeypatch.setattr(mixing, "check_track", lambda *_: told.pop(0))
        bed = save_bed(tmp_path / "bed.wav", hum())
        got = mixed(bed, lines, tmp_path / "o.mka")
        assert got.loudness == Loudness(round(measured[-1][0], 1), round(measured[-1][1], 1))
        assert told == []
        assert noted in "".join(got.notes)
        assert bool(got.notes) == bool(noted)


class TestOutOfReach:
    """What has no loudness without its peaks is dubbed all the same, as near as it comes."""

    @staticmethod
    def clicks() -> Sound:
        """Return digital silence with one full-scale sample every two seconds."""
        sound = hum() * 0
        sound[:: 2 * SAMPLE_RATE] = 0.999
        return sound

    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("clicks", "no room"),
            ("near silence", "next to nothing"),
            ("silence", "next to nothing"),
        ],
    )
    def test_the_nearest_is_kept_and_said(self, name: str, why: str, tmp_path: Path) -> None:
        """Without a line; peaks are kept, and the note has the figures that ffmpeg measures."""
        sounds = {"clicks": self.clicks(), "near silence": noise(2e-5), "silence": hum() * 0}
        target = tmp_path / "o.mka"
        told = mixed(save_bed(tmp_path / "bed.wav", sounds[name]), [], target)
        got = measure_loudness(target)
        assert got.true_peak_dbtp <= MAX_TRUE_PEAK_DBTP
        assert got.integrated_lufs < TARGET_LUFS - 0.5
        assert told.loudness.integrated_lufs == pytest.approx(got.integrated_lufs, abs=0.11)
        (note,) = told.notes
        assert f"{told.loudness.integrated_lufs:.1f} LUFS instead of -23.0: " in note
        assert why in note
        assert probe(target).duration_s == pytest.approx(SECONDS, abs=0.05)

    def test_a_dub_over_nothing_but_clicks_is_as_loud_as_any(self, tmp_path: Path) -> None:
        """They go down at their own moments, and the bed's silence has no depth to tell."""
        take = PlacedTake(save_take(tmp_path / "t.wav", 1.0), 5.0, 1.0)
        line = MixLine(take, Span(5.0, 6.0), 0)
        bed = save_bed(tmp_path / "bed.wav", self.clicks())
        told = mixed(bed, [line], tmp_path / "o.mka")
        got = measure_loudness(tmp_path / "o.mka")
        assert got.true_peak_dbtp <= MAX_TRUE_PEAK_DBTP
        assert got.integrated_lufs == pytest.approx(TARGET_LUFS, abs=0.5)
        assert (told.depth_lu, told.notes) == (None, ())


class TestDepth:
    """How far the voice stands above what lies under it: 10 LU, or the report says how many."""

    @pytest.mark.parametrize("style", ["dub", "voiceover"])
    def test_a_dub_stands_clear_of_loud_sound(
        self, style: str, lines: list[MixLine], tmp_path: Path
    ) -> None:
        """Noise as loud as any voice in it goes down until 10 LU are told, and heard."""
        high = 0.05 * np.sin(2 * np.pi * 9000 * np.arange(round(SECONDS * SAMPLE_RATE)) / 48_000)
        bed = save_bed(tmp_path / "bed.wav", noise(0.15) + high[:, None])
        told = mixed(bed, lines, tmp_path / "o.mka", style=style)
        assert told.depth_lu is not None
        assert told.depth_lu >= 10
        assert told.notes == ()
        heard = decoded(tmp_path / "o.mka")[:, 0]
        down_db = level_db(heard, 9000, 4.6, 6.7) - level_db(heard, 9000, 7.2, 9.8)
        assert down_db == pytest.approx({"dub": 20, "voiceover": 13.5}[style], abs=1.5)

    def test_a_dub_that_cannot_stand_clear_is_noted(self, tmp_path: Path) -> None:
        """A take too faint to be turned up to its original: the depth reached, and that meant."""
        soundfile.write(tmp_path / "faint.wav", 1e-3 * chirp(2.0), 24_000, subtype="FLOAT")
        line = said([PlacedTake(tmp_path / "faint.wav", 2.0, 2.0)])
        bed = save_bed(tmp_path / "bed.wav", noise(0.1))
        told = mixed(bed, line, tmp_path / "o.mka")
        assert told.depth_lu is not None
        assert told.depth_lu < 10
        (note,) = told.notes
        assert f"only {told.depth_lu:.1f} LU above" in note


class TestOnePass:
    def test_a_mix_is_one_pass_of_ffmpeg_and_one_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A hundred takes: fed to one encoder; no amix, and no speech written between."""
        runs: list[list[str]] = []

        def counted(arguments: Sequence[Any], **options: Any) -> str:
            runs.append([str(word) for word in arguments])
            return run_ffmpeg(arguments, **options)

        monkeypatch.setattr(encoding, "run_ffmpeg", counted)
        take = save_take(tmp_path / "t.wav", 0.1)
        takes = [PlacedTake(take, 0.5 + 0.1 * number, 0.1) for number in range(100)]
        bed = save_bed(tmp_path / "bed.wav", hum())
        before = set(tmp_path.iterdir())
        codec = TrackCodec("flac", STEREO, 0)  # right at the first try
        mix(Programme(bed, bed, said(takes), SECONDS), tmp_path / "o.mka", codec=codec)
        written = {path.name: path.stat().st_size for path in set(tmp_path.iterdir()) - before}
        assert written.keys() == {"o.mka", "bed.wav.levels.npy"}
        assert written["bed.wav.levels.npy"] < 0.01 * SECONDS * SAMPLE_RATE * 2
        (arguments,) = runs
        assert arguments.count("-i") == 1
        assert not any("amix" in word for word in arguments)


class TestTiming:
    @pytest.mark.parametrize("rate", [22_050, 24_000, 48_000])
    def test_the_dub_is_in_sync_at_the_start_and_the_end(self, rate: int, tmp_path: Path) -> None:
        """Cross-correlated with what was said, every take lies within 1 ms of its place."""
        starts = [0.0, 5.3337, 11.0]
        takes = [
            PlacedTake(save_take(tmp_path / f"{n}.wav", 0.9, rate), start_s, 0.9)
            for n, start_s in enumerate(starts)
        ]
        bed = save_bed(tmp_path / "bed.wav", hum(level=0.01))
        mixed(bed, said(takes), tmp_path / "o.mka")
        heard = decoded(tmp_path / "o.mka")[:, 0]
        wanted = chirp(0.9, SAMPLE_RATE)
        for start_s in starts:
            first = max(round((start_s - 0.02) * SAMPLE_RATE), 0)
            part = heard[first : first + len(wanted) + SAMPLE_RATE // 20]
            lag = int(np.argmax(correlate(part, wanted, "valid", method="fft")))
            assert (first + lag) / SAMPLE_RATE == pytest.approx(start_s, abs=0.001)

    def test_the_bed_is_in_sync_too(self, lines: list[MixLine], tmp_path: Path) -> None:
        """Away from lines the mix is the bed, at another level: correlation above 0.99."""
        bed = RNG.standard_normal((round(SECONDS * SAMPLE_RATE), 1)) * [[0.05, 0.05]]
        bed = np.apply_along_axis(lambda x: np.convolve(x, np.ones(24) / 24, "same"), 0, bed)
        mixed(save_bed(tmp_path / "bed.wav", bed), lines, tmp_path / "o.mka")
        heard = decoded(tmp_path / "o.mka")[:, 0]
        for start_s, end_s in ((0.1, 1.8), (4.5, 6.8), (10.5, 11.9)):
            stretch = slice(round(start_s * SAMPLE_RATE), round(end_s * SAMPLE_RATE))
            assert np.corrcoef(heard[stretch], bed[stretch, 0])[0, 1] > 0.99


class TestDucking:
    @pytest.mark.parametrize("style", ["dub", "voiceover", "without voices"])
    def test_the_bed_goes_down_by_the_chosen_depth(
        self, style: str, lines: list[MixLine], tmp_path: Path
    ) -> None:
        """20 dB for the original, 10 or 11 in a voiceover, 3 without its voices; else untouched."""
        original = save_bed(tmp_path / "original.wav", spoken_film())
        bed = save_bed(tmp_path / "bed.wav", hum(level=0.02))
        bed = bed if style == "without voices" else original
        mix(Programme(original, bed, lines, SECONDS, style=style), tmp_path / "o.mka")
        left = decoded(tmp_path / "o.mka")[:, 0]
        open_db = level_db(left, 80, 0.2, 1.7)
        assert level_db(left, 80, 4.6, 6.7) == pytest.approx(open_db, abs=0.3)
        assert level_db(left, 80, 10.6, 11.9) == pytest.approx(open_db, abs=0.3)
        for start_s, end_s in ((2.1, 3.9), (7.1, 9.9)):
            depth_db = open_db - level_db(left, 80, start_s, end_s)
            assert DUCK_DB[style] - 0.8 <= depth_db <= DUCK_DB[style] + 1.1

    def test_the_gain_falls_before_a_line_and_rises_after_it(self) -> None:
        """Full depth from the first to the last moment of a line, ramps outside of it."""
        gain = np.ones((round(SECONDS * SAMPLE_RATE), 1), dtype=np.float32)
        Ducker([Duck(span, (20.0,)) for span in SPANS]).apply(gain, 0)

        def at(seconds: float) -> float:
            return float(gain[round(seconds * SAMPLE_RATE), 0])

        for span in SPANS:
            assert at(span.start_s - ATTACK_S - 0.001) == 1
            assert at(span.start_s) == at(span.end_s) == pytest.approx(0.1, rel=1e-4)
            assert at(span.end_s + RELEASE_S + 0.001) == 1
        assert np.abs(np.diff(gain[:, 0])).max() < 1e-3

    def test_the_gain_is_the_same_in_any_blocks(self) -> None:
        """Where blocks meet there is no step."""
        ducker = Ducker([Duck(span, (20.0, 6.0)) for span in SPANS])
        whole, parts = np.ones((2, 480_000, 2), dtype=np.float32)
        ducker.apply(whole, 0)
        for start in range(0, 480_000, 16_000):
            ducker.apply(parts[start : start + 16_000], start)
        assert parts == pytest.approx(whole, abs=1e-6)


class TestSpeech:
    def test_takes_lie_where_they_belong_and_nothing_else_does(self, tmp_path: Path) -> None:
        """As long as the video, sound in the takes' places, zeros elsewhere."""
        take = save_take(tmp_path / "t.wav", 1.0)
        write_speech([PlacedTake(take, 1.5, 1.0), PlacedTake(take, 9.5, 1.0)], 10, tmp_path / "s")
        samples, rate = soundfile.read(tmp_path / "s")
        assert (len(samples), rate) == (480_000, 48_000)
        assert not samples[:72_000].any()
        assert not samples[120_000:456_000].any()
        assert np.abs(samples[72_000:120_000]).max() > 0.2
        assert np.abs(samples[456_000:]).max() > 0.2

    def test_edges_do_not_click(self, tmp_path: Path) -> None:
        """A take that starts and ends at full level fades over 5 ms."""
        soundfile.write(tmp_path / "t.wav", np.full(24_000, 0.5), 24_000)
        write_speech([PlacedTake(tmp_path / "t.wav", 1, 1)], 3, tmp_path / "s.wav")
        samples = soundfile.read(tmp_path / "s.wav")[0]
        assert np.abs(np.diff(samples)).max() < 0.02
        assert samples[48_000 + 300 : 96_000 - 300] == pytest.approx(0.5, abs=0.02)

    def test_a_trimmed_take_fades_out(self, tmp_path: Path) -> None:
        """Cut at its slot's end, its last 80 ms sink to nothing."""
        soundfile.write(tmp_path / "t.wav", np.full(96_000, 0.5), 48_000)
        write_speech([PlacedTake(tmp_path / "t.wav", 0, 1.0, trimmed=True)], 3, tmp_path / "s.wav")
        samples = soundfile.read(tmp_path / "s.wav")[0]
        assert samples[48_000 - 3840 - 10] == pytest.approx(0.5, abs=0.01)
        assert samples[48_000 - 1920] == pytest.approx(0.25, abs=0.01)
        assert not samples[48_000:].any()

    def test_nothing_is_said_behind_the_end(self, tmp_path: Path) -> None:
        """A take that reaches past the video is cut, one that starts there is left out."""
        take = save_take(tmp_path / "t.wav", 2.0)
        takes = [PlacedTake(take, 4.5, 2.0), PlacedTake(take, 7, 2.0)]
        write_speech(takes, 5, tmp_path / "s.wav")
        assert soundfile.info(tmp_path / "s.wav").duration == 5


class TestControl:
    def test_progress_reaches_the_end(self, lines: list[MixLine], tmp_path: Path) -> None:
        """Progress is told in seconds of media."""
        seen: list[tuple[float, float]] = []
        control = MixControl(progress=lambda done, total: seen.append((done, total)))
        bed = save_bed(tmp_path / "b.wav", hum())
        mix(Programme(bed, bed, lines, SECONDS), tmp_path / "o.mka", control=control)
        assert max(done for done, _ in seen) == pytest.approx(SECONDS, abs=0.1)
        assert {total for _, total in seen} == {SECONDS}

    def test_progress_only_grows(
        self, lines: list[MixLine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Levels, encoding, measuring: each its part; another try tells nothing more."""
        told = [Loudness(-20, -3), Loudness(TARGET_LUFS, -3)]
        monkeypatch.setattr(mixing, "check_track", lambda *_: told.pop(0))
        seen: list[float] = []
        control = MixControl(progress=lambda done, total: seen.append(done))
        bed = save_bed(tmp_path / "b.wav", hum())
        mix(Programme(bed, bed, lines, SECONDS), tmp_path / "o.mka", control=control)
        assert seen == sorted(seen)
        assert seen[0] <= SECONDS / 5
        assert told == []

    def test_cancelling_stops_the_mix(self, tmp_path: Path) -> None:
        """Cancelled in its middle, the mix raises at once and leaves no ffmpeg."""
        bed = save_bed(tmp_path / "b.wav", hum())
        control = MixControl(cancelled=lambda: True)
        with pytest.raises(JobCancelled):
            mix(Programme(bed, bed, [], 1200.0), tmp_path / "o.mka", control=control)


MEASURE = """
import resource, sys
from pathlib import Path
import soundfile
from dubarr_watch.dubbing.balance import MixLine
from dubarr_watch.dubbing.codecs import track_codec
from dubarr_watch.dubbing.layouts import STEREO
from dubarr_watch.dubbing.limiting import Limiter
from dubarr_watch.dubbing.encoding import Recipe
from dubarr_watch.dubbing.mixing import plan_mix
from dubarr_watch.dubbing.programme import MixControl, Programme
from dubarr_watch.dubbing.timeline import PlacedTake
from dubarr_watch.engines.base import Span
folder, seconds = Path(sys.argv[1]), int(sys.argv[2])
bed = folder / f"{seconds}.flac"
with soundfile.SoundFile(bed, "w", 48000, 2, "PCM_16") as file:
    second = soundfile.read(folder / "b.wav")[0]
    for _ in range(seconds):
        file.write(second)
lines = [
    MixLine(PlacedTake(folder / "t.wav", n * 5.0, 1.0), Span(n * 5.0, n * 5.0 + 1), 0)
    for n in range(seconds // 5)
]
programme = Programme(bed, bed, lines, seconds)
plan, _ = plan_mix(programme, MixControl())
for block in Limiter(0.8).run(Recipe(programme, plan, STEREO, track_codec(STEREO)).blocks(1.0)):
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_does_not_grow_with_the_film(tmp_path: Path) -> None:
    """Twenty times as long a film needs no more memory: 460 MB of samples, not held."""
    save_take(tmp_path / "t.wav", 1.0)
    soundfile.write(tmp_path / "b.wav", noise(0.05)[:SAMPLE_RATE], SAMPLE_RATE)

    def peak_mib(seconds: int) -> int:
        command = [sys.executable, "-c", MEASURE, str(tmp_path), str(seconds)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return int(done.stdout)

    assert peak_mib(1200) < peak_mib(60) + 20
