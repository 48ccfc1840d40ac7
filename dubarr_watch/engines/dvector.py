"""Who speaks when: d-vectors of short windows, clustered by average linkage.

A d-vector (Wan et al. 2018, "Generalized end-to-end loss for speaker verification") is an
embedding of a voice; two of one speaker point in nearly the same direction. Clustering sections of
about two seconds finds how many speakers there are and what each sounds like; a Viterbi pass over
cells of 0.2 s then finds where one hands over to the next.

Nobody is heard beside another: a d-vector is of 0.8 s, and most of the time that two people talk at
once lasts under half a second (see `dubbing/transcript.py`), so that no vector is of both.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from scipy.cluster import hierarchy
from scipy.spatial.distance import pdist

from dubarr_watch.engines.base import Progress, Span, Turn, no_progress
from dubarr_watch.engines.mel import FRAMES_PER_S, MELS, log_mel
from dubarr_watch.engines.samples import SpeechSamples
from dubarr_watch.errors import ModelMissing

Vectors = npt.NDArray[np.float32]
"""One row of 256 values, of length 1, for each window, section or speaker."""
Labels = npt.NDArray[np.int64]

_WINDOW_FRAMES = 80  # what the embedder takes: 0.8 s
_CELL_FRAMES = 20
_CELL_S = _CELL_FRAMES / FRAMES_PER_S
_BATCH = 64

_SECTION_CELLS = 9
_SECTION_HOP = 4
_MOST_SECTIONS = 2500  # pairwise distances of these take 25 MiB
# Cosine distance at which two groups of sections are two speakers. Measured: sections of one real
# person lie 0.16 to 0.34 apart on average, those of two people 0.44 to 0.90.
_TWO_SPEAKERS = 0.40
# Cosine distance under which two speakers, each known by all that they say, are one.
_ONE_SPEAKER = 0.28
_MOST_ROUNDS = 6
# Who says less than this, and less than this share of a short recording, is more likely an artefact
# than a speaker. Together with the distances this found the right number of speakers in 97 of 104
# dialogues of 50 s with one to four real or synthetic voices, half of them over music, and in 22 of
# 26 of up to five, half of them uneven, over louder music and partly through another microphone,
# looked at after the distances were chosen, but before `_ONE_SPEAKER` was (without it 95 and 18).
_LEAST_SPEAKER_S = 3.2
_LEAST_SPEAKER_SHARE = 0.2
# Nor is it a speaker who never says more than this at a time: the end of one person's sentence lay
# 0.45 from the rest of hers, and two people 0.49 apart.
_LEAST_TURN_S = 1.6
# Costs of a change of speaker, in units of summed cosine distance over cells.
_SWITCH = 0.8
_SWITCH_AT_PAUSE = 0.15
_SHORTEST_TURN_S = 0.6


class DVectorDiarizer:
    """A Diarizer for the CPU.

    Args:
        model: The embedder, an ONNX file.
        threads: Threads of the CPU.

    Raises:
        ModelMissing: There is no such file.
    """

    def __init__(self, *, model: Path, threads: int) -> None:
        if not model.is_file():
            raise ModelMissing(
                "The speaker recognition model has not been pulled.",
                hint="Run `dubarr-watch models pull`.",
                path=model,
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )

    def diarize(
        self, audio: Path, voice: Sequence[Span], *, progress: Progress = no_progress
    ) -> list[Turn]:
        """See `Diarizer`."""
        with SpeechSamples(audio) as samples:
            stretches = []
            for span in voice:
                stretches.append(self._listen(samples, span))
                progress(span.end_s, samples.duration_s)
            if not stretches:
                return []
            labels = _settled(stretches, _speakers([stretch.cells for stretch in stretches]))
            progress(samples.duration_s, samples.duration_s)
        return _turns(stretches, labels)

    def _listen(self, samples: SpeechSamples, span: Span) -> _Stretch:
        """Embed every 0.2 s of a stretch of voice."""
        features = log_mel(samples.between(span.start_s, span.end_s))
        if len(features) < _WINDOW_FRAMES:
            features = np.resize(features, (_WINDOW_FRAMES, MELS))
        windows = np.lib.stride_tricks.sliding_window_view(features, _WINDOW_FRAMES, axis=0)
        windows = windows[::_CELL_FRAMES].transpose(0, 2, 1)
        vectors = np.concatenate(
            [
                self._session.run(None, {"mel_window": np.ascontiguousarray(part)})[0]
                for part in np.split(windows, range(_BATCH, len(windows), _BATCH))
            ]
        )
        count = max(1, round(span.duration_s / _CELL_S))
        return _Stretch(span, _cells(_unit(vectors), count))


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A span of voice and the d-vector of each of its cells of about 0.2 s."""

    span: Span
    cells: Vectors


def _cells(windows: Vectors, count: int) -> Vectors:
    """Average the windows that lie over each cell."""
    over = _WINDOW_FRAMES // _CELL_FRAMES
    last = len(windows) - 1
    cells = [
        windows[min(max(0, n - over + 1), last) : max(1, min(n, last) + 1)].mean(axis=0)
        for n in range(count)
    ]
    return _unit(np.stack(cells))


def _speakers(stretches: Sequence[Vectors]) -> Vectors:
    """Return the mean d-vector of each speaker, of at least one."""
    sections = np.concatenate([_sections(cells) for cells in stretches])
    sample = sections
    if len(sections) > _MOST_SECTIONS:
        sample = sections[np.linspace(0, len(sections) - 1, _MOST_SECTIONS).astype(int)]
    if len(sample) == 1:
        return sample
    tree = hierarchy.linkage(pdist(sample, "cosine"), "average")
    labels = hierarchy.fcluster(tree, _TWO_SPEAKERS, "distance")
    each_s = _SECTION_HOP * _CELL_S * len(sections) / len(sample)
    return _means(sample, labels, each_s)


