"""A mix into an encoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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
from dubarr_watch.dubbing.timeline import BLOCK, SAMPLE_RATE, Samples, SpeechLine
from dubarr_watch.dubbing.track_check import Written
from dubarr_watch.dubbing.wordless import WordlessSound
from dubarr_watch.media import output_name, run_ffmpeg, widen_pipe


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

    def blocks(self, gain: float) -> Iterator[Samples]:
        """Yield the mix, float32 of shape (n, channels), as long as the video."""
        total = round(self.programme.duration_s * SAMPLE_RATE)
        speech, ducker = SpeechLine(self.plan.takes, total), Ducker(self.plan.ducks)
        spans = self.programme.wordless if self.programme.original != self.programme.bed else ()
        with (
            soundfile.SoundFile(self.programme.bed) as bed,
            WordlessSound(self.programme.original, spans) as wordless,
        ):
            for position in range(0, total, BLOCK):
                count = min(BLOCK, total - position)
                block = bed.read(count, dtype="float32", always_2d=True, fill_value=0.0)
                wordless.lay_over(block, position)
                if block.shape[1] == 1:
                    block = np.repeat(block, 2, axis=1)
                ducker.apply(block, position)
                speech.add_to(block, position)
                block *= np.float32(gain)
                yield block


def encode(recipe: Recipe, target: Path, turn: Turn, control: MixControl) -> Written:
    """Encode a mix in Matroska audio.

    Args:
        recipe: What is encoded and how.
        target: The file to write.
        turn: How loud.
        control: Progress, cancel and stall.

    Raises:
        MediaError: ffmpeg failed.
        JobCancelled: As `control` says.
    """
    layout, codec = recipe.layout, recipe.codec
    limiter = Limiter(factor(turn.ceiling_db))

    def feed(stdin: BinaryIO) -> None:
        widen_pipe(stdin)
        for block in limiter.run(recipe.blocks(factor(turn.gain_db))):
            stdin.write(np.ascontiguousarray(block).data)

    arguments: list[Any] = [
        "-f", "f32le", "-ar", str(SAMPLE_RATE), "-ch_layout", layout.name, "-i", "pipe:0",
        "-af", f"aformat=channel_layouts={codec.layout.name}",
        *codec.arguments, "-f", "matroska", output_name(target),
    ]  # fmt: skip
    run_ffmpeg(
        arguments,
        path=recipe.programme.bed,
        duration_s=recipe.programme.duration_s,
        progress=control.progress,
        cancelled=control.cancelled,
        stall_s=control.stall_s,
        stdin=feed,
    )
    # What was planned is known without measuring it; only the limiter came in between.
    kept = np.repeat(limiter.kept, round(BLOCK / SAMPLE_RATE / STEP_S))
    energy = recipe.plan.energy * factor(turn.gain_db) ** 2
    energy *= np.pad(kept, (0, max(len(energy) - len(kept), 0)), mode="edge")[: len(energy)]
    return Written(codec, energy, limiter.peaks, exact=codec.layout == layout)
