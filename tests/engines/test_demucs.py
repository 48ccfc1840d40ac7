"""Demucs on a tiny checkpoint: in a process of its own, and alone on sounds with a known answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from dubarr_watch.engines.base import EngineSpec, Place, Separator
from dubarr_watch.engines.demucs_separator import DemucsSeparator, _Chain, _Part
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.errors import ModelMissing
from dubarr_watch.settings import load_settings
from tests.engines.contracts import SeparatorContract, measured
from tests.tiny import demucs as tiny

RATE = 48_000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build(tmp_path_factory.mktemp("model") / "htdemucs")


@pytest.fixture(scope="module")
def spec(model: Path) -> EngineSpec:
    return EngineSpec(
        "dubarr_watch.engines.demucs_separator:DemucsSeparator",
        {"model": model, "threads": 1, "place": Place()},
    )


@pytest.fixture(scope="module")
def separator(spec: EngineSpec, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Separator]:
    host = EngineHost(load_settings(config_dir=tmp_path_factory.mktemp("config"), mock_mode=False))
    with host.engine("separator", spec) as separator:
        yield separator


class TestTinyDemucs(SeparatorContract):
    @pytest.fixture
    def peak_mib(self, spec: EngineSpec, tmp_path: Path) -> Callable[[Path], float]:
        return measured(spec, tmp_path)


class Hears(torch.nn.Module):  # type: ignore[misc]
    """Takes everything that it is given for voice."""

    samplerate = 44_100
    segment = Fraction(39, 5)

    def forward(self, mix: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.zeros_like(mix), mix], dim=1)


@pytest.fixture
def hears_all(model: Path) -> DemucsSeparator:
    made = DemucsSeparator(model=model, threads=1)
    made._models = [_Part(Hears(), 1, 1.0)]
    made._segment = 4 * 44_100
    return made


def chirp(path: Path, seconds: float, channels: int = 2) -> np.ndarray[Any, Any]:
    """Write tones that rise to 15 kHz, other ones in each channel."""
    times = np.arange(round(seconds * RATE)) / RATE
    sides = [
        np.sin(2 * np.pi * (40 + 7 * n + 7000 * times / seconds) * times) for n in range(channels)
    ]
    samples = 0.5 * np.stack(sides, axis=1)
    soundfile.write(path, samples, RATE, subtype="PCM_24")
    return samples


def test_what_is_heard_comes_back_in_its_place(hears_all: DemucsSeparator, tmp_path: Path) -> None:
    """Through two resamplers and fading segments nothing is late, cut short or doubled."""
    mix = chirp(tmp_path / "mix.wav", 13.7)
    stems = hears_all.separate(tmp_path / "mix.wav", tmp_path / "stems")
    voice, rate = soundfile.read(stems.voice)
    assert (rate, len(voice)) == (RATE, len(mix))
    error = voice - mix
    assert np.abs(error[2000:-2000]).max() < 0.002
    assert np.sqrt(np.mean(error**2)) < 0.002
    assert soundfile.info(stems.voice).subtype == "PCM_24"


def test_nobody_speaks_in_the_low_frequency_channel(
    hears_all: DemucsSeparator, tmp_path: Path
) -> None:
    """Of 5.1 all others are heard, the centre on its own; that one stays in the rest as it is."""
    mix = chirp(tmp_path / "mix.wav", 5.0, channels=6)
    stems = hears_all.separate(tmp_path / "mix.wav", tmp_path / "stems")
    voice, rest = soundfile.read(stems.voice)[0], soundfile.read(stems.rest)[0]
    assert np.abs(voice[:, 3]).max() == 0
    assert np.abs(rest[:, 3] - mix[:, 3]).max() < 1e-6
    for n in (0, 1, 2, 4, 5):
        assert np.abs(voice[2000:-2000, n] - mix[2000:-2000, n]).max() < 0.002, n


def test_the_rest_keeps_what_the_model_cannot_hear(
    hears_all: DemucsSeparator, tmp_path: Path
) -> None:
    """A tone above the model's 22 kHz is no voice, and stays."""
    tone = 0.4 * np.sin(2 * np.pi * 23_500 * np.arange(5 * RATE) / RATE)
    soundfile.write(tmp_path / "mix.wav", tone, RATE, subtype="PCM_16")
    stems = hears_all.separate(tmp_path / "mix.wav", tmp_path / "stems")
    rest = soundfile.read(stems.rest)[0]
    assert np.abs(rest[2000:-2000] - tone[2000:-2000]).max() < 0.002


def test_segments_fade_into_each_other() -> None:
    """Between two segments the voice goes from one's answer to the other's in a straight line."""
    answers = iter(range(1, 9))
    chain = _Chain(
        lambda mix: np.full_like(mix, next(answers)),
        rates=(8000, 8000),
        segment=8000,
        pairs=[(0, 0)],
    )
    blocks = iter([np.ones((5000, 1), dtype=np.float32)] * 4)
    found = np.concatenate(list(chain.run(blocks)))[:, 0]
    assert len(found) == 20_000
    assert np.all(found[:6000] == 1)
    assert np.all((found[6000:8000] > 1) & (found[6000:8000] < 2))
    assert np.all(np.diff(found[6000:8000]) > 0)
    assert np.all(found[8000:12_000] == 2)
    assert found[-1] == 3


def test_a_frugal_place_halves_the_segments(model: Path) -> None:
    """After running out of memory half as much is heard at once."""
    whole = DemucsSeparator(model=model, threads=1)
    half = DemucsSeparator(model=model, threads=1, place=Place(frugal=True))
    assert half._segment == whole._segment // 2


def test_networks_without_a_say_are_not_loaded(tmp_path: Path) -> None:
    """In a bag of one network for each source only the one for voices counts."""
    tiny.build(tmp_path, seed=1)
    (tmp_path / "0123abcd.safetensors").rename(tmp_path / "first.safetensors")
    tiny.build(tmp_path, seed=2)
    (tmp_path / "htdemucs.yaml").write_text(
        "models: [first, 0123abcd]\nweights: [[1, 1, 1, 0], [0, 0, 0, 1]]\n", encoding="utf-8"
    )
    bag = DemucsSeparator(model=tmp_path, threads=1)
    assert [(part.voice, part.weight) for part in bag._models] == [(3, 1.0)]


@pytest.mark.parametrize("left", ["nothing", "the list of a checkpoint that is not there"])
def test_a_model_that_is_not_there_is_named(left: str, tmp_path: Path) -> None:
    """The error has the folder and the command that fills it."""
    if left != "nothing":
        (tmp_path / "htdemucs.yaml").write_text("models: ['955717e8']", encoding="utf-8")
    with pytest.raises(ModelMissing) as caught:
        DemucsSeparator(model=tmp_path, threads=1)
    assert caught.value.path == tmp_path
    assert "models pull" in caught.value.hint
