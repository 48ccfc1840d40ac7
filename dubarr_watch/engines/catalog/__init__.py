"""The model catalog: which models there are, whether they are there, and how to get them.

from dubarr_watch.engines import catalog

models = catalog.models_of(settings)                the models of the profile in use
catalog.pull(None, models_dir, models=models)       fetch whatever is missing
catalog.path("d-vector", models_dir)                the folder of a complete model
catalog.status(models_dir, models=models)           what is there, without hashing
catalog.verify(None, models_dir, models=models)     hash every file again
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dubarr_watch.engines.catalog import folder as _folder
from dubarr_watch.engines.catalog.assembly import PullProgress
from dubarr_watch.engines.catalog.listing import (
    Model,
    ModelFile,
    ModelList,
    all_models,
    embedded_models,
    full_models,
)
from dubarr_watch.engines.catalog.pulling import Pulled, pull
from dubarr_watch.errors import ModelMissing
from dubarr_watch.settings import Profile, Settings, resolve_profile

__all__ = [
    "FileCheck",
    "FileState",
    "Model",
    "ModelFile",
    "ModelList",
    "ModelState",
    "ModelStatus",
    "PullProgress",
    "Pulled",
    "all_models",
    "embedded_models",
    "full_models",
    "models_of",
    "path",
    "pull",
    "status",
    "verify",
]


class ModelState(StrEnum):
    """How much of a model is there."""

    READY = "ready"
    DAMAGED = "damaged"
    """Something is there, but it is not what a pull left: pull again."""
    MISSING = "missing"


class FileState(StrEnum):
    """What a verification found of one file."""

    OK = "ok"
    MISSING = "missing"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One model, by a look that does not hash.

    Attributes:
        model: What it should be.
        folder: Where it lies, or would.
        state: How much of it is there.
        left_out: Optional files that a ready model does without.
    """

    model: Model
    folder: Path
    state: ModelState
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileCheck:
    """One file, hashed.

    Attributes:
        model: The model's name.
        file: What it should be.
        state: What was found.
        got_sha256: The hash of a file that is there.
    """

    model: str
    file: ModelFile
    state: FileState
    got_sha256: str | None


def models_of(settings: Settings) -> ModelList:
    """Return the models of the profile in use, whether its keys are set or not."""
    profile = settings.profile
    if profile is Profile.AUTO:
        profile = resolve_profile(settings)
    return full_models(settings) if profile is Profile.FULL else embedded_models()


def path(name: str, models_dir: Path, *, models: ModelList | None = None) -> Path:
    """Return the folder of a complete model, without hashing it.

    Raises:
        ModelMissing: It was not pulled, or what is there is not whole.
        WrongUsage: There is no model of that name.
    """
    model = (models or _list_with(name)).find(name)
    found = _status(model, models_dir)
    if found.state is ModelState.READY:
        return found.folder
    how = "has not been pulled" if found.state is ModelState.MISSING else "is not whole"
    raise ModelMissing(
        f"The model {name} ({model.role}) {how}.",
        hint="run: dubarr-watch models pull",
        path=found.folder,
    )


def status(models_dir: Path, *, models: ModelList | None = None) -> list[ModelStatus]:
    """Tell what is there, model by model, from sizes and the stamp of the last verification."""
    return [_status(model, models_dir) for model in (models or embedded_models()).models]


def verify(
    names: Iterable[str] | None,
    models_dir: Path,
    progress: Callable[[PullProgress], None] | None = None,
    *,
    models: ModelList | None = None,
) -> list[FileCheck]:
    """Hash every file of the models again.

    A model with a damaged or missing file counts as not ready from then on, until it is pulled.

    Args:
        names: Which models, or None for all.
        models_dir: The folder that holds the models' folders.
        progress: Called after every few megabytes.
        models: Where names are looked up; the embedded profile's models unless told.

    Returns:
        A record for each file, in the list's order.

    Raises:
        WrongUsage: There is no model of that name.
    """
    checks: list[FileCheck] = []
    for model in (models or embedded_models()).select(names):
        found = _verify_model(model, models_dir / model.name, progress or (lambda _: None))
        checks.extend(found)
    return checks


def _list_with(name: str) -> ModelList:
    embedded = embedded_models()
    return embedded if name in embedded.names() else all_models()


def _verify_model(
    model: Model, folder: Path, report: Callable[[PullProgress], None]
) -> list[FileCheck]:
    left_out = _folder.left_out(model, folder) if _folder.is_complete(model, folder) else ()
    checks: list[FileCheck] = []
    done = 0
    for file in model.files:

        def watch(now: int, file: ModelFile = file, before: int = done) -> None:
            what = f"checking {file.path}"
            report(PullProgress(model.name, what, before + now, model.size_bytes))

        checks.append(_verify_file(model, file, folder, watch))
        done += file.size_bytes
    if any(c.state is not FileState.OK and c.file.path not in left_out for c in checks):
        _folder.remove_stamp(folder)
    return checks


def _verify_file(
    model: Model, file: ModelFile, folder: Path, watch: Callable[[int], None]
) -> FileCheck:
    where = folder / file.path
    if not where.is_file():
        return FileCheck(model.name, file, FileState.MISSING, None)
    got = _folder.sha256_of(where, watch)
    state = FileState.OK if got == file.sha256 else FileState.DAMAGED
    return FileCheck(model.name, file, state, got)


def _status(model: Model, models_dir: Path) -> ModelStatus:
    folder = models_dir / model.name
    if _folder.is_complete(model, folder):
        return ModelStatus(model, folder, ModelState.READY, _folder.left_out(model, folder))
    state = ModelState.DAMAGED if folder.exists() else ModelState.MISSING
    return ModelStatus(model, folder, state, ())
