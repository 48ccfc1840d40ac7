"""The two stems of a mix, written piece by piece; together they are the mix, to the sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from dubarr_watch.engines.base import Stems
from dubarr_watch.errors import MediaError

Block = npt.NDArray[np.float64]
"""Samples between -1 and 1: (frames, channels)."""

_LONGEST_WAV_BYTES = 2**32 - 2**16


class StemWriter:
    """Writes `voice.wav` and `rest.wav` for a mix, from the voice alone.

    The rest is the mix minus the voice: what the model never touched (other channels, what lies
    above its own sample rate, all that is not voice) stays exactly as it was, which the sum of the
    model's other sources would not be. The voice is rounded to the grid of the files first and
    bounded so that the rest fits, so both add up to the mix without any error.

    The files are 16-bit PCM for a 16-bit mix, otherwise 24-bit, and RF64 beyond 4 GiB. They appear
    under their names when both are whole.

    Args:
        mix: Any file that libsndfile reads.
        folder: Where the stems go; made when it is not there.

    Raises:
        MediaError: The mix cannot be read as audio.
    """

    def __init__(self, mix: Path, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._mix = open_audio(mix)
        subtype = "PCM_16" if self._mix.subtype == "PCM_16" else "PCM_24"
        self._bits = int(subtype[-2:])
        size = len(self._mix) * self._mix.channels * self._bits // 8
        self._final = Stems(folder / "voice.wav", folder / "rest.wav")
        self._parts = Stems(folder / "voice.part", folder / "rest.part")
        self._voice, self._rest = (
            soundfile.SoundFile(
                path,
                "w",
                samplerate=self._mix.samplerate,
                channels=self._mix.channels,
                format="WAV" if size < _LONGEST_WAV_BYTES else "RF64",
                subtype=subtype,
            )
            for path in (self._parts.voice, self._parts.rest)
        )
        self.written = 0

    def __enter__(self) -> StemWriter:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        for file in (self._mix, self._voice, self._rest):
            file.close()
        if kind is not None:
            self._parts.voice.unlink(missing_ok=True)
            self._parts.rest.unlink(missing_ok=True)

    @property
    def frames(self) -> int:
        """How many frames the mix has."""
        return len(self._mix)

    def write(self, voice: Block) -> None:
        """Write the next frames of both stems; frames beyond the end of the mix are left out."""
        mix = self._mix.read(len(voice), dtype="float64", always_2d=True)
        most = 2 ** (self._bits - 1)
        whole = np.clip(np.rint(mix * most), -most, most - 1)
        voiced = np.clip(np.rint(voice[: len(mix)] * most), -most, most - 1)
        voiced = np.clip(voiced, whole - (most - 1), whole + most)
        for file, samples in ((self._voice, voiced), (self._rest, whole - voiced)):
            # libsndfile takes the upper bits of 32.
            file.write(samples.astype(np.int32) << (32 - self._bits))
        self.written += len(mix)

    def finish(self) -> Stems:
        """Fill what is missing of the voice with silence, and name the files.

        Returns:
            Both files.
        """
        while self.written < self.frames:
            missing = min(self.frames - self.written, self._mix.samplerate)
            self.write(np.zeros((missing, self._mix.channels)))
        self._voice.close()
        self._rest.close()
        self._parts.voice.replace(self._final.voice)
        self._parts.rest.replace(self._final.rest)
        return self._final


def open_audio(path: Path) -> soundfile.SoundFile:
    """Open a file for reading.

    Raises:
        MediaError: It cannot be read as audio.
    """
    try:
        return soundfile.SoundFile(path)
    except (OSError, soundfile.SoundFileError) as error:
        raise MediaError(f"Cannot read audio: {error}.", path=path) from error