def _means(vectors: Vectors, labels: Labels, each_s: float) -> Vectors:
    """Return the mean of each label's vectors where they are enough, of at least one label's.

    Args:
        vectors: Any number.
        labels: Whose each of them is.
        each_s: Seconds that each stands for.
    """
    counts = np.bincount(labels)
    least_s = min(_LEAST_SPEAKER_S, _LEAST_SPEAKER_SHARE * each_s * len(labels))
    kept = [label for label in np.unique(labels) if counts[label] * each_s >= least_s]
    kept = kept or [int(np.argmax(counts))]
    return _unit(np.stack([vectors[labels == label].mean(axis=0) for label in kept]))


def _settled(stretches: Sequence[_Stretch], speakers: Vectors) -> Labels:
    """Follow the speakers, and again as long as all that was found tells of fewer or others.

    What one person says in several moods, over music or into another microphone, falls into
    groups that are no longer apart when each is known by all of its cells.
    """
    cells = np.concatenate([stretch.cells for stretch in stretches])
    for _ in range(_MOST_ROUNDS):
        labels = _follow(stretches, speakers)
        known = _is_known(stretches, labels)
        found = _means(cells[known], labels[known], _CELL_S)
        if len(found) > 1:
            tree = hierarchy.linkage(pdist(found, "cosine"), "average")
            joined = hierarchy.fcluster(tree, _ONE_SPEAKER, "distance")
            found = _unit(np.stack([found[joined == one].mean(axis=0) for one in set(joined)]))
        fewer, speakers = len(found) < len(speakers), found
        if not fewer:
            break
    return _follow(stretches, speakers)


def _is_known(stretches: Sequence[_Stretch], labels: Labels) -> npt.NDArray[np.bool_]:
    """Tell for each cell whether its label has one turn that is long enough; if none has, all."""
    long: set[int] = set()
    first = 0
    for stretch in stretches:
        here = labels[first : first + len(stretch.cells)].tolist()
        first += len(here)
        long |= {label for label, run in itertools.groupby(here)
                 if len(list(run)) * _CELL_S > _LEAST_TURN_S}  # fmt: skip
    return np.isin(labels, list(long)) if long else np.ones(len(labels), dtype=bool)


def _sections(cells: Vectors) -> Vectors:
    """Return d-vectors of overlapping sections of 1.8 s of one stretch, or of all of it."""
    if len(cells) <= _SECTION_CELLS:
        return _unit(cells.mean(axis=0, keepdims=True))
    starts = range(0, len(cells) - _SECTION_CELLS + 1, _SECTION_HOP)
    return _unit(np.stack([cells[n : n + _SECTION_CELLS].mean(axis=0) for n in starts]))


def _follow(stretches: Sequence[_Stretch], speakers: Vectors) -> Labels:
    """Label every cell of all stretches with the speaker on the cheapest path (Viterbi)."""
    costs = np.concatenate([1 - stretch.cells @ speakers.T for stretch in stretches])
    starts = set(np.cumsum([len(stretch.cells) for stretch in stretches])[:-1].tolist())
    total = costs[0].astype(np.float64)
    back = np.zeros(costs.shape, dtype=np.int64)
    for n in range(1, len(costs)):
        switch = _SWITCH_AT_PAUSE if n in starts else _SWITCH
        best = int(np.argmin(total))
        changes = total[best] + switch < total
        back[n] = np.where(changes, best, np.arange(len(total)))
        total = np.where(changes, total[best] + switch, total) + costs[n]
    labels = np.zeros(len(costs), dtype=np.int64)
    labels[-1] = int(np.argmin(total))
    for n in range(len(costs) - 1, 0, -1):
        labels[n - 1] = back[n, labels[n]]
    return labels


def _turns(stretches: Sequence[_Stretch], labels: Labels) -> list[Turn]:
    """Join equal cells into turns, numbering the speakers as they first appear."""
    names: dict[int, int] = {}
    turns: list[Turn] = []
    first = 0
    for stretch in stretches:
        here = _steady(labels[first : first + len(stretch.cells)])
        first += len(stretch.cells)
        cell_s = stretch.span.duration_s / len(here)
        edges = [0, *(np.flatnonzero(np.diff(here)) + 1).tolist(), len(here)]
        for start, end in itertools.pairwise(edges):
            speaker = names.setdefault(int(here[start]), len(names))
            start_s = stretch.span.start_s + start * cell_s
            end_s = stretch.span.start_s + end * cell_s if end < len(here) else stretch.span.end_s
            turns.append(Turn(round(start_s, 3), round(end_s, 3), speaker))
    return turns


def _steady(labels: Labels) -> Labels:
    """Give runs that are too short for a turn to the longer neighbour in the same stretch."""
    labels = labels.copy()
    shortest = round(_SHORTEST_TURN_S / _CELL_S)
    while True:
        edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
        lengths = np.diff(edges)
        if len(lengths) == 1 or lengths.min() >= shortest:
            return labels
        n = int(np.argmin(lengths))
        before = lengths[n - 1] if n else 0
        after = lengths[n + 1] if n + 1 < len(lengths) else 0
        labels[edges[n] : edges[n + 1]] = labels[edges[n] - 1 if before >= after else edges[n + 1]]


def _unit(vectors: npt.NDArray[np.float32]) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = (vectors / np.maximum(lengths, 1e-9)).astype(np.float32)
    return unit
