"""The original's channels, kept: what is measured is the finished file, decoded."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from dubarr_watch.dubbing import track_check
from dubarr_watch.dubbing.balance import MixLine
from dubarr_watch.dubbing.codecs import fits, track_codec
from dubarr_watch.dubbing.layouts import STEREO, layout_of
from dubarr_watch.dubbing.levels import measure_loudness, sound_levels
from dubarr_watch.dubbing.limiting import Limiter
from dubarr_watch.dubbing.loudness import PeakMeter
from dubarr_watch.dubbing.mixing import mix
from dubarr_watch.dubbing.programme import Programme
from dubarr_watch.dubbing.timeline import SAMPLE_RATE, PlacedTake
from dubarr_watch.engines.base import Span
from dubarr_watch.media import ffmpeg_path, probe

Sound = NDArray[np.float64]
SECONDS = 10.0
SPAN = Span(3.0, 6.0)
TONES_HZ = (200, 260, 3000, 60, 320, 380, 440, 500)
"""One for each channel; 3 kHz is the original's voice."""
DUB_HZ = 1500


def tone(hz: float, seconds: float, rate: int = SAMPLE_RATE) -> Sound:
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def film(path: Path, channels: int, voice: float = 0.2) -> Path:
    """Write a tone in each channel; that of the centre is only there in the line."""
    sound = np.stack([0.02 * tone(hz, SECONDS) for hz in TONES_HZ[:channels]], axis=1)
    sound[:, 2] *= voice / 0.02
    sound[: round(SPAN.start_s * SAMPLE_RATE), 2] = 0
    sound[round(SPAN.end_s * SAMPLE_RATE) :, 2] = 0
    soundfile.write(path, sound, SAMPLE_RATE, subtype="PCM_16")
    return path


def take(path: Path, start_s: float = SPAN.start_s, level: float = 0.2) -> PlacedTake:
    soundfile.write(path, level * tone(DUB_HZ, 3.0, 24_000), 24_000, subtype="PCM_16")
    return PlacedTake(path, start_s, 3.0)


def decoded(path: Path, channels: int) -> Sound:
    command = [ffmpeg_path(), "-v", "error", "-i", str(path), "-f", "f32le", "-ac", str(channels),
               "-"]  # fmt: skip
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, dtype=np.float32).reshape(-1, channels).astype(np.float64)


def level_db(sound: Sound, hz: float, start_s: float, end_s: float) -> float:
    part = sound[round(start_s * SAMPLE_RATE) : round(end_s * SAMPLE_RATE)]
    times = np.arange(len(part)) / SAMPLE_RATE
    window = np.hanning(len(part))
    strength = np.abs((part * window * np.exp(-2j * np.pi * hz * times)).sum()) / window.sum()
    return float(20 * np.log10(strength + 1e-9))


@pytest.mark.parametrize(("channels", "codec"), [(5, "eac3"), (6, "eac3"), (7, "flac"), (8, "aac")])
def test_surround_sound_stays_surround_sound(channels: int, codec: str, tmp_path: Path) -> None:
    """The dub is in the centre alone, the other channels keep their level, lines or not."""
    bed = film(tmp_path / "bed.wav", channels)
    line = MixLine(take(tmp_path / "t.wav"), SPAN, 0)
    made = mix(Programme(bed, bed, [line], SECONDS), tmp_path / "o.mka")
    (stream,) = probe(tmp_path / "o.mka").streams
    assert (stream.codec, stream.channels) == (codec, channels)
    assert layout_of(channels).name == stream.layout.replace("(side)", "")
    heard, low = decoded(tmp_path / "o.mka", channels), layout_of(channels).low_frequency
    dub_db = [level_db(heard[:, c], DUB_HZ, 3.3, 5.7) for c in range(channels)]
    assert max(db for c, db in enumerate(dub_db) if c != 2) < dub_db[2] - 40
    for channel in set(range(channels)) - {2}:
        hz = TONES_HZ[channel]
        open_db = level_db(heard[:, channel], hz, 0.5, 2.5)
        assert open_db > -60, "music and effects are still there"
        assert level_db(heard[:, channel], hz, 3.3, 5.7) == pytest.approx(open_db, abs=0.5)
        assert channel != low or hz == 60
    voice_db = level_db(heard[:, 2], TONES_HZ[2], 3.3, 5.7)
    assert dub_db[2] - voice_db > 15, "the original's voice has gone down"
    got = measure_loudness(tmp_path / "o.mka")
    assert got.integrated_lufs == pytest.approx(-23, abs=0.5)
    assert got.true_peak_dbtp <= -1.5
    assert made.loudness.integrated_lufs == pytest.approx(got.integrated_lufs, abs=0.11)


