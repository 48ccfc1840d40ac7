"""An order on its way through XTTS: its pieces, the attempts at each, and the finished take."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tts_sidecar.audio import Samples, trim_silence
from tts_sidecar.engines import xtts_guards as guards
from tts_sidecar.engines.base import Order, Speech
from tts_sidecar.engines.xtts_model import Conditioning, Line, Sound
from tts_sidecar.engines.xtts_text import Bounds, pause_after
from tts_sidecar.errors import EngineFailed, SidecarError

MAX_ATTEMPTS = 3


@dataclass(slots=True, eq=False)
class Piece:
    """A part of an order's text that is spoken at once.

    Attributes:
        text: As written.
        tokens: As the model is given it.
        bounds: How long it should take.
        attempts: So far.
    """

    text: str
    tokens: Sequence[int]
    bounds: Bounds
    attempts: list[guards.Attempt] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Whether an attempt is good, or there were enough."""
        return bool(self.attempts) and (
            not self.attempts[-1].doubts
            or len(self.attempts) >= MAX_ATTEMPTS
            or guards.merely_slow(self.attempts)
        )


@dataclass(slots=True, eq=False)
class Take:
    """An order that is worked on.

    Attributes:
        order: What is wanted.
        voices: The one to speak with; a second one, when there is one, for the last attempt.
        pieces: Of the text, in order.
        repeat: How often just this was ordered before.
        outcome: Set when all is done.
    """

    order: Order
    voices: Sequence[Conditioning]
    pieces: Sequence[Piece]
    repeat: int = 0
    outcome: Speech | SidecarError | None = None

    def line(self, piece: Piece) -> Line:
        """Return the next attempt at a piece: with another seed, the last with another voice."""
        attempt = len(piece.attempts)
        voice = self.voices[-1 if attempt == MAX_ATTEMPTS - 1 else 0]
        # Chance comes from the order alone, so that a run can be repeated. Ordering the very same
        # again means that it was not liked: it gets other chances.
        key = f"{piece.text}|{self.order.voice.language}|{self.order.voice.id}"
        key += f"|{attempt}|{self.repeat}"
        seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:7], "big")
        return Line(piece.tokens, voice, piece.bounds.most_s, seed, self.order.speed)

    def add(self, piece: Piece, sound: Sound, sample_rate: int) -> None:
        """Judge what was spoken for a piece; the last one finishes the take."""
        piece.attempts.append(
            guards.judge(
                sound.samples,
                sample_rate,
                bounds=piece.bounds,
                codes=sound.codes,
                ended=sound.ended,
                speed=self.order.speed,
            )
        )
        if all(one.done for one in self.pieces):
            self.outcome = self._finished(sample_rate)

    def _finished(self, sample_rate: int) -> Speech | SidecarError:
        parts: list[Samples] = []
        doubts: dict[str, None] = {}
        for piece in self.pieces:
            expected_s = piece.bounds.expected_s / self.order.speed
            chosen = piece.attempts[guards.best(piece.attempts, expected_s)]
            mended = guards.mended(chosen, piece.attempts, sample_rate)
            parts.append(trim_silence(mended, sample_rate))
            pause_s = pause_after(piece.text) / self.order.speed
            parts.append(np.zeros(round(pause_s * sample_rate), dtype=np.float32))
            if not guards.merely_slow(piece.attempts):
                doubts.update(dict.fromkeys(chosen.doubts))
        samples = np.concatenate(parts[:-1])
        if not np.any(samples):
            return EngineFailed("XTTS produced only silence.", hint="Change the text a little.")
        return Speech(
            samples,
            sample_rate,
            attempts=max(len(piece.attempts) for piece in self.pieces),
            doubts=tuple(doubts),
        )
