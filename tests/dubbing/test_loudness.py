"""The loudness meter's filter is scipy's own, loaded without the rest of scipy.signal."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.signal import sosfilt

from dubarr_watch.dubbing.loudness import EnergyMeter, k_weighting


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_blocks_of_any_length_give_the_energies_of_the_whole(channels: int) -> None:
    """The state of the filter goes on from one block to the next."""
    rate, steps = 48_000, 20
    noise = np.random.default_rng(7).normal(scale=0.1, size=(rate * steps // 10, channels))
    samples = noise.astype(np.float32)
    meter = EnergyMeter(channels, rate)
    for part in np.split(samples, [1, 4_800, 4_801, 50_000]):
        meter.add(part)
    heard = sosfilt(k_weighting(rate).astype(np.float64), noise, axis=0)
    wanted = (heard.reshape(steps, rate // 10, channels) ** 2).mean(axis=1)
    assert meter.energies() == pytest.approx(wanted, rel=1e-3)


def test_many_threads_may_want_it_first() -> None:
    """A bed is measured by several threads, each with a meter of its own."""
    program = (
        "import threading; from dubarr_watch.dubbing.loudness import EnergyMeter\n"
        "gate, made = threading.Barrier(16), []\n"
        "def make():\n"
        "    gate.wait(); made.append(EnergyMeter(2, 48000))\n"
        "threads = [threading.Thread(target=make) for _ in range(16)]\n"
        "[one.start() for one in threads]; [one.join() for one in threads]\n"
        "assert len(made) == 16"
    )
    for _ in range(3):
        subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_daemon_computes_in_one_thread() -> None:
    """Waiting threads of BLAS would spin between the short calls of a mix."""
    program = (
        "import dubarr_watch.cli, numpy, psutil\n"
        "square = numpy.ones((500, 500)); square @ square\n"
        "assert psutil.Process().num_threads() == 1"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
