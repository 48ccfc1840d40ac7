"""Whether a moment of sound is speech or music; who sings makes music.

The speech/music network of inaSpeechSegmenter (Doukhan et al., "An open-source speaker gender
detection framework for monitoring gender equality", ICASSP 2018), which counts speech over music
as speech, computed with numpy: four convolutions and five dense layers on 0.68 s of a mel
spectrogram.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dubarr_watch.engines.samples import RATE, Samples
from dubarr_watch.errors import ModelMissing

HOP_S = 0.34
"""Between the windows that are listened to: each moment is heard twice."""

Floats = npt.NDArray[np.float32]

_FRAMES, _BANDS = 68, 21
_FRAMES_PER_S = 100
_FRAME_SAMPLES, _FFT = 400, 512
_ALL_BANDS, _LOWEST_HZ, _HIGHEST_HZ = 24, 100.0, 8000.0
_PRE_EMPHASIS = 0.97
_EPSILON = 1e-3  # of the batch normalisation
_BATCH = 32
_TINY = 1e-12


class SpeechMusic:
    """Tells music from speech.

    Args:
        model: The network's weights, a HDF5 file as Keras writes it.

    Raises:
        ModelMissing: There is no such file.
    """

    def __init__(self, model: Path) -> None:
        if not model.is_file():
            raise ModelMissing(
                "The model that tells songs from speech has not been pulled.",
                hint="Run `dubarr-watch models pull`.",
                path=model,
            )
        import h5py

        with h5py.File(model) as file:
            weights = file["model_weights"]
            self._convolutions = [_layer(weights, f"conv2d_{n}", n) for n in range(1, 5)]
            self._dense = [_layer(weights, f"dense_{n}", n + 4) for n in range(1, 5)]
            self._last = _layer(weights, "dense_5")

    def music(self, samples: Samples) -> Floats:
        """Return how surely each window is music, between 0 and 1; the rest is speech.

        Args:
            samples: Mono at 16 kHz; less than a window is heard repeatedly.

        Returns:
            float32 of shape (windows,), at least one, `HOP_S` apart.
        """
        needed = _FRAMES * RATE // _FRAMES_PER_S + _FRAME_SAMPLES
        if len(samples) < needed:
            samples = np.resize(samples, needed) if len(samples) else np.zeros(needed, np.float32)
        features = _log_mel(samples)
        windows = np.lib.stride_tricks.sliding_window_view(features, _FRAMES, axis=0)
        windows = windows[:: round(HOP_S * _FRAMES_PER_S)].transpose(0, 2, 1)
        parts = np.split(windows, range(_BATCH, len(windows), _BATCH))
        return np.concatenate([self._heard(part) for part in parts])

    def _heard(self, windows: Floats) -> Floats:
        """Return what the network says of windows of shape (n, 68, 21)."""
        mean = windows.mean(axis=(1, 2), keepdims=True)
        spread = windows.std(axis=(1, 2), keepdims=True)
        x = ((windows - mean) / np.maximum(spread, _TINY))[..., None]
        first, second, third, fourth = self._convolutions
        x = _pooled(_convolved(x, *first), 2, 2)
        x = _convolved(_convolved(x, *second), *third)
        x = _pooled(np.pad(x, ((0, 0), (0, 0), (0, 1), (0, 0))), 2, 2)  # after relu: 0 is least
        x = _pooled(_convolved(x, *fourth), 12, 1).reshape(len(x), -1)
        for kernel, bias in self._dense:
            x = np.maximum(x @ kernel + bias, 0)
        kernel, bias = self._last
        speech, music = (x @ kernel + bias).T
        # The softmax of two; further apart than this it is 0 or 1 anyway.
        found: Floats = 1 / (1 + np.exp(np.clip(speech - music, -80, 80)))
        return found


def _layer(weights: object, name: str, normalised: int | None = None) -> tuple[Floats, Floats]:
    """Return kernel and bias of a layer, with the batch normalisation behind it folded in."""
    kernel, bias = (_array(weights, name, part) for part in ("kernel", "bias"))
    if normalised is None:
        return kernel, bias
    gamma, beta, mean, variance = (
        _array(weights, f"batch_normalization_{normalised}", part)
        for part in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    scale = gamma / np.sqrt(variance + _EPSILON)
    return kernel * scale, (bias - mean) * scale + beta


def _array(weights: object, name: str, part: str) -> Floats:
    return np.asarray(weights[name][f"{name}_1"][f"{part}:0"], dtype=np.float32)  # type: ignore[index]


def _convolved(x: Floats, kernel: Floats, bias: Floats) -> Floats:
    """Return the rectified convolution of (n, rows, columns, channels), without padding."""
    rows, columns, channels, made = kernel.shape
    around = np.lib.stride_tricks.sliding_window_view(x, (rows, columns), axis=(1, 2))
    shape = around.shape[:3]
    flat = around.transpose(0, 1, 2, 4, 5, 3).reshape(-1, rows * columns * channels)
    found: Floats = np.maximum(flat @ kernel.reshape(-1, made) + bias, 0).reshape(*shape, made)
    return found


def _pooled(x: Floats, rows: int, columns: int) -> Floats:
    """Return the highest of each field of (n, rows, columns, channels), what is left over cut."""
    high, wide = x.shape[1] // rows, x.shape[2] // columns
    fields = x[:, : high * rows, : wide * columns]
    found: Floats = fields.reshape(len(x), high, rows, wide, columns, -1).max(axis=(2, 4))
    return found


def _log_mel(samples: Samples) -> Floats:
    """Return the log mel power that the network was trained on, float32 (frames, 21)."""
    hop = RATE // _FRAMES_PER_S
    frames = np.lib.stride_tricks.sliding_window_view(samples, _FRAME_SAMPLES)[::hop]
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    emphasised = (frames - _PRE_EMPHASIS * before) * np.hanning(_FRAME_SAMPLES)
    power = np.abs(np.fft.rfft(emphasised, _FFT, axis=1)) ** 2
    return np.log(power @ _filters().T + _TINY).astype(np.float32)


@functools.cache
def _filters() -> npt.NDArray[np.float64]:
    """Return triangles of equal area, evenly spaced on the mel scale of HTK: (21, 257).

    A band takes whole bins, and not the one at its upper edge.
    """
    lowest, highest = (2595 * np.log10(1 + hz / 700) for hz in (_LOWEST_HZ, _HIGHEST_HZ))
    edges = 700 * (10 ** (np.linspace(lowest, highest, _ALL_BANDS + 2) / 2595) - 1)
    found = np.zeros((_BANDS, _FFT // 2 + 1))
    hz = np.arange(_FFT // 2 + 1) * RATE / _FFT
    for band, (low, centre, high) in enumerate(
        zip(edges[:_BANDS], edges[1 : _BANDS + 1], edges[2 : _BANDS + 2], strict=True)
    ):
        first, middle, last = (int(edge * _FFT / RATE) + 1 for edge in (low, centre, high))
        height = 2 / (high - low)
        found[band, first:middle] = height * (hz[first:middle] - low) / (centre - low)
        falling = slice(middle, last - 1)
        found[band, falling] = height * (high - hz[falling]) / (high - centre)
    return found
