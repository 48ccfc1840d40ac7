"""The sound of a take: pauses, word ends, cutting and speed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from dubarr_watch.dubbing.take_audio import take_shape, write_changed
from dubarr_watch.engines.base import Span

RATE = 24_000


def write(path: Path, *pieces: tuple[float, float]) -> Path:
    """Write stretches of hum, as (seconds, amplitude)."""
    at = 0.0
    samples = []
    for seconds, amplitude in pieces:
        times = at + np.arange(round(seconds * RATE)) / RATE
        samples.append(amplitude * np.sin(2 * np.pi * 200 * times))
        at += seconds
    soundfile.write(path, np.concatenate(samples), RATE, subtype="PCM_16")
    return path


def test_pauses_are_found_to_10_ms(tmp_path: Path) -> None:
    """A silence of 0.3 s is a pause; one of 0.1 s only ends a word; 0.05 s are a plosive's."""
    path = write(
        tmp_path / "take.wav",
        (0.5, 0.5), (0.3, 0.001), (0.5, 0.4), (0.1, 0), (0.5, 0.5), (0.05, 0), (0.5, 0.5),
    )  # fmt: skip
    shape = take_shape(path, "Unbroken")
    (pause,) = shape.pauses
    assert (pause.start_s, pause.end_s) == pytest.approx((0.5, 0.8), abs=0.011)
    assert shape.word_ends_s == pytest.approx((0.55, 1.35), abs=0.011)


def test_words_that_run_into_each_other_end_in_a_dip(tmp_path: Path) -> None:
    """Without silence the quietest moment near a word's place in the text is its end."""
    path = write(tmp_path / "take.wav", (0.55, 0.5), (0.02, 0.05), (0.63, 0.5))
    assert take_shape(path, "bueno pues").word_ends_s == pytest.approx((0.56,), abs=0.02)
    steady = write(tmp_path / "steady.wav", (1.2, 0.5))
    assert take_shape(steady, "bueno pues").word_ends_s == ()


@pytest.mark.parametrize("seconds", [0.0, 0.004, 0.5])
def test_silence_and_next_to_nothing_have_no_shape(tmp_path: Path, seconds: float) -> None:
    """Nothing there is nothing to cut, and no error."""
    shape = take_shape(write(tmp_path / "take.wav", (seconds, 0)), "Nada de nada")
    assert (shape.pauses, shape.word_ends_s) == ((), ())


def test_a_cut_takes_out_what_it_says_and_leaves_no_step(tmp_path: Path) -> None:
    """The file is shorter by the cut to the sample, and no two samples are further apart."""
    path = write(tmp_path / "take.wav", (0.5, 0.5), (0.5, 0.01), (0.5, 0.5))
    target = tmp_path / "fit.wav"
    write_changed(path, target, [Span(0.6, 0.9)], 1.0)
    before, _ = soundfile.read(path)
    after, _ = soundfile.read(target)
    assert len(after) == len(before) - round(0.3 * RATE)
    assert np.abs(np.diff(after)).max() <= np.abs(np.diff(before)).max() + 1e-4


def test_cuts_and_speed_add_up_and_leave_nothing_behind(tmp_path: Path) -> None:
    """1.5 s less 0.3 s at 1.2 are one second; only the take and the target are there then."""
    path = write(tmp_path / "take.wav", (0.5, 0.5), (0.5, 0), (0.5, 0.5))
    target = tmp_path / "fit.wav"
    write_changed(path, target, [Span(0.6, 0.9)], 1.2)
    assert soundfile.info(target).duration == pytest.approx(1.0, abs=0.04)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["fit.wav", "take.wav"]


def test_cuts_too_small_or_out_of_place_are_left_alone(tmp_path: Path) -> None:
    """Shorter than the crossfade, past the end or overlapping the one before: not made."""
    path = write(tmp_path / "take.wav", (1.0, 0.5))
    target = tmp_path / "fit.wav"
    write_changed(path, target, [Span(0.1, 0.105), Span(0.4, 0.6), Span(0.5, 0.7), Span(1, 2)], 1.0)
    assert soundfile.info(target).duration == pytest.approx(0.8, abs=1e-3)
