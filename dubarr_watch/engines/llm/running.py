"""One llama.cpp server process: whether it is ready, how it serves, why it ended."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import openai
import structlog

from dubarr_watch.engines.context import POLL_S, Admission
from dubarr_watch.engines.llm.serve import LISTENING
from dubarr_watch.engines.process import ChildProcess
from dubarr_watch.errors import EngineCrashed, EngineStuck, OutOfMemory

log = structlog.get_logger(__name__)

_LOOK_S = 10.0
_OUT_OF_MEMORY = re.compile(
    r"(?i)out of memory|cudaMalloc failed|failed to allocate|unable to allocate|bad_alloc"
)


@dataclass(frozen=True, slots=True)
class Shape:
    """How a server is asked to serve, and what it says that it does.

    Attributes:
        slots: Requests at a time.
        context: Tokens that all slots share in equal parts.
    """

    slots: int
    context: int


class RunningServer:
    """One server process and the way to talk to it.

    Args:
        admission: Its right to run.
        shape: How it is asked to serve; once it is ready, how it says that it does.
        key: What it asks for.
        port: Where it is to listen on 127.0.0.1; 0: wherever it says.

    Attributes:
        process: Set when it has been started.
        ended: It was ended, or is being ended.
    """

    process: ChildProcess

    def __init__(self, admission: Admission, shape: Shape, key: str, port: int) -> None:
        self.admission = admission
        self.shape = shape
        self.ended = False
        self.address = f"http://127.0.0.1:{port}" if port else ""
        self._key = key
        self._short_of_memory = False
        self._http = httpx.Client(timeout=_LOOK_S, trust_env=False)
        self._client: openai.OpenAI | None = None

    @property
    def client(self) -> openai.OpenAI:
        """A client of it; the same for all requests."""
        if self._client is None:
            raise EngineCrashed("The language model's server is not ready.")
        return self._client

    def on_line(self, line: str) -> None:
        """Read a line of its output."""
        if line.startswith(LISTENING):
            self.address = line.removeprefix(LISTENING).strip()
        self._short_of_memory = self._short_of_memory or bool(_OUT_OF_MEMORY.search(line))

    def wait_until_ready(self, stall_s: float, stop: Callable[[], None]) -> None:
        """Wait until the model is loaded, then read how it serves.

        Args:
            stall_s: Seconds after which it is given up.
            stop: Called several times a second; raises to end the waiting.
        """
        while not self._ready():
            stop()
            if not self.process.running():
                self._raise_for_end()
            if time.monotonic() - self.process.started > stall_s:
                raise EngineStuck(
                    f"The language model did not load within {stall_s:.0f} s.",
                    hint="Raise STALL_SECONDS when this machine is only slow.",
                )
            time.sleep(POLL_S)
        self.process.load_s = time.monotonic() - self.process.started
        self.shape = self._reported()
        self._client = openai.OpenAI(
            base_url=f"{self.address}/v1",
            api_key=self._key,
            timeout=stall_s,
            max_retries=0,
        )
        log.debug(
            "language model loaded",
            load_s=round(self.process.load_s, 1),
            slots=self.shape.slots,
            context=self.shape.context,
        )

    def close(self) -> None:
        """Close the connections to it."""
        self._http.close()
        if self._client is not None:
            self._client.close()

    def _ready(self) -> bool:
        if not self.address:
            return False
        try:
            # Also proves that whoever listens there is ours: nobody else knows the key.
            answer = self._ask("/props")
        except httpx.HTTPError:
            return False
        return answer.is_success and "total_slots" in answer.text

    def _reported(self) -> Shape:
        found = self._ask("/props").json()
        slots = max(1, int(found.get("total_slots") or self.shape.slots))
        each = (found.get("default_generation_settings") or {}).get("n_ctx")
        return Shape(slots, int(each) * slots if each else self.shape.context)

    def _ask(self, path: str) -> httpx.Response:
        return self._http.get(
            f"{self.address}{path}", headers={"Authorization": f"Bearer {self._key}"}
        )

    def _raise_for_end(self) -> None:
        how = self.process.how_it_ended()
        if self._short_of_memory:
            place = self.admission.place
            raise OutOfMemory(
                f"The language model does not fit {'the GPU' if place.mib else 'the memory'}"
                f"{f' in {place.mib} MiB' if place.mib else ''}, {self.shape.slots} slots of "
                f"{self.shape.context // self.shape.slots} tokens: {how}",
                hint="Lower LLM_SLOTS or LLM_CONTEXT, or choose a smaller LLM_FILE.",
            )
        raise EngineCrashed(f"The language model's server {how}")
