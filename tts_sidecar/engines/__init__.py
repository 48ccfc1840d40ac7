"""The engines and their names on the command line."""

from __future__ import annotations

from collections.abc import Callable

from tts_sidecar.engines.base import Engine, EngineOptions


def make_engine(name: str, options: EngineOptions) -> Engine:
    """Return the engine of that name, not loaded yet.

    Args:
        name: One of `ENGINES`.
        options: From the command line.
    """
    return ENGINES[name](options)


# Each engine is imported only when it was asked for: what one needs, another may lack.


def _kokoro(options: EngineOptions) -> Engine:
    from tts_sidecar.engines.chain import EngineChain
    from tts_sidecar.engines.espeak import EspeakEngine
    from tts_sidecar.engines.kokoro import KokoroEngine

    return EngineChain(KokoroEngine(options.models_dir, options.threads), EspeakEngine())


def _xtts(options: EngineOptions) -> Engine:
    from tts_sidecar.engines.xtts import XttsEngine

    return XttsEngine(options)


def _fake(options: EngineOptions) -> Engine:
    from tts_sidecar.engines.fake import FakeEngine

    return FakeEngine()


ENGINES: dict[str, Callable[[EngineOptions], Engine]] = {
    "fake": _fake,
    "kokoro": _kokoro,
    "xtts": _xtts,
}
