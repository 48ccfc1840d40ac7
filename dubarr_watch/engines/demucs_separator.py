"""Voices apart from music and effects, with Demucs, in memory that no length of film makes grow."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
import torch
import yaml  # type: ignore[import-untyped]
from demucs.hf import load_safetensors_model

from dubarr_watch.engines.base import Place, Progress, Stems, no_progress
from dubarr_watch.engines.stems import StemWriter, open_audio
from dubarr_watch.errors import ModelMissing

Frames = npt.NDArray[np.float32]
"""Samples between -1 and 1: (frames, channels)."""

_CPU = Place()
_VOICE = "vocals"
_OVERLAP = 0.25  # as Demucs's own code has it
_BLOCK_S = 2.0

# Which channels are heard together by the model, which knows only stereo; one on its own is heard
# as both sides. Orders are those of WAV (FL FR FC LFE BL BR ...): with a low-frequency channel
# there is one that nobody speaks in.
_PAIRS = {
    1: ((0, 0),),
    2: ((0, 1),),
    3: ((0, 1), (2, 2)),
    4: ((0, 1), (2, 3)),
    5: ((0, 1), (2, 2), (3, 4)),
    6: ((0, 1), (2, 2), (4, 5)),
    7: ((0, 1), (2, 2), (4, 4), (5, 6)),
    8: ((0, 1), (2, 2), (4, 5), (6, 7)),
}


class DemucsSeparator:
    """A Separator.

    The mix is read in blocks, resampled to the model's rate, heard in segments that overlap by a
    quarter and fade into each other, and resampled back; the voice found so is taken from the mix
    (`StemWriter`). Surround sound is heard in pairs of channels, one after the other.

    Args:
        model: Folder of safetensors checkpoints as on Demucs's own pages, with the YAML file that
            names them, if there are several.
        threads: Threads of the CPU.
        place: Where it runs. A frugal one halves the segments.

    Raises:
        ModelMissing: The folder has no model.
    """

    def __init__(self, *, model: Path, threads: int, place: Place = _CPU) -> None:
        torch.set_num_threads(threads)
        self._device = torch.device("cuda:0" if place.kind == "cuda" else place.kind)
        self._models = _load(model)
        for part in self._models:
            part.network.to(self._device)
            if place.frugal:
                part.network.segment = part.network.segment / 2
        network = self._models[0].network
        self._rate = int(network.samplerate)
        self._segment = int(network.segment * self._rate)

    def separate(self, audio: Path, folder: Path, *, progress: Progress = no_progress) -> Stems:
        """See `Separator`."""
        with open_audio(audio) as mix, StemWriter(audio, folder) as stems:
            rate, total_s = mix.samplerate, len(mix) / mix.samplerate
            progress(0.0, total_s)
            pairs = _pairs(mix.channels)
            channels = sorted(set(itertools.chain(*pairs)))
            chain = _Chain(
                self._hear,
                rates=(rate, self._rate),
                segment=self._segment,
                pairs=[[channels.index(side) for side in pair] for pair in pairs],
            )
            for found in chain.run(_blocks(mix, channels)):
                voice = np.zeros((len(found), mix.channels))
                voice[:, channels] = found
                stems.write(voice)
                progress(stems.written / rate, total_s)
            finished = stems.finish()
            progress(total_s, total_s)
        return finished

    def _hear(self, mix: Frames) -> Frames:
        """Return the voice in one segment of stereo sound at the model's rate."""
        with torch.inference_mode():
            heard = torch.from_numpy(np.ascontiguousarray(mix.T))[None].to(self._device)
            voice = torch.zeros_like(heard)
            for part in self._models:
                voice += part.weight * part.network(heard)[:, part.voice]
            found: Frames = voice[0].T.cpu().numpy()
        return found


@dataclass(frozen=True, slots=True)
class _Part:
    """One network of a bag: which of its sources is voice, and how much it counts."""

    network: Any
    voice: int
    weight: float


