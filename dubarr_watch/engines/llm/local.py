"""Translation by a large language model on this machine, in a llama.cpp server of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dubarr_watch.engines.base import EngineSpec, Need, Progress, no_progress
from dubarr_watch.engines.context import EngineContext
from dubarr_watch.engines.llm.chat import ChatService, Patience
from dubarr_watch.engines.llm.film_translator import FilmTranslator
from dubarr_watch.engines.llm.gguf import read_gguf
from dubarr_watch.engines.llm.running import Shape
from dubarr_watch.engines.llm.server import LocalServer, find_llama_server
from dubarr_watch.engines.llm.sizes import sizes_for
from dubarr_watch.engines.texts import (
    EMPTY_FILM,
    AnalysisRequest,
    CorrectionRequest,
    FilmContext,
    ShortenRequest,
    TranslationRequest,
)
from dubarr_watch.errors import ModelMissing

DEFAULT_SLOTS = 4
"""Slots where the user names no number and memory is no concern."""

UNKNOWN_MIB = 10_500
"""What Gemma 3 12B Q4_K_M takes with 8192 tokens; taken for a file that is not there yet."""

_LEAST_SLOT_TOKENS = 1536
_PATIENCE = Patience(attempts=5, first_wait_s=0.2, longest_wait_s=10.0)


@dataclass(frozen=True, slots=True)
class LocalModel:
    """What the user said of the local model.

    Attributes:
        path: A GGUF file.
        slots: Requests at a time; 0: as many as there is room for, four at most.
        context: Tokens that all slots share.
        program: llama-server program; None: the one on PATH, else the library, on the CPU.
    """

    path: Path
    slots: int = 0
    context: int = 8192
    program: Path | None = None


def local_spec(
    model: LocalModel,
    *,
    threads: int,
    most_mib: int | None = None,
    mib: int | None = None,
    cpu: bool = True,
    keep_alive_s: float = 0.0,
) -> EngineSpec:
    """Return the engine for a local model, with as many slots as fit.

    Args:
        model: The model.
        threads: Threads of the CPU.
        most_mib: Memory of the largest GPU that can be handed out; None: there is no GPU.
        mib: What the user says that it takes; None: an estimate.
        cpu: Whether it may run on the CPU where no GPU is large enough.
        keep_alive_s: How long it stays loaded when idle.
    """
    program = find_llama_server(model.program)
    room = min(filter(None, (mib, most_mib)), default=None) if program is not None else None
    shape, estimate = _fitting(model, room)
    # Without the program there is only the library, which knows no GPU.
    need = None
    if program is not None and most_mib is not None:
        name = f"llm {model.path.stem} {shape.slots}x{shape.context // shape.slots}"
        need = Need(name, mib or estimate, cpu=cpu, keep_alive_s=keep_alive_s)
    options = {
        "model": model.path,
        "slots": shape.slots,
        "tokens": shape.context,
        "threads": threads,
        "program": program,
    }
    return EngineSpec(
        f"{__name__}:{LocalLlmTranslator.__name__}", options, owns_process=True, need=need
    )


def _fitting(model: LocalModel, room_mib: int | None) -> tuple[Shape, int]:
    """Return the shape with the most slots that fits, and the MiB that it takes."""
    wanted = model.slots or DEFAULT_SLOTS
    wanted = max(1, min(wanted, model.context // _LEAST_SLOT_TOKENS))
    try:
        known = read_gguf(model.path)
    except ModelMissing:  # said again, as an error, when it is to be loaded
        return Shape(wanted, model.context), UNKNOWN_MIB
    each = model.context // wanted
    for slots in range(wanted, 0, -1):
        shape = Shape(slots, slots * each)
        mib = known.mib(shape.slots, shape.context)
        if room_mib is None or mib <= room_mib:
            break
    return shape, mib


class LocalLlmTranslator(FilmTranslator):
    """A Translator whose model runs in a server that it owns.

    Args:
        context: From the host.
        model: A GGUF file.
        slots: Requests at a time, as far as known; then what the server says.
        tokens: Tokens of context that all slots share.
        threads: Threads of the CPU.
        program: A llama-server program; None: the library, on the CPU.

    Raises:
        ModelMissing: There is no such file.
        EngineError: It is no GGUF file.
    """

    def __init__(
        self,
        *,
        context: EngineContext,
        model: Path,
        slots: int,
        tokens: int,
        threads: int,
        program: Path | None = None,
    ) -> None:
        read_gguf(model)  # an error here names the file; the server would say less
        self._context = context
        self.server = LocalServer(
            context=context,
            model=model,
            shape=Shape(slots, tokens),
            threads=threads,
            program=program,
        )
        chat = ChatService(
            connect=self.server.client,
            model=model.stem,
            patience=_PATIENCE,
            cancelled=context.cancelled,
            failed=self.server.failed,
        )
        super().__init__(
            chat=chat, slots=slots, sizes=sizes_for(tokens // slots), cancelled=context.cancelled
        )

    def __enter__(self) -> LocalLlmTranslator:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.server.close(at_once=kind is not None)
        self.close(cancel=True)

    def analyse(self, request: AnalysisRequest, *, progress: Progress = no_progress) -> FilmContext:
        """See `Translator`."""
        with self._context.computing():
            self._begin()
            return super().analyse(request, progress=progress)

    def correct(
        self, request: CorrectionRequest, *, progress: Progress = no_progress
    ) -> Mapping[int, str]:
        """See `Translator`."""
        with self._context.computing():
            self._begin()
            return super().correct(request, progress=progress)

    def translate(
        self, request: TranslationRequest, *, progress: Progress = no_progress
    ) -> Mapping[int, str]:
        """See `Translator`."""
        with self._context.computing():
            self._begin()
            return super().translate(request, progress=progress)

    def shorten(
        self,
        target: str,
        texts: Sequence[ShortenRequest],
        *,
        film: FilmContext = EMPTY_FILM,
        progress: Progress = no_progress,
    ) -> Mapping[int, tuple[str, ...]]:
        """See `Translator`."""
        with self._context.computing():
            self._begin()
            return super().shorten(target, texts, film=film, progress=progress)

    def _begin(self) -> None:
        """Have the server running, and ask as much at a time as it says that it can take."""
        shape = self.server.begin()
        self.resize(shape.slots, sizes_for(shape.context // shape.slots))
