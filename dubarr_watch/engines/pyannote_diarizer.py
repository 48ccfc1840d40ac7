"""Who speaks when, with pyannote.audio's community-1 pipeline from a local folder."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from dubarr_watch.engines.base import Place, Progress, Span, Turn, no_progress
from dubarr_watch.engines.needs import PYANNOTE_BATCH, PYANNOTE_BATCH_MIB, PYANNOTE_NEED
from dubarr_watch.engines.pyannote_model import not_pulled, pyannote_ready
from dubarr_watch.engines.samples import RATE, SpeechSamples
from dubarr_watch.engines.turns import Heard, cover
from dubarr_watch.errors import OutOfMemory

with warnings.catch_warnings():
    # It says at length that it cannot decode files without FFmpeg's libraries; it never has to.
    warnings.simplefilter("ignore")
    from pyannote.audio import Pipeline
    from pyannote.audio.telemetry import set_telemetry_metrics

set_telemetry_metrics(False)  # it reports each use to its makers otherwise

_CPU = Place()
_BLOCK_S = 600.0
_SLACK = 1.1
# How the time divides among its steps, by measurements on a CPU; the rest is clustering.
_SHARES = {"segmentation": (0.0, 0.2), "embeddings": (0.2, 0.97)}


class PyannoteDiarizer:
    """A Diarizer.

    The whole sound is held in memory as 16 kHz floats, once: 230 MB for each hour. What pyannote
    computes for each window of 10 s, one a second, comes to about 20 MB an hour for each speaker.

    Args:
        model: Folder of the pipeline: config.yaml, segmentation, embedding and plda.
        threads: Threads of the CPU.
        min_speakers: How many there are at least; 0 when unknown.
        max_speakers: How many there are at most; 0 when unknown.
        place: Where it runs. Its memory sets how many windows are embedded at once.

    Raises:
        ModelMissing: The folder has no whole model.
    """

    def __init__(
        self,
        *,
        model: Path,
        threads: int,
        min_speakers: int = 0,
        max_speakers: int = 0,
        place: Place = _CPU,
    ) -> None:
        if not pyannote_ready(model):
            raise not_pulled(model)
        torch.set_num_threads(threads)
        self._bounds = {"min_speakers": min_speakers or None, "max_speakers": max_speakers or None}
        self._pipeline: Any = Pipeline.from_pretrained(model)
        batch = _batch(place)
        self._pipeline.embedding_batch_size = batch
        self._pipeline.segmentation_batch_size = batch
        self._pipeline.to(torch.device("cuda:0" if place.kind == "cuda" else place.kind))

    def diarize(
        self, audio: Path, voice: Sequence[Span], *, progress: Progress = no_progress
    ) -> list[Turn]:
        """See `Diarizer`."""
        with SpeechSamples(audio) as samples:
            total_s = samples.duration_s
            if voice:
                sound = torch.from_numpy(_whole(samples))[None]
        if not voice:
            progress(total_s, total_s)
            return []
        progress(0.0, total_s)
        found = self._listen(sound, _hook(progress, total_s))
        everybody = getattr(found, "speaker_diarization", found)
        one_at_a_time = getattr(found, "exclusive_speaker_diarization", None)
        turns = cover(voice, _heard(everybody), _heard(one_at_a_time))
        progress(total_s, total_s)
        return turns

    def _listen(self, sound: torch.Tensor, hook: Any) -> Any:
        file = {"waveform": sound, "sample_rate": RATE, "uri": "video"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # short sounds make statistics of one value
            try:
                return self._pipeline(file, hook=hook, **self._bounds)
            except MemoryError as error:  # what it makes of torch's own
                raise OutOfMemory(f"The diarizer ran out of memory: {error}") from error
            except ValueError:
                if self._bounds["min_speakers"] is None:
                    raise
                # Voice too short for so many speakers: their clustering refuses it.
                return self._pipeline(file, hook=hook, **self._bounds | {"min_speakers": None})


def _batch(place: Place) -> int:
    """Return how many windows fit at once into a lease."""
    if place.frugal:
        return 1
    if place.kind != "cuda" or not place.mib:
        return PYANNOTE_BATCH
    fixed_mib = PYANNOTE_NEED.mib - PYANNOTE_BATCH * PYANNOTE_BATCH_MIB
    # The slack: a lease that was learned from a run may lie below the estimate.
    spare_mib = place.mib * _SLACK - fixed_mib
    return min(max(1, int(spare_mib // PYANNOTE_BATCH_MIB)), PYANNOTE_BATCH)


def _whole(samples: SpeechSamples) -> npt.NDArray[np.float32]:
    """Read a sound into one array, in blocks: nothing is held twice."""
    whole = np.empty(samples.length, dtype=np.float32)
    at = 0
    for block in samples.blocks(_BLOCK_S):
        whole[at : at + len(block)] = block
        at += len(block)
    return whole


def _hook(progress: Progress, total_s: float) -> Any:
    """Return what pyannote calls after each batch, telling seconds of sound from it."""

    furthest_s = 0.0

    def told(
        step: str,
        artefact: object,
        file: Mapping[str, Any] | None = None,
        total: int | None = None,
        completed: int | None = None,
    ) -> None:
        nonlocal furthest_s
        if step in _SHARES and total and completed is not None:
            start, end = _SHARES[step]
            share = start + (end - start) * min(1.0, completed / total)
            furthest_s = max(furthest_s, round(share * total_s, 3))
            progress(furthest_s, total_s)

    return told


def _heard(annotation: Any) -> list[Heard]:
    if annotation is None:  # an older pipeline does not tell
        return []
    return [
        Heard(float(segment.start), float(segment.end), name)
        for segment, _, name in annotation.itertracks(yield_label=True)
    ]
