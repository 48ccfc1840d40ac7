"""XTTS v2: clones voices from seconds of recordings, in 17 languages, through coqui-tts."""

from __future__ import annotations

import collections
import importlib.util
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Generic, TypeVar

from tts_sidecar.engines.base import EngineOptions, Order, Speech, Voice, Work
from tts_sidecar.engines.xtts_model import FILES, Conditioning, XttsModel
from tts_sidecar.engines.xtts_references import Recording, choose
from tts_sidecar.engines.xtts_takes import Piece, Take
from tts_sidecar.engines.xtts_text import LANGUAGES, bounds_of, room_for, split, without_quotes
from tts_sidecar.engines.xtts_voices import voices_of
from tts_sidecar.errors import BadRequest, LicenceNotAgreed, OutOfMemory, SidecarError

MODEL_FOLDER = "xtts-v2"

# Weights (467 M parameters in float32) and CUDA's own take 2.4 GiB, the vocoder at most 0.6 GiB
# for the longest line. A row's keys and values are 30 layers x 2 x 1024 floats a position, and at
# most about 800 positions: 190 MiB, and some air.
BASE_MIB = 3072
ROW_MIB = 256
MOST_SLOTS = 16
# On a CPU a step costs the reading of all weights, whether for one row or for a few.
CPU_SLOTS = 4

_KEPT_VOICES = 128
_KEPT_ORDERS = 4096
# Libraries of languages that need their own.
_LIBRARIES = {"ja": "cutlet", "zh": "pypinyin"}

_LICENCE = (
    "XTTS v2 stands under the Coqui Public Model License (CPML): the model and what it speaks may "
    "not be used commercially. Nobody has agreed to it here."
)
_LICENCE_HINT = (
    "Read it at https://coqui.ai/cpml.txt; when you agree, set COQUI_TOS_AGREED=true. "
    "Or choose another TTS_MODEL."
)

_Value = TypeVar("_Value")


class XttsEngine:
    """Speaks with the voices that the model was published with, or with that of a recording.

    Args:
        options: The model is read from `models_dir / "xtts-v2"`.
    """

    name = "xtts"

    def __init__(self, options: EngineOptions) -> None:
        self.device = options.device
        self._options = options
        self._folder = options.models_dir / MODEL_FOLDER
        self._model: XttsModel | None = None
        self._slots = _slots_of(options)
        self._voices = _Recent[Conditioning](_KEPT_VOICES)
        self._orders = _Recent[int](_KEPT_ORDERS)

    @property
    def loaded(self) -> bool:
        """Whether the model is in memory."""
        return self._model is not None

    @property
    def slots(self) -> int:
        """How many lines it speaks together; fewer after it ran out of memory."""
        return self._slots

    @property
    def problem(self) -> str | None:
        """Names what is missing: the user's consent or a file."""
        if not self._options.licence_agreed:
            return _LICENCE
        missing = [name for name in FILES if not (self._folder / name).is_file()]
        return f"The model file {self._folder / missing[0]} is missing." if missing else None

    @property
    def languages(self) -> Mapping[str, str]:
        """Those of XTTS v2 whose libraries are there."""
        return {code: self.name for code in LANGUAGES if code not in self.unspoken}

    @cached_property
    def unspoken(self) -> Mapping[str, str]:
        """Languages of XTTS v2 that need a library that is not there."""
        return {
            code: f"the library {library} is not installed"
            for code, library in _LIBRARIES.items()
            if importlib.util.find_spec(library) is None
        }

    def voices(self, language: str) -> Sequence[Voice]:
        """Return the built-in voices, once the model is loaded, and `clone`."""
        if language not in self.languages:
            return []
        return voices_of(language, self._model.speakers if self._model is not None else ())

    def load(self) -> None:
        """Bring the model into memory."""
        self._open()

    def unload(self) -> None:
        """Drop the model and all voices that were taken with it."""
        if self._model is not None:
            self._model.close()
        self._model = None
        self._voices = _Recent(_KEPT_VOICES)

    def synthesize(self, text: str, voice: Voice, speed: float) -> Speech:
        """Speak one text with a built-in voice; see `begin` and `advance` for several."""
        take = self.begin(Order(text, voice, speed))
        while take.outcome is None:
            self.advance([take])
        if isinstance(take.outcome, SidecarError):
            raise take.outcome
        return take.outcome

    def begin(self, order: Order) -> Take:
        """Check an order, take its voice from its references, and split its text."""
        model = self._open()
        if order.voice.cloned:
            recordings = choose(order.references, self._options.references)
            voices = [self._conditioning(model, group) for group in recordings]
        else:
            voices = [model.speakers[order.voice.id]]
        pieces = _pieces(model, without_quotes(order.text), order.voice.language)
        before = self._orders.get(order) or 0
        self._orders.put(order, before + 1)
        return Take(order, voices, pieces, before)

    def advance(self, works: Sequence[Work]) -> None:
        """Speak the next pieces of takes together, as many as there are slots."""
        model = self._open()
        takes = [work for work in works if isinstance(work, Take)]
        todo = [(take, piece) for take in takes for piece in take.pieces if not piece.done]
        todo = todo[: self._slots]
        try:
            sounds = model.speak([take.line(piece) for take, piece in todo])
        except OutOfMemory as error:
            if len(todo) == 1:
                todo[0][0].outcome = error
            # The next call tries with half as many.
            self._slots = max(1, len(todo) // 2)
            model.free()
            return
        for (take, piece), sound in zip(todo, sounds, strict=True):
            take.add(piece, sound, model.sample_rate)

    def _open(self) -> XttsModel:
        if not self._options.licence_agreed:
            raise LicenceNotAgreed(_LICENCE, hint=_LICENCE_HINT)
        if self._model is None:
            self._model = XttsModel(
                self._folder,
                device=self._options.device,
                uuid=self._options.uuid,
                threads=self._options.threads,
            )
        return self._model

    def _conditioning(self, model: XttsModel, recordings: Sequence[Recording]) -> Conditioning:
        key = "+".join(recording.digest for recording in recordings)
        known = self._voices.get(key)
        if known is None:
            known = model.condition(recordings)
            self._voices.put(key, known)
        return known


def _slots_of(options: EngineOptions) -> int:
    if options.frugal:
        return 1
    if options.slots:
        return options.slots
    if options.device != "cuda":
        return CPU_SLOTS
    if not options.mib:
        return MOST_SLOTS
    return max(1, min(MOST_SLOTS, (options.mib - BASE_MIB) // ROW_MIB))


def _pieces(model: XttsModel, text: str, language: str) -> list[Piece]:
    def fits(part: str) -> bool:
        if room_for(language, part, model.read(part, language)) < 0:
            return False
        return len(model.encode(part, language)) <= model.most_tokens

    pieces = [
        Piece(part, model.encode(part, language), bounds_of(language, model.read(part, language)))
        for part in split(text, fits)
        if any(character.isalnum() for character in part)
    ]
    if not pieces:
        raise BadRequest(
            f"XTTS can pronounce nothing of the text in '{language}'.",
            hint="Send text in the script that the language is written in.",
        )
    return pieces


class _Recent(Generic[_Value]):
    """Keeps the values that were used last.

    Args:
        most: How many.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: collections.OrderedDict[object, _Value] = collections.OrderedDict()

    def get(self, key: object) -> _Value | None:
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def put(self, key: object, value: _Value) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._most:
            self._values.popitem(last=False)
