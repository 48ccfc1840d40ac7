"""The film translator on a real model, the embedded profile's, in a server process of ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dubarr_watch.engines.base import Translator
from dubarr_watch.engines.context import EngineContext
from dubarr_watch.engines.host import usable_threads
from dubarr_watch.engines.llm.local import LocalLlmTranslator
from dubarr_watch.settings import load_settings
from tests.engines.contracts import TranslatorContract

MODELS = Path(os.environ.get("MODELS_DIR") or Path.home() / ".cache" / "dubarr-watch" / "models")

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def server() -> Iterator[LocalLlmTranslator]:
    settings = load_settings(models_dir=MODELS)
    with LocalLlmTranslator(
        context=EngineContext(kind="translator"),
        model=settings.models_dir / "qwen2.5-coder-1.5b-instruct-q4_k_m" / "model.gguf",
        slots=1,
        tokens=3072,
        threads=usable_threads(settings),
    ) as translator:
        yield translator


class TestLocalLlmTranslator(TranslatorContract):
    @pytest.fixture
    def translator(self, server: LocalLlmTranslator) -> Translator:
        return server
