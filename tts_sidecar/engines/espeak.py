"""espeak-ng through the shared library that the package espeakng-loader ships.

It sounds robotic, but it speaks a hundred languages at once, instantly and without a model. The
library keeps its state in globals; the phonemizer works on a private copy of it, so both live in
one process without touching each other.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import espeakng_loader
import numpy as np

from tts_sidecar.audio import Samples, trim_silence
from tts_sidecar.engines.base import Gender, Speech, Voice
from tts_sidecar.errors import BadRequest, EngineFailed, EngineUnavailable
from tts_sidecar.languages import ESPEAK_VOICES

# espeak-ng's speak_lib.h: 2 = audio goes to the callback and espeak_Synth returns when all is
# spoken; 0x8000 = report a missing data folder instead of ending the process; rate is parameter 1.
_SYNCHRONOUS = 2
_DO_NOT_EXIT = 0x8000
_CHARACTERS_UTF8 = 1
_PARAMETER_RATE = 1
_OK = 0

# espeak-ng's own default; it accepts 80 to 450 words a minute.
_WORDS_PER_MINUTE = 175

# Variants that differ enough to be told apart and never clip, the best understood first (character
# errors of Whisper base on Spanish sentences, measured: f5 22 %, f2 23 %, f3 34 %, Annie 38 %,
# f4 43 %; m7 14 %, m1 15 %, m3 16 %, m2 22 %, m4 25 %). Median pitch: f5 208, f2 199, f3 214,
# Annie 252, f4 179 Hz; m7 109, m1 94, m3 108, m2 101, m4 95 Hz.
_VARIANTS: dict[Gender, tuple[str, ...]] = {
    "female": ("f5", "f2", "f3", "Annie", "f4"),
    "male": ("m7", "m1", "m3", "m2", "m4"),
}

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class EspeakEngine:
    """Speaks every language of `tts_sidecar.languages.ESPEAK_VOICES`."""

    name = "espeak"
    device = "cpu"

    def __init__(self) -> None:
        self._library: _Library | None = None

    @property
    def loaded(self) -> bool:
        """Whether the library is initialized."""
        return self._library is not None

    @property
    def problem(self) -> str | None:
        """None: the library comes with the installation."""
        return None

    @property
    def languages(self) -> Mapping[str, str]:
        """Every language to `espeak`."""
        return dict.fromkeys(ESPEAK_VOICES, self.name)

    def voices(self, language: str) -> Sequence[Voice]:
        """Return five female and five male variants, such as `pl+f2`."""
        if language not in ESPEAK_VOICES:
            return []
        return [
            Voice(f"{language}+{variant}", language, gender, self.name)
            for gender, variants in _VARIANTS.items()
            for variant in variants
        ]

    def load(self) -> None:
        """Load and initialize the library (some milliseconds)."""
        self._open()

    def unload(self) -> None:
        """Give the library's memory back."""
        if self._library is not None:
            self._library.close()
            self._library = None

    def synthesize(self, text: str, voice: Voice, speed: float) -> Speech:
        """Speak the text at the library's own sample rate, 22050 Hz."""
        library = self._open()
        variant = voice.id.rpartition("+")[2]
        samples = library.speak(text, f"{ESPEAK_VOICES[voice.language]}+{variant}", speed)
        trimmed = trim_silence(samples, library.sample_rate)
        if not len(trimmed):
            raise BadRequest(
                f"espeak-ng can pronounce nothing of the text in '{voice.language}'.",
                hint="Send text in the script that the language is written in.",
            )
        return Speech(trimmed, library.sample_rate)

    def _open(self) -> _Library:
        if self._library is None:
            self._library = _Library()
        return self._library


class _Library:
    """The C library, initialized; one text at a time."""

    def __init__(self) -> None:
        data_path = espeakng_loader.get_data_path()
        try:
            self._c: Any = ctypes.CDLL(espeakng_loader.get_library_path())
        except OSError as error:
            raise EngineUnavailable(
                f"The espeak-ng library cannot be loaded: {error}.",
                hint="Install the sidecar's requirements again.",
            ) from error
        self._chunks: list[bytes] = []
        self._lock = threading.Lock()
        # Held for as long as the library is: C keeps only the address.
        self._callback = _Callback(self._receive)
        self._c.espeak_SetSynthCallback.argtypes = [_Callback]
        self._c.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
        self._c.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        self.sample_rate = int(
            self._c.espeak_Initialize(_SYNCHRONOUS, 0, data_path.encode(), _DO_NOT_EXIT)
        )
        if self.sample_rate <= 0:
            raise EngineUnavailable(
                f"espeak-ng cannot read its data in {data_path}.",
                hint="Install the sidecar's requirements again, in a folder whose path is shorter "
                "than 140 characters.",
            )
        self._c.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, voice: str, speed: float) -> Samples:
        with self._lock:
            self._chunks.clear()
            if self._c.espeak_SetVoiceByName(voice.encode()) != _OK:
                raise EngineFailed(
                    f"espeak-ng does not take the voice '{voice}'.",
                    hint="Install the sidecar's requirements again.",
                )
            self._c.espeak_SetParameter(_PARAMETER_RATE, round(_WORDS_PER_MINUTE * speed), 0)
            data = text.encode() + b"\0"
            if self._c.espeak_Synth(data, len(data), 0, 1, 0, _CHARACTERS_UTF8, None, None) != _OK:
                raise EngineFailed("espeak-ng did not take the text.", hint="Send a shorter text.")
            pcm = np.frombuffer(b"".join(self._chunks), dtype="<i2")
            self._chunks.clear()
        samples: Samples = pcm.astype(np.float32) / np.float32(32768.0)
        return samples

    def close(self) -> None:
        with self._lock:
            self._c.espeak_Terminate()

    def _receive(self, samples: Any, count: int, _events: int | None) -> int:
        if samples and count > 0:
            self._chunks.append(ctypes.string_at(samples, count * 2))
        return 0