OUTPUTS = {
    **{f"{n} matroska": track_codec(layout_of(n)) for n in range(2, 9)},
    "8 lossless": track_codec(layout_of(8), source="flac"),
    **{f"{n} webm": track_codec(layout_of(n), muxer="webm") for n in (2, 6, 8)},
    **{f"{n} avi": track_codec(layout_of(n), muxer="avi") for n in (2, 6)},
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_every_output_keeps_its_peaks_and_its_time(name: str, tmp_path: Path) -> None:
    """Of clipped sound as loud as it came, decoded again: at most -1.5 dBTP, and to 5 ms in place.

    What no codec likes: full-scale clicks, edges and noise in every channel, a dub among them.
    """
    codec = OUTPUTS[name]
    channels, rng = int(name[0]), np.random.default_rng(5)
    sound = rng.standard_normal((2 * SAMPLE_RATE, channels)) * 0.5
    sound += np.sign(tone(110, 2))[:, None] * 0.5
    sound[:: SAMPLE_RATE // 10] = 1
    sound[: SAMPLE_RATE // 2] = 0
    soundfile.write(tmp_path / "bed.wav", np.clip(sound, -1, 1), SAMPLE_RATE, format="WAV")
    bed, line = tmp_path / "bed.wav", MixLine(take(tmp_path / "t.wav", 1.0), Span(1.0, 2.0), 0)
    mix(Programme(bed, bed, [line], 2.0, match=True), tmp_path / "o.mka", codec=codec)
    assert measure_loudness(tmp_path / "o.mka").true_peak_dbtp <= -1.5
    assert probe(tmp_path / "o.mka").streams[0].codec == codec.name
    heard = np.abs(decoded(tmp_path / "o.mka", len(codec.layout.channels))).max(axis=1)
    began_s = float(np.argmax(heard > 0.25 * heard.max())) / SAMPLE_RATE
    assert began_s == pytest.approx(0.5, abs=0.005)


@pytest.mark.parametrize("channels", [4, 2])
def test_without_a_centre_the_dub_is_in_front(channels: int, tmp_path: Path) -> None:
    """As loud on both sides as the original's voice is, and in no other channel."""
    sound = np.stack([0.02 * tone(TONES_HZ[4 + n], SECONDS) for n in range(channels)], axis=1)
    first, last = round(SPAN.start_s * SAMPLE_RATE), round(SPAN.end_s * SAMPLE_RATE)
    sound[first:last, :2] += 0.2 * tone(3000, 3.0)[:, None]
    soundfile.write(tmp_path / "bed.wav", sound, SAMPLE_RATE, subtype="PCM_16")
    bed, line = tmp_path / "bed.wav", MixLine(take(tmp_path / "t.wav"), SPAN, 0)
    mix(Programme(bed, bed, [line], SECONDS), tmp_path / "o.mka")
    heard = decoded(tmp_path / "o.mka", channels)
    left, right, *others = [level_db(heard[:, c], DUB_HZ, 3.3, 5.7) for c in range(channels)]
    assert left == pytest.approx(right, abs=0.5)
    assert all(other < left - 40 for other in others)


def test_a_channel_that_carries_the_voice_too_goes_down_as_well(tmp_path: Path) -> None:
    """The centre's voice at half its level in the left goes down there by 14 of the 20 dB."""
    bed = film(tmp_path / "bed.wav", 6)
    sound = soundfile.read(bed)[0]
    sound[:, 0] = 0.5 * sound[:, 2]
    soundfile.write(bed, sound, SAMPLE_RATE, subtype="PCM_16")
    line = MixLine(take(tmp_path / "t.wav"), SPAN, 0)
    mix(Programme(bed, bed, [line], SECONDS), tmp_path / "o.mka")
    heard = decoded(tmp_path / "o.mka", 6)
    left, centre = (level_db(heard[:, c], TONES_HZ[2], 3.3, 5.7) for c in (0, 2))
    assert left == pytest.approx(centre, abs=1.0), "nowhere louder than in the centre"


@pytest.mark.parametrize("side", [0, 1])
def test_in_stereo_a_voice_stays_on_its_side(side: int, tmp_path: Path) -> None:
    """Who is heard from one side in the original is heard from there in the dub."""
    sound = np.stack([0.01 * tone(200, SECONDS), 0.01 * tone(260, SECONDS)], axis=1)
    first, last = round(SPAN.start_s * SAMPLE_RATE), round(SPAN.end_s * SAMPLE_RATE)
    sound[first:last, side] += 0.2 * tone(3000, 3.0)
    sound[first:last, 1 - side] += 0.05 * tone(3000, 3.0)
    soundfile.write(tmp_path / "bed.wav", sound, SAMPLE_RATE, subtype="PCM_16")
    bed, line = tmp_path / "bed.wav", MixLine(take(tmp_path / "t.wav"), SPAN, 0)
    mix(Programme(bed, bed, [line], SECONDS), tmp_path / "o.mka")
    heard = decoded(tmp_path / "o.mka", 2)
    sides = [level_db(heard[:, c], DUB_HZ, 3.3, 5.7) for c in (0, 1)]
    assert sides[side] - sides[1 - side] == pytest.approx(12, abs=1.5)


def test_a_whisper_stays_quieter_than_a_shout(tmp_path: Path) -> None:
    """Two lines of one speaker 8 dB apart are 8 dB apart in the dub.

    A line is at most 6 dB from its speaker's gain; of 30 dB, the shout's 3 and these 6 are left.
    """
    for apart_db, expected_db in ((8.0, 8.0), (30.0, 9.0)):
        sound = np.stack([0.001 * tone(200, SECONDS)] * 2, axis=1)
        spans = [Span(1.0, 4.0), Span(6.0, 9.0)]
        for span, level in zip(spans, (0.3, 0.3 * 10 ** (-apart_db / 20)), strict=True):
            first = round(span.start_s * SAMPLE_RATE)
            sound[first : first + 3 * SAMPLE_RATE] += level * tone(3000, 3.0)[:, None]
        bed = tmp_path / f"bed{apart_db}.wav"
        soundfile.write(bed, sound, SAMPLE_RATE, subtype="PCM_16")
        lines = [MixLine(take(tmp_path / "t.wav", span.start_s), span, 0) for span in spans]
        mix(Programme(bed, bed, lines, SECONDS), tmp_path / "o.mka")
        left = decoded(tmp_path / "o.mka", 2)[:, 0]
        shout, whisper = (level_db(left, DUB_HZ, s.start_s + 0.3, s.end_s - 0.3) for s in spans)
        assert shout - whisper == pytest.approx(expected_db, abs=1.0)


def test_each_speaker_is_as_loud_as_in_the_original(tmp_path: Path) -> None:
    """A loud and a quiet one whose takes came out the other way round; the music tells the gain."""
    sound = np.stack([0.01 * tone(200, SECONDS)] * 2, axis=1)
    spans, levels = [Span(1.0, 4.0), Span(6.0, 9.0)], [0.2, 0.08]
    for span, level in zip(spans, levels, strict=True):
        first = round(span.start_s * SAMPLE_RATE)
        sound[first : first + 3 * SAMPLE_RATE] += level * tone(DUB_HZ + 30, 3.0)[:, None]
    soundfile.write(tmp_path / "bed.wav", sound, SAMPLE_RATE, subtype="PCM_16")
    lines = [
        MixLine(take(tmp_path / f"{n}.wav", span.start_s, level), span, n)
        for n, (span, level) in enumerate(zip(spans, levels[::-1], strict=True))
    ]
    bed = tmp_path / "bed.wav"
    mix(Programme(bed, bed, lines, SECONDS), tmp_path / "o.mka")
    left = decoded(tmp_path / "o.mka", 2)[:, 0]
    gain_db = level_db(left, 200, 4.6, 5.8) - level_db(sound[:, 0], 200, 4.6, 5.8)
    for span, level in zip(spans, levels, strict=True):
        heard_db = level_db(left, DUB_HZ, span.start_s + 0.3, span.end_s - 0.3)
        wanted_db = level_db(level * tone(DUB_HZ, 3.0), DUB_HZ, 0, 3)
        assert heard_db - gain_db == pytest.approx(wanted_db, abs=1.0)


def test_the_voice_stands_clear_of_loud_music(tmp_path: Path) -> None:
    """Music as loud as the voice goes down until 10 LU lie between them, and it is told so."""
    music = np.stack([0.1 * tone(900, SECONDS)] * 2, axis=1)
    original = music.copy()
    first, last = round(SPAN.start_s * SAMPLE_RATE), round(SPAN.end_s * SAMPLE_RATE)
    original[first:last] += 0.1 * tone(3000, 3.0)[:, None]
    for name, sound in (("original", original), ("bed", music)):
        soundfile.write(tmp_path / f"{name}.wav", sound, SAMPLE_RATE, subtype="PCM_16")
    line = MixLine(take(tmp_path / "t.wav"), SPAN, 0)
    programme = Programme(
        tmp_path / "original.wav", tmp_path / "bed.wav", [line], SECONDS, style="without voices"
    )
    made = mix(programme, tmp_path / "o.mka")
    left = decoded(tmp_path / "o.mka", 2)[:, 0]
    apart_db = level_db(left, DUB_HZ, 3.3, 5.7) - level_db(left, 900, 3.3, 5.7)
    assert made.depth_lu is not None
    assert made.depth_lu >= 10
    assert apart_db > 9, "K-weighting adds 1.5 dB between the two tones"
    before_db = level_db(left, 900, 0.5, 2.5)
    assert level_db(left, 900, 7.0, 9.5) == pytest.approx(before_db, abs=0.3)


def test_a_long_track_is_checked_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told of it is what ffmpeg measures on the whole, loud seconds included."""
    monkeypatch.setattr(track_check, "WHOLE_UP_TO_S", 60.0)
    monkeypatch.setattr(track_check, "_MOMENTS", 10)
    rng, seconds = np.random.default_rng(3), 150
    sound = 0.02 * rng.standard_normal((seconds * SAMPLE_RATE, 2))
    sound[70 * SAMPLE_RATE : 71 * SAMPLE_RATE] *= 20
    bed = tmp_path / "bed.wav"
    soundfile.write(bed, np.clip(sound, -1, 1), SAMPLE_RATE, subtype="PCM_16")
    line = MixLine(take(tmp_path / "t.wav"), SPAN, 0)
    told = mix(Programme(bed, bed, [line], seconds), tmp_path / "o.mka").loudness
    got = measure_loudness(tmp_path / "o.mka")
    assert told.integrated_lufs == pytest.approx(got.integrated_lufs, abs=0.15)
    assert told.true_peak_dbtp >= got.true_peak_dbtp - 0.2
    assert got.true_peak_dbtp <= -1.5


@pytest.mark.parametrize("channels", [1, 2, 6, 8])
def test_levels_are_what_ffmpeg_measures(channels: int, tmp_path: Path) -> None:
    """Loudness within 0.1 LU of ebur128, low-frequency effects left out, surrounds 1.5 dB up."""
    rng = np.random.default_rng(channels)
    sound = rng.standard_normal((25 * SAMPLE_RATE, channels)) * np.linspace(0.05, 0.2, channels)
    path = tmp_path / "s.wav"
    soundfile.write(path, np.clip(sound, -1, 1), SAMPLE_RATE, subtype="PCM_16", format="WAV")
    got = measure_loudness(path).integrated_lufs + (3.01 if channels == 1 else 0)
    assert sound_levels(path).integrated_lufs == pytest.approx(got, abs=0.1)


def test_the_limiter_keeps_every_channel_below_its_ceiling(tmp_path: Path) -> None:
    """In blocks of any length; channels go down together, and quiet sound is not touched."""
    rng = np.random.default_rng(1)
    sound = (0.1 * rng.standard_normal((5 * SAMPLE_RATE, 2))).astype(np.float32)
    sound[::7919, 0] *= 12
    blocks = (sound[start : start + 10_007] for start in range(0, len(sound), 10_007))
    limited = np.concatenate(list(Limiter(0.5).run(blocks)))
    assert limited.shape == sound.shape
    meter = PeakMeter(2)
    meter.add(limited)
    assert meter.peak_dbtp() <= 20 * np.log10(0.5) + 0.05
    assert limited[:, 0] * sound[:, 1] == pytest.approx(limited[:, 1] * sound[:, 0], abs=1e-5)
    calm = np.concatenate(list(Limiter(0.99).run([sound * 0.1])))
    assert np.array_equal(calm, sound * 0.1)


def test_each_container_gets_a_codec_that_it_holds() -> None:
    """By layout and container; what fits is copied."""

    def name(channels: int, muxer: str = "matroska", source: str = "") -> str:
        codec = track_codec(layout_of(channels), muxer=muxer, source=source)
        assert fits(muxer, codec.name)
        assert codec.bit_rate or codec.name == "flac"
        return f"{codec.name} {codec.layout.name}"

    assert name(1) == name(2) == "aac stereo"
    assert name(6) == name(6, "mp4") == "eac3 5.1"
    assert name(8) == "aac 7.1"
    assert name(8, source="truehd") == "flac 7.1"
    assert name(8, "mov", "truehd") == "aac 7.1"
    assert (name(7), name(7, "mov")) == ("flac 6.1", "eac3 5.1")
    assert name(8, "mpegts") == name(6, "avi") == "ac3 5.1"
    assert name(2, "avi") == "mp3 stereo"
    assert (name(2, "webm"), name(6, "webm")) == ("opus stereo", "opus 5.1")
    for muxer in ("matroska", "webm", "mov"):
        rates = [track_codec(layout_of(count), muxer=muxer).bit_rate for count in (2, 3, 6)]
        assert rates == sorted(set(rates)), "more channels, more bits"
    assert layout_of(3, "2.1") is STEREO
    assert layout_of(4, "4.0").name == "5.0"
    assert layout_of(6, "5.1(side)").name == "5.1"
    assert layout_of(12).name == "7.1"
