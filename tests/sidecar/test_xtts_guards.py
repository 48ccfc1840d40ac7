"""What makes a take doubtful, and what is cut out of it; on sounds with the rhythm of speech."""

from __future__ import annotations

import numpy as np
import pytest

from tts_sidecar.audio import Samples
from tts_sidecar.engines import xtts_guards as guards
from tts_sidecar.engines.xtts_text import Bounds

RATE = 24000
BOUNDS = Bounds(0.8, 2.0, 5.0)


def speech(seconds: float, seed: int = 1) -> Samples:
    """Noise in syllables, four and a half a second, never silent."""
    count = round(seconds * RATE)
    swell = 0.52 + 0.48 * np.cos(2 * np.pi * 4.5 * np.arange(count) / RATE)
    noise = np.random.default_rng(seed).standard_normal(count)
    return (0.1 * swell * noise).astype(np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), dtype=np.float32)


def tone(seconds: float, level: float = 0.1) -> Samples:
    wave = np.sin(np.arange(round(seconds * RATE)) * 0.05)
    samples: Samples = (level * wave).astype(np.float32)
    return samples


def judge(*parts: Samples, **more: object) -> guards.Attempt:
    return guards.judge(np.concatenate(parts), RATE, bounds=BOUNDS, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [0.85, 2.0, 3.1, 4.9])
def test_speech_of_a_plausible_length_is_beyond_doubt(seconds: float) -> None:
    attempt = judge(silence(0.2), speech(seconds), silence(0.3))
    assert attempt.doubts == ()
    assert attempt.duration_s == pytest.approx(seconds, abs=0.03)


@pytest.mark.parametrize(("seconds", "doubts"), [(0.75, ("short",)), (5.1, ("runaway",))])
def test_bounds_are_looked_at_on_both_sides(seconds: float, doubts: tuple[str, ...]) -> None:
    assert judge(speech(seconds)).doubts == doubts


def test_bounds_follow_the_speed() -> None:
    assert judge(speech(2.6), speed=2.0).doubts == ("runaway",)
    assert judge(speech(0.45), speed=2.0).doubts == ()
    assert judge(speech(1.5), speed=0.5).doubts == ("short",)


def test_a_take_that_was_cut_off_is_a_runaway() -> None:
    assert judge(speech(2.0), ended=False).doubts == ("runaway",)


@pytest.mark.parametrize("samples", [silence(2.0), silence(0.0), tone(2.0, 1e-5)])
def test_silence_is_too_short_for_any_text(samples: Samples) -> None:
    assert judge(samples).doubts == ("short",)


@pytest.mark.parametrize(("gap_s", "doubts"), [(1.0, ()), (1.2, ("silence",))])
def test_a_long_gap_is_doubtful(gap_s: float, doubts: tuple[str, ...]) -> None:
    assert judge(speech(0.9), silence(gap_s), speech(0.7)).doubts == doubts


@pytest.mark.parametrize(("hum_s", "doubts"), [(1.3, ()), (1.8, ("drone",))])
def test_a_sound_that_does_not_change_is_no_speech(hum_s: float, doubts: tuple[str, ...]) -> None:
    assert judge(speech(0.8), tone(hum_s)).doubts == doubts


def test_a_quiet_hum_behind_speech_is_no_drone() -> None:
    assert judge(speech(3.0) + tone(3.0, 0.002)).doubts == ()


@pytest.mark.parametrize(
    ("codes", "loops"),
    [
        (list(range(60)), False),
        ([7] * 24, False),
        ([7] * 25, True),
        ([*range(20), *[1, 2, 3, 4, 5, 6] * 5, *range(50, 70)], True),
        ([*range(20), *[1, 2, 3, 4, 5, 6] * 4, *range(50, 70)], False),
        ([*range(30)] * 2, False),
        ([*range(30)] * 3, True),
        ([], False),
    ],
)
def test_codes_that_come_again_and_again_are_a_loop(codes: list[int], loops: bool) -> None:
    attempt = judge(speech(2.0), codes=codes)
    assert attempt.doubts == (("loop",) if loops else ())


def test_a_gap_after_the_expected_end_of_a_long_take_is_where_babble_begins() -> None:
    attempt = judge(speech(2.1), silence(0.3), speech(1.2, seed=2))
    assert attempt.doubts == ("long",)
    assert attempt.tail_s == pytest.approx(2.1, abs=0.03)


def test_a_gap_early_in_a_long_take_is_a_pause() -> None:
    assert judge(speech(1.0), silence(0.3), speech(2.3, seed=2)).doubts == ()


def test_the_tail_is_cut_off() -> None:
    babble = judge(speech(2.1), silence(0.3), speech(1.2, seed=2))
    fine = judge(speech(2.2))
    cut = guards.mended(babble, [babble, fine], RATE)
    assert len(cut) / RATE == pytest.approx(2.15, abs=0.03)


def test_a_slow_speaker_is_left_alone() -> None:
    """Takes of different chances that are equally long were all spoken to their end."""
    one = judge(speech(2.1), silence(0.3), speech(1.2, seed=2))
    two = judge(speech(2.3, seed=3), silence(0.25), speech(1.0, seed=4))
    assert guards.merely_slow([one, two])
    assert len(guards.mended(one, [one, two], RATE)) == len(one.samples)


def test_one_long_take_is_no_proof_of_a_slow_speaker() -> None:
    one = judge(speech(2.1), silence(0.3), speech(1.2, seed=2))
    shorter = judge(speech(1.9), silence(0.2), speech(1.1, seed=2))
    longer = judge(speech(2.1), silence(0.3), speech(2.3, seed=2))
    assert not guards.merely_slow([one])
    assert guards.merely_slow([one, shorter])
    assert not guards.merely_slow([one, longer])
    assert not guards.merely_slow([one, judge(speech(3.4))])


def test_long_gaps_are_shortened_and_short_ones_stay() -> None:
    attempt = judge(speech(0.6), silence(0.5), speech(0.4), silence(2.0), speech(0.5))
    mended = guards.mended(attempt, [attempt], RATE)
    assert len(mended) / RATE == pytest.approx(0.6 + 0.5 + 0.4 + 0.4 + 0.5, abs=0.05)


def test_the_least_doubtful_attempt_is_chosen_and_of_equals_the_most_plausible() -> None:
    runaway, short = judge(speech(5.2)), judge(speech(0.5))
    gap, fine, slow = judge(speech(0.9), silence(1.5), speech(0.5)), judge(speech(2.1)), None
    slow = judge(speech(3.2))
    assert guards.best([runaway, short, gap], 2.0) == 2
    assert guards.best([runaway, short], 2.0) == 1
    assert guards.best([slow, gap, fine], 2.0) == 2