class _Chain:
    """Sound on its way through the model and back: to its rate, in segments, from its rate."""

    def __init__(
        self,
        hear: Callable[[Frames], Frames],
        *,
        rates: tuple[int, int],
        segment: int,
        pairs: Sequence[Sequence[int]],
    ) -> None:
        self._hear_pair = hear
        self._pairs = pairs
        self._segment = segment
        self._overlap = round(_OVERLAP * segment)
        width = 1 + max(itertools.chain(*pairs))
        own, models = rates
        self._down = soxr.ResampleStream(own, models, width, dtype="float32")
        self._up = soxr.ResampleStream(models, own, width, dtype="float32")
        self._waiting: Frames = np.zeros((0, width), dtype=np.float32)
        self._fading: Frames = self._waiting
        self._rise = (np.arange(self._overlap, dtype=np.float32)[:, None] + 0.5) / self._overlap

    def run(self, blocks: Iterator[Frames]) -> Iterator[Frames]:
        """Yield the voice of all blocks, in pieces of other lengths."""
        for block in blocks:
            self._waiting = np.concatenate([self._waiting, self._down.resample_chunk(block)])
            while len(self._waiting) >= self._segment:
                yield self._up.resample_chunk(self._next())
        nothing = self._waiting[:0]
        self._waiting = np.concatenate(
            [self._waiting, self._down.resample_chunk(nothing, last=True)]
        )
        while len(self._waiting) > len(self._fading):
            yield self._up.resample_chunk(self._next())
        last = self._fading[: len(self._waiting)]
        yield self._up.resample_chunk(np.ascontiguousarray(last), last=True)

    def _next(self) -> Frames:
        """Hear a segment, filled up with silence at the end, and return what is final of it."""
        mix = self._waiting[: self._segment]
        short = self._segment - len(mix)
        voice = self._hear(np.pad(mix, ((0, short), (0, 0))))
        before = len(self._fading)
        voice[:before] *= self._rise[:before]
        voice[:before] += self._fading * (1 - self._rise[:before])
        step = self._segment - self._overlap
        self._fading = voice[step:]
        final = voice[: min(step, len(self._waiting))]
        self._waiting = self._waiting[step:]
        return np.ascontiguousarray(final)

    def _hear(self, mix: Frames) -> Frames:
        voice = np.zeros_like(mix)
        for left, right in self._pairs:
            found = self._hear_pair(mix[:, [left, right]])
            if left == right:
                voice[:, left] = found.mean(axis=1)
            else:
                voice[:, [left, right]] = found
        return voice


def _load(folder: Path) -> list[_Part]:
    """Load the networks that have a say in what is voice."""
    files = {path.stem: path for path in folder.glob("*.safetensors")}
    bag = next(folder.glob("*.yaml"), None)
    wanted = yaml.safe_load(bag.read_text(encoding="utf-8")) if bag else {}
    names = [str(name) for name in wanted.get("models", files)]
    if not names or not set(names) <= set(files):
        raise ModelMissing(
            "The model that separates voices has not been pulled.",
            hint="Run `dubarr-watch models pull`, or set SEPARATION=never.",
            path=folder,
        )
    parts = []
    for n, name in enumerate(names):
        network = load_safetensors_model(files[name]).eval()
        voice = list(network.sources).index(_VOICE)
        weights = wanted.get("weights")
        parts.append(_Part(network, voice, float(weights[n][voice]) if weights else 1.0))
    total = sum(part.weight for part in parts)
    return [_Part(p.network, p.voice, p.weight / total) for p in parts if p.weight]


def _pairs(channels: int) -> Sequence[tuple[int, int]]:
    return _PAIRS.get(channels) or [(n, min(n + 1, channels - 1)) for n in range(0, channels, 2)]


def _blocks(mix: soundfile.SoundFile, channels: Sequence[int]) -> Iterator[Frames]:
    block = round(_BLOCK_S * mix.samplerate)
    while len(samples := mix.read(block, dtype="float32", always_2d=True)):
        yield np.ascontiguousarray(samples[:, channels])
