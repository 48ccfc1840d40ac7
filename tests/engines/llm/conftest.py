from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from dubarr_watch.engines.context import EngineContext
from dubarr_watch.engines.llm.api import ApiTranslator
from dubarr_watch.engines.llm.chat import Patience
from tests.services.openai_server import KEY, MODEL, OpenAIServer, Reply

IMPATIENT = Patience(attempts=4, first_wait_s=0.01, longest_wait_s=5.0)

Ask = Callable[..., tuple[ApiTranslator, OpenAIServer]]


@pytest.fixture
def asking() -> Iterator[Ask]:
    """Makes a service that follows a script, and a translator that asks it."""
    with ExitStack() as stack:

        def make(
            *script: Reply,
            context: EngineContext | None = None,
            server: OpenAIServer | None = None,
            **options: Any,
        ) -> tuple[ApiTranslator, OpenAIServer]:
            server = stack.enter_context((server or OpenAIServer(*script)).running())
            options = {
                "api_key": KEY,
                "model": MODEL,
                "base_url": server.base_url,
                "patience": IMPATIENT,
                **options,
            }
            context = context or EngineContext(kind="translator")
            translator = ApiTranslator(context=context, **options)
            return stack.enter_context(translator), server

        yield make
