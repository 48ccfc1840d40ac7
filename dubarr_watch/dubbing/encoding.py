"""A mix into an encoder."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile

from dubarr_watch.dubbing.balance import Balance
from dubarr_watch.dubbing.codecs import TrackCodec
from dubarr_watch.dubbing.ducking import Ducker
from dubarr_watch.dubbing.layouts import Layout
from dubarr_watch.dubbing.levels import factor
from dubarr_watch.dubbing.limiting import Limiter
from dubarr_watch.dubbing.loudness import STEP_S
from dubarr_watch.dubbing.programme import MixControl, Programme
from dubarr_watch.dubbing.splicing import (
    FRAME_SAMPLES,
    LEAD_IN,
    LEAD_OUT,
    Share,
    join,
    shares_of,
)
from dubarr_watch.dubbing.timeline import (
    BLOCK,
    SAMPLE_RATE,
    Samples,
    SpeechLine,
    ends_at_most_s,
)
from dubarr_watch.dubbing.track_check import Written
from dubarr_watch.dubbing.wordless import WordlessSound
from dubarr_watch.engines.base import Progress
from dubarr_watch.errors import JobCancelled
from dubarr_watch.media import output_name, run_ffmpeg, widen_pipe

_ENCODERS = 4
"""How many run at a time, at most; what is mixed for them is made by one process."""

_SHORTEST = 60 * SAMPLE_RATE
"""A share that is shorter costs more in its beginning than it saves."""

_STEPS = round(BLOCK / SAMPLE_RATE / STEP_S)


@dataclass(frozen=True, slots=True)
class Turn:
    """How one try is turned up, and at which true peak it is held down."""

    gain_db: float
    ceiling_db: float


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is encoded and how.

    Attributes:
        programme: What is mixed.
        plan: What of it is how loud.
        layout: Of the mix.
        codec: Of the track.
    """

    programme: Programme
    plan: Balance
    layout: Layout
    codec: TrackCodec

    @property
    def total(self) -> int:
        """Samples of the track."""
        return round(self.programme.duration_s * SAMPLE_RATE)

    def blocks(self, gain: float, first: int = 0, last: int | None = None) -> Iterator[Samples]:
        """Yield the mix, float32 of shape (n, channels), as long as the video.

        Args:
            gain: Linear, of all of it.
            first: Sample to begin with, a multiple of `BLOCK`.
            last: Sample to end before; the end, if nothing else.
        """
        programme, total = self.programme, self.total
        takes = [take for take in self.plan.takes if ends_at_most_s(take) > first / SAMPLE_RATE]
        speech, ducker = SpeechLine(takes, total), Ducker(self.plan.ducks)
        spans = programme.wordless if programme.original != programme.bed else ()
        with (
            soundfile.SoundFile(programme.bed) as bed,
            WordlessSound(programme.original, spans) as wordless,
        ):
            bed.seek(min(first, bed.frames))
            last = total if last is None else min(last, total)
            for position in range(first, last, BLOCK):
                count = min(BLOCK, last - position)
                block = bed.read(count, dtype="float32", always_2d=True, fill_value=0.0)
                wordless.lay_over(block, position)
                if block.shape[1] == 1:
                    block = np.repeat(block, 2, axis=1)
                ducker.apply(block, position)
                speech.add_to(block, position)
                block *= np.float32(gain)
                yield block


