"""Translation by a small language model in llama.cpp's server, inside this process."""

from __future__ import annotations

import secrets
from pathlib import Path

import openai
import xllamacpp

from dubarr_watch.engines.openai_translator import OpenAITranslator
from dubarr_watch.errors import EngineError, ModelMissing

# On two idle cores 12 lines take as long with four slots (14.2 s) as with one (13.9 and 14.8 s),
# and four slots hold about 200 MiB more.
_SLOTS = 1
_CONTEXT_TOKENS = 2048
_BATCH = 6
# One batch of a slow machine; the host ends a call that is stuck long before.
_TIMEOUT_S = 3600.0


class LlamaServer:
    """llama.cpp's HTTP server on a free port of 127.0.0.1, behind a key.

    Args:
        model: A GGUF file.
        threads: Threads of the CPU.
        slots: Requests that it works on at a time.
        context: Tokens that all slots share in equal parts; None: 2048 for each.
        key: What it asks for; None: one made for this run.

    Raises:
        ModelMissing: There is no such file.
        EngineError: The model does not load.
    """

    def __init__(
        self,
        *,
        model: Path,
        threads: int,
        slots: int = _SLOTS,
        context: int | None = None,
        key: str | None = None,
    ) -> None:
        if not model.is_file():
            raise ModelMissing(
                "The translation model has not been pulled.",
                hint="Run `dubarr-watch models pull`.",
                path=model,
            )
        self.key = key or secrets.token_urlsafe(24)
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(model)
        parameters.n_ctx = context or _CONTEXT_TOKENS * slots
        parameters.n_parallel = slots
        parameters.n_gpu_layers = 0
        parameters.cpuparams.n_threads = threads
        parameters.cpuparams_batch.n_threads = threads
        # Threads sleep between requests instead of polling; on an idle machine it costs nothing.
        parameters.cpuparams.poll = 0
        parameters.cpuparams_batch.poll = 0
        parameters.cache_ram_mib = 0  # by default it keeps up to 8 GiB of old prompts
        parameters.port = 0
        parameters.api_keys = [self.key]
        parameters.warmup = False
        parameters.ui = False
        try:
            self._server = xllamacpp.Server(parameters)
        except RuntimeError as error:
            raise EngineError(f"The translation model does not load: {error}") from error

    @property
    def address(self) -> str:
        """Where it listens, as a URL without a path."""
        return str(self._server.listening_address)

    @property
    def base_url(self) -> str:
        """Address of its OpenAI-compatible API."""
        return f"{self.address}/v1"

    def close(self) -> None:
        """Stop it."""
        del self._server


class LlamaTranslator(OpenAITranslator):
    """A Translator on the CPU.

    Args:
        model: A GGUF file of a chat model.
        threads: Threads of the CPU.
    """

    def __init__(self, *, model: Path, threads: int) -> None:
        self._server = LlamaServer(model=model, threads=threads)
        client = openai.OpenAI(
            base_url=self._server.base_url,
            api_key=self._server.key,
            timeout=_TIMEOUT_S,
            max_retries=0,
        )
        # A small model translates context along with the lines, so it gets none.
        super().__init__(
            client=client, model=model.stem, parallel=_SLOTS, batch=_BATCH, context_lines=0
        )

    def close(self) -> None:
        """Stop the server."""
        self._client.close()
        self._server.close()
