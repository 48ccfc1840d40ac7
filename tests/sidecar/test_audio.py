"""Trimming and the WAV form."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest

from tts_sidecar.audio import Samples, to_wav, trim_silence

RATE = 24000


def tone(seconds: float, level: float = 0.3) -> Samples:
    samples: Samples = np.sin(np.arange(round(seconds * RATE)) * 0.1).astype(np.float32)
    return np.float32(level) * samples


def noise(seconds: float, level: float) -> Samples:
    return (level * np.random.default_rng(1).standard_normal(round(seconds * RATE))).astype(
        np.float32
    )


@pytest.mark.parametrize("silence_s", [0.0, 0.01, 0.5])
def test_silence_at_both_ends_goes_and_speech_stays(silence_s: float) -> None:
    silence = noise(silence_s, 0.0001)
    trimmed = trim_silence(np.concatenate([silence, tone(1.0), silence]), RATE)
    assert len(trimmed) / RATE == pytest.approx(1.0 + 2 * min(silence_s, 0.015), abs=0.011)


def test_a_pause_inside_stays() -> None:
    samples = np.concatenate([tone(0.5), noise(1.0, 0.0001), tone(0.5)])
    assert len(trim_silence(samples, RATE)) == len(samples)


def test_a_weak_consonant_at_the_end_stays() -> None:
    """A final f lies some 35 dB below the vowels."""
    samples = np.concatenate([tone(0.5), noise(0.1, 0.004), np.zeros(RATE, dtype=np.float32)])
    assert len(trim_silence(samples, RATE)) / RATE == pytest.approx(0.615, abs=0.006)


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(5000)])
def test_nothing_but_silence_becomes_nothing(samples: Samples) -> None:
    assert len(trim_silence(samples.astype(np.float32), RATE)) == 0


def test_edges_are_faded_so_that_nothing_clicks() -> None:
    trimmed = trim_silence(np.full(RATE, 0.5, dtype=np.float32), RATE)
    assert trimmed[0] == trimmed[-1] == 0.0
    assert trimmed[RATE // 2] == 0.5


@pytest.mark.parametrize(("peak", "written"), [(0.5, 0.5), (0.98, 0.98), (1.7, 0.98)])
def test_wav_never_clips(peak: float, written: float) -> None:
    samples = np.array([0.0, peak, -peak / 2], dtype=np.float32)
    with wave.open(io.BytesIO(to_wav(samples, 22050))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 22050)
        pcm = np.frombuffer(file.readframes(3), dtype="<i2")
    assert pcm[1] == pytest.approx(written * 32767, abs=1)
    assert pcm[2] == pytest.approx(-written / 2 * 32767, abs=1)


def test_an_empty_take_is_a_valid_file() -> None:
    with wave.open(io.BytesIO(to_wav(np.zeros(0, dtype=np.float32), RATE))) as file:
        assert file.getnframes() == 0
