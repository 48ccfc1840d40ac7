"""The engines and their names on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tts_sidecar.engines.base import Engine


def make_engine(name: str, *, models_dir: Path, threads: int) -> Engine:
    """Return the engine of that name, not loaded yet.

    Args:
        name: One of `ENGINES`.
        models_dir: Where models lie.
        threads: CPU threads that one synthesis may use.
    """
    return ENGINES[name](models_dir, threads)


# Each engine is imported only when it was asked for: what one needs, another may lack.


def _kokoro(models_dir: Path, threads: int) -> Engine:
    from tts_sidecar.engines.chain import EngineChain
    from tts_sidecar.engines.espeak import EspeakEngine
    from tts_sidecar.engines.kokoro import KokoroEngine

    return EngineChain(KokoroEngine(models_dir, threads), EspeakEngine())


def _fake(models_dir: Path, threads: int) -> Engine:
    from tts_sidecar.engines.fake import FakeEngine

    return FakeEngine()


ENGINES: dict[str, Callable[[Path, int], Engine]] = {"fake": _fake, "kokoro": _kokoro}
