"""Translation by the model of a service with the OpenAI API."""

from __future__ import annotations

import threading

import openai

from dubarr_watch.engines.context import EngineContext
from dubarr_watch.engines.llm.chat import USUAL_PATIENCE, ChatService, Patience, Prices
from dubarr_watch.engines.llm.film_translator import FilmTranslator
from dubarr_watch.engines.llm.sizes import LARGE, Sizes
from dubarr_watch.errors import KeyMissing

DEFAULT_SLOTS = 4
"""Requests at a time where the user names no number: well within every account's limits."""

_LONGEST_ANSWER_S = 300.0
_CONNECT_S = 15.0


class ApiTranslator(FilmTranslator):
    """A Translator that asks a service; it lives in the daemon and computes nothing.

    Args:
        context: From the host.
        api_key: Of the service.
        model: The model's name.
        base_url: Address of a service with the OpenAI API; None: OpenAI's own.
        slots: Requests at a time; 0: four.
        usd_in: Price of a million tokens sent.
        usd_out: Price of a million tokens received.
        patience: With refusals and faults.
        sizes: How much is asked at a time.

    Raises:
        KeyMissing: There is no key.
    """

    def __init__(
        self,
        *,
        context: EngineContext,
        api_key: str,
        model: str,
        base_url: str | None = None,
        slots: int = 0,
        usd_in: float = 0.0,
        usd_out: float = 0.0,
        patience: Patience = USUAL_PATIENCE,
        sizes: Sizes = LARGE,
    ) -> None:
        if not api_key:
            raise KeyMissing(
                "The translation service needs a key.",
                hint="Set OPENAI_API_KEY, or LLM_BACKEND=local, which needs none.",
            )
        longest_s = min(_LONGEST_ANSWER_S, context.stall_s)
        self._client = openai.OpenAI(
            api_key=api_key,
            base_url=base_url,
            timeout=openai.Timeout(longest_s, connect=min(_CONNECT_S, longest_s)),
            max_retries=0,  # its own waits could not be cancelled
        )
        chat = ChatService(
            connect=lambda: self._client,
            model=model,
            prices=Prices(usd_in, usd_out),
            patience=patience,
            cancelled=context.cancelled,
        )
        super().__init__(
            chat=chat, slots=slots or DEFAULT_SLOTS, sizes=sizes, cancelled=context.cancelled
        )

    def __enter__(self) -> ApiTranslator:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self._end()
            return
        # Requests that are under way cannot be taken back; nobody waits for their answers.
        threading.Thread(target=self._end, name="translator-end", daemon=True).start()

    def _end(self) -> None:
        self.close(cancel=True)
        self._client.close()