def encode(recipe: Recipe, target: Path, turn: Turn, control: MixControl) -> Written:
    """Encode a mix in Matroska audio; a long one in shares, side by side.

    Args:
        recipe: What is encoded and how.
        target: The file to write; shares lie beside it until they are joined.
        turn: How loud.
        control: Progress, cancel and stall.

    Raises:
        MediaError: ffmpeg failed.
        JobCancelled: As `control` says.
    """
    codec = recipe.codec
    spans: list[tuple[int, int | None]] = [(0, None)]
    if codec.name in FRAME_SAMPLES:
        count = min(_ENCODERS, os.cpu_count() or 1, recipe.total // _SHORTEST)
        spans = shares_of(recipe.total, max(count, 1))
    if len(spans) == 1:
        done = [_encode_share(recipe, target, turn, 0, None, control)]
    else:
        with encoded(recipe, target, turn, spans, control) as parts:
            join([part.share for part in parts], target, codec.name, control.cancelled)
        done = parts
    # What was planned is known without measuring it; only the limiter came in between.
    kept = np.repeat([of_block for part in done for of_block in part.kept], _STEPS)
    energy = recipe.plan.energy * factor(turn.gain_db) ** 2
    energy *= np.pad(kept, (0, max(len(energy) - len(kept), 0)), mode="edge")[: len(energy)]
    peaks = [peak for part in done for peak in part.peaks]
    return Written(codec, energy, peaks, exact=codec.layout == recipe.layout)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A share of a track, encoded.

    Attributes:
        share: Where it lies.
        peaks: Linear peak of each of its blocks.
        kept: What the limiter left of the energy of each.
    """

    share: Share
    peaks: list[float]
    kept: list[float]


@contextmanager
def encoded(
    recipe: Recipe,
    target: Path,
    turn: Turn,
    spans: Sequence[tuple[int, int | None]],
    control: MixControl,
) -> Iterator[list[Encoded]]:
    """Encode shares of a track side by side; the files are there as long as the block lasts.

    Args:
        recipe: What is encoded and how.
        target: Beside it they lie.
        turn: How loud.
        spans: First and last sample of each; see `Share`.
        control: Progress, of all shares together, cancel and stall.

    Raises:
        MediaError: ffmpeg failed.
        JobCancelled: As `control` says.
    """
    stopped, together = threading.Event(), _Together(control.progress, len(spans))

    def one(number: int) -> Encoded:
        watch = replace(
            control,
            progress=partial(together.tell, number),
            cancelled=lambda: stopped.is_set() or control.cancelled(),
        )
        try:
            return _encode_share(recipe, paths[number], turn, *spans[number], watch)
        except BaseException:
            stopped.set()  # of the others nothing is wanted any more
            raise

    paths = [target.with_name(f"{target.stem}.share{n}{target.suffix}") for n in range(len(spans))]
    try:
        with ThreadPoolExecutor(_ENCODERS, thread_name_prefix="encoder") as pool:
            done = [pool.submit(one, number) for number in range(len(spans))]
        errors = [error for error in (each.exception() for each in done) if error is not None]
        for error in sorted(errors, key=lambda error: isinstance(error, JobCancelled)):
            raise error
        yield [each.result() for each in done]
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


class _Together:
    """Progress of shares that are made at the same time."""

    def __init__(self, progress: Progress, count: int) -> None:
        self._progress = progress
        self._done = [(0.0, 0.0)] * count
        self._telling = threading.Lock()

    def tell(self, number: int, done_s: float, total_s: float) -> None:
        with self._telling:
            self._done[number] = min(done_s, total_s), total_s
            known = [one for one in self._done if one[1] > 0]
            whole_s = sum(total for _, total in known) * len(self._done) / len(known)
            self._progress(sum(done for done, _ in known), whole_s)


def _encode_share(
    recipe: Recipe, path: Path, turn: Turn, first: int, last: int | None, control: MixControl
) -> Encoded:
    """Encode a share from a little before it to a little behind it."""
    layout, codec = recipe.layout, recipe.codec
    limiter = Limiter(factor(turn.ceiling_db))
    early = max(first - LEAD_IN, 0)
    until = recipe.total if last is None else min(last + LEAD_OUT, recipe.total)

    def feed(stdin: BinaryIO) -> None:
        widen_pipe(stdin)
        for block in limiter.run(recipe.blocks(factor(turn.gain_db), early, until)):
            stdin.write(np.ascontiguousarray(block).data)

    arguments: list[Any] = [
        "-f", "f32le", "-ar", str(SAMPLE_RATE), "-ch_layout", layout.name, "-i", "pipe:0",
        "-af", f"aformat=channel_layouts={codec.layout.name}",
        *codec.arguments, "-f", "matroska", output_name(path),
    ]  # fmt: skip
    run_ffmpeg(
        arguments,
        path=recipe.programme.bed,
        duration_s=(until - early) / SAMPLE_RATE,
        progress=control.progress,
        cancelled=control.cancelled,
        stall_s=control.stall_s,
        stdin=feed,
    )
    own = slice((first - early) // BLOCK, None if last is None else (last - early) // BLOCK)
    return Encoded(Share(path, early, first, last), limiter.peaks[own], limiter.kept[own])
