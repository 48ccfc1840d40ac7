"""Several engines as one: the first that knows a language speaks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tts_sidecar.engines.base import Engine, Speech, Voice


class EngineChain:
    """The first engine gives its name and device; the others fill in the languages it lacks.

    Args:
        first: The engine that was asked for.
        others: Tried in order for languages that `first` does not speak.
    """

    def __init__(self, first: Engine, *others: Engine) -> None:
        self._first = first
        self._engines = (first, *others)
        self.name = first.name
        self.device = first.device

    @property
    def loaded(self) -> bool:
        """Whether the first engine's model is in memory."""
        return self._first.loaded

    @property
    def problem(self) -> str | None:
        """The first engine's problem."""
        return self._first.problem

    @property
    def languages(self) -> Mapping[str, str]:
        """All engines' languages, each to the engine that speaks it."""
        merged: dict[str, str] = {}
        for engine in reversed(self._engines):
            merged.update(engine.languages)
        return merged

    def voices(self, language: str) -> Sequence[Voice]:
        """Return the voices of the engine that speaks the language."""
        engine = next((one for one in self._engines if language in one.languages), None)
        return engine.voices(language) if engine else []

    def load(self) -> None:
        """Load the first engine; the others load when first needed."""
        self._first.load()

    def unload(self) -> None:
        """Unload all."""
        for engine in self._engines:
            engine.unload()

    def synthesize(self, text: str, voice: Voice, speed: float) -> Speech:
        """Let the voice's engine speak."""
        engine = next(one for one in self._engines if one.name == voice.engine)
        return engine.synthesize(text, voice, speed)
