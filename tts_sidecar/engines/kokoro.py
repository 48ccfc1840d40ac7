"""Kokoro-82M on the CPU, through kokoro-onnx."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tts_sidecar.audio import Samples, trim_silence
from tts_sidecar.engines.base import Speech, Voice
from tts_sidecar.engines.kokoro_voices import LANGUAGES, voices_of
from tts_sidecar.engines.phonemes import Phonemizer
from tts_sidecar.errors import BadRequest, EngineFailed, EngineUnavailable

MODEL_FOLDER = "kokoro-82m-v1.0-int8"

# One style vector of 256 numbers for each length of 1 to 510 phonemes.
_STYLE_SHAPE = (510, 1, 256)
_STYLE_BYTES = 4 * 510 * 256

# The model takes 510 phonemes at once. Its memory grows with the length, and beyond about 300
# phonemes it begins to hurry.
_MAX_PHONEMES = 300
_SENTENCE_PAUSE_S = 0.25
_CLAUSE_PAUSE_S = 0.1


class KokoroEngine:
    """Speaks English, Spanish, French, Hindi, Italian and Brazilian Portuguese.

    Args:
        models_dir: Holds `kokoro-82m-v1.0-int8/model.onnx` and `.../voices/<name>.bin`.
        threads: CPU threads that one synthesis may use.
    """

    name = "kokoro"
    device = "cpu"

    def __init__(self, models_dir: Path, threads: int) -> None:
        self._folder = models_dir / MODEL_FOLDER
        self._threads = threads
        self._model: Any = None
        # Kept when the model goes: it is small, and its library cannot be unloaded.
        self._phonemizer = Phonemizer()

    @property
    def loaded(self) -> bool:
        """Whether the model is in memory."""
        return self._model is not None

    @property
    def problem(self) -> str | None:
        """Names the file that is missing, if one is."""
        if not (self._folder / "model.onnx").is_file():
            return f"The model file {self._folder / 'model.onnx'} is missing."
        if not any((self._folder / "voices").glob("*.bin")):
            return f"The folder {self._folder / 'voices'} holds no voices."
        return None

    @property
    def languages(self) -> Mapping[str, str]:
        """Every language to `kokoro`."""
        return dict.fromkeys(LANGUAGES, self.name)

    def voices(self, language: str) -> Sequence[Voice]:
        """Return those of the language's voices whose file is there."""
        return [voice for voice in voices_of(language) if self._style_file(voice.id).is_file()]

    def load(self) -> None:
        """Bring the model into memory (about one second, 180 MB)."""
        self._open()

    def unload(self) -> None:
        """Drop the model and hand its memory back to the system."""
        self._model = None
        gc.collect()
        if sys.platform == "linux":
            # The C library keeps freed memory for itself unless it is asked.
            trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
            if trim is not None:
                trim(0)

    def synthesize(self, text: str, voice: Voice, speed: float) -> Speech:
        """Speak the text at 24 kHz; text beyond the model's length is spoken in pieces."""
        model = self._open()
        from kokoro_onnx.chunker import pause_after, split_phonemes

        phonemes = self._phonemizer.phonemize(
            text, voice.language, british=voice.id.startswith("b")
        )
        known = model.tokenizer.known(phonemes).strip()
        if not any(character.isalpha() for character in known):
            raise BadRequest(
                f"Kokoro can pronounce nothing of the text in '{voice.language}'.",
                hint="Send text in the script that the language is written in.",
            )
        style = self._style(voice.id)
        takes: list[Samples] = []
        sample_rate = 0
        pause_s = 0.0
        for piece in split_phonemes(known, _MAX_PHONEMES):
            takes.append(np.zeros(round(pause_s * sample_rate), dtype=np.float32))
            samples, sample_rate = _speak(model, piece, style, speed)
            takes.append(samples)
            pause_s = pause_after(piece, _SENTENCE_PAUSE_S, _CLAUSE_PAUSE_S) / speed
        return Speech(np.concatenate(takes), sample_rate)

    def _open(self) -> Any:
        if self._model is None:
            if self.problem:
                raise EngineUnavailable(
                    self.problem, hint="Pull the models again: dubarr-watch models pull."
                )
            self._model = _load_model(self._folder / "model.onnx", self._threads)
        return self._model

    def _style(self, voice: str) -> Samples:
        path = self._style_file(voice)
        data = path.read_bytes() if path.is_file() else b""
        if len(data) != _STYLE_BYTES:
            raise EngineUnavailable(
                f"The voice file {path} is missing or damaged: it has {len(data)} bytes instead of "
                f"{_STYLE_BYTES}.",
                hint="Pull the models again: dubarr-watch models pull.",
            )
        return np.frombuffer(data, dtype="<f4").astype(np.float32).reshape(_STYLE_SHAPE)

    def _style_file(self, voice: str) -> Path:
        return self._folder / "voices" / f"{voice}.bin"


def _load_model(path: Path, threads: int) -> Any:
    # Official builds of onnxruntime report their use over the network unless this is set before the
    # first import; what people watch is nobody else's business.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    # Imported here, so that health answers at once after the start.
    import onnxruntime
    from kokoro_onnx import Kokoro

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Spinning threads take the cores that the rest of a dub needs and gain nothing here.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime raises many kinds, none of them public
        raise EngineUnavailable(
            f"The model file {path} cannot be loaded: {error}",
            hint="Pull the models again: dubarr-watch models pull.",
        ) from error
    # kokoro-onnx wants a file of voices; each take brings its own, so an empty one will do.
    with tempfile.TemporaryDirectory() as folder:
        no_voices = Path(folder) / "none.npy"
        np.save(no_voices, np.zeros(0, dtype=np.float32))
        return Kokoro.from_session(session, str(no_voices))


def _speak(kokoro: Any, phonemes: str, style: Samples, speed: float) -> tuple[Samples, int]:
    try:
        samples, sample_rate = kokoro.create(phonemes, style, speed, is_phonemes=True, trim=False)
    except Exception as error:  # onnxruntime raises many kinds, none of them public
        raise EngineFailed(
            f"Kokoro failed: {error}", hint="Unload, then try again; use a shorter text."
        ) from error
    trimmed = trim_silence(np.asarray(samples, dtype=np.float32), int(sample_rate))
    if not len(trimmed):
        raise EngineFailed("Kokoro produced only silence.", hint="Change the text a little.")
    return trimmed, int(sample_rate)
