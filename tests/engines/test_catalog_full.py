"""The models of the full profile: what is chosen, and what only the user can give."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from dubarr_watch.engines import catalog
from dubarr_watch.engines.catalog import Model, ModelFile, ModelList
from dubarr_watch.engines.catalog.hub import Hub
from dubarr_watch.errors import KeyMissing, ModelHashMismatch
from dubarr_watch.settings import Settings, load_settings
from tests.engines.hubserver import HubServer

PAGE = "/team/gated-model"
ADDRESS = f"{PAGE}/resolve/0123456789/weights.bin"
WEIGHTS = b"weights " * 20_000
KEYS: dict[str, Any] = {"openai_api_key": "sk-1", "hf_token": "hf_1", "coqui_tos_agreed": True}


@pytest.fixture(autouse=True)
def _clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key of whoever runs the tests, and no settings file of theirs."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("CONFIG_DIR", str(tmp_path / "config"))


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """A hub that gives one file to one token, and knows another account without access."""
    gates = {ADDRESS: {"hf_access": 200, "hf_none": 403}}
    with HubServer({ADDRESS: WEIGHTS, "/open/resolve/1/open.bin": b"open"}, gates=gates) as server:
        yield server


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    return tmp_path / "models"


class TestAGatedModel:
    def test_a_token_with_access_opens_it(self, hub: HubServer, models_dir: Path) -> None:
        with patient("hf_access") as client:
            catalog.pull(None, models_dir, models=gated(hub), hub=client)
        folder = catalog.path("gated-model", models_dir, models=gated(hub))
        assert (folder / "weights.bin").read_bytes() == WEIGHTS

    def test_without_a_token_nothing_is_asked_for(self, hub: HubServer, models_dir: Path) -> None:
        """The page to visit and the setting are named, before a byte of any model is fetched."""
        with patient(None) as client, pytest.raises(KeyMissing) as caught:
            catalog.pull(None, models_dir, models=gated(hub), hub=client)
        assert "HF_TOKEN" in caught.value.message
        assert f"{hub.url}{PAGE}" in caught.value.hint
        assert "accept the conditions" in caught.value.hint
        assert hub.requests == []
        assert caught.value.exit_code == 4

    def test_a_token_without_access_names_the_page(self, hub: HubServer, models_dir: Path) -> None:
        """It is tried before the large open model that stands first in the list."""
        with patient("hf_none") as client, pytest.raises(KeyMissing) as caught:
            catalog.pull(None, models_dir, models=gated(hub), hub=client)
        assert "no access to team/gated-model" in caught.value.message
        assert f"visit {hub.url}{PAGE} and accept the conditions" in caught.value.hint
        assert hub.paths() == [ADDRESS]
        assert not (models_dir / "gated-model").exists()

    def test_a_wrong_token_is_told_apart_from_no_access(
        self, hub: HubServer, models_dir: Path
    ) -> None:
        with patient("hf_typo") as client, pytest.raises(KeyMissing) as caught:
            catalog.pull(None, models_dir, models=gated(hub), hub=client)
        assert "does not accept the token" in caught.value.message
        assert "settings/tokens" in caught.value.hint

    def test_no_error_repeats_the_token(self, hub: HubServer, models_dir: Path) -> None:
        for token in ("hf_typo", "hf_none"):
            with patient(token) as client, pytest.raises(KeyMissing) as caught:
                catalog.pull(None, models_dir, models=gated(hub), hub=client)
            assert token not in str(caught.value)

    def test_the_token_goes_to_gated_files_and_to_their_host_alone(
        self, hub: HubServer, models_dir: Path
    ) -> None:
        """Not along with open files, and not to where the hub keeps large ones."""
        with HubServer({"/store/weights.bin": WEIGHTS}) as store:
            # The same machine by another name: to a client, another host.
            hub.elsewhere[ADDRESS] = (
                f"{store.url.replace('127.0.0.1', 'localhost')}/store/weights.bin"
            )
            with patient("hf_access") as client:
                catalog.pull(None, models_dir, models=gated(hub), hub=client)
            assert store.tokens == [None]
        sent = dict(zip(hub.paths(), hub.tokens, strict=True))
        assert sent == {ADDRESS: "Bearer hf_access", "/open/resolve/1/open.bin": None}

    def test_a_broken_download_goes_on_with_the_token(
        self, hub: HubServer, models_dir: Path
    ) -> None:
        """Only the rest is asked for, also behind a redirect."""
        with HubServer({"/store": WEIGHTS}, cuts={"/store": [100_000]}) as store:
            hub.elsewhere[ADDRESS] = f"{store.url}/store"
            with patient("hf_access") as client:
                catalog.pull(["gated-model"], models_dir, models=gated(hub), hub=client)
            assert [wanted for _, wanted in store.requests] == [None, "bytes=100000-"]

    def test_other_bytes_than_pinned_are_refused(self, hub: HubServer, models_dir: Path) -> None:
        hub.files[ADDRESS] = WEIGHTS[::-1]
        with patient("hf_access") as client, pytest.raises(ModelHashMismatch):
            catalog.pull(["gated-model"], models_dir, models=gated(hub), hub=client)
        assert not (models_dir / "gated-model").exists()

    def test_a_model_that_is_there_needs_no_token_any_more(
        self, hub: HubServer, models_dir: Path
    ) -> None:
        """Neither to be used nor to be verified; the hub is asked for nothing."""
        models = gated(hub)
        with patient("hf_access") as client:
            catalog.pull(None, models_dir, models=models, hub=client)
        hub.requests.clear()
        with patient(None) as client:
            catalog.pull(None, models_dir, models=models, hub=client)
        checks = catalog.verify(None, models_dir, models=models)
        assert {check.state for check in checks} == {catalog.FileState.OK}
        assert hub.requests == []


class TestALicenceToAgreeTo:
    def test_nothing_is_fetched_before_the_user_agrees(
        self, hub: HubServer, models_dir: Path
    ) -> None:
        """The message says what the licence means and which setting accepts it."""
        with patient("hf_access") as client, pytest.raises(KeyMissing) as caught:
            catalog.pull(None, models_dir, models=licensed(hub), hub=client)
        assert "no commercial use of the model or of what it speaks" in caught.value.message
        assert "COQUI_TOS_AGREED=true" in caught.value.hint
        assert "TTS_MODEL=kokoro" in caught.value.hint
        assert hub.requests == []

    def test_who_agreed_gets_it(self, hub: HubServer, models_dir: Path) -> None:
        with patient(None) as client:
            (pulled,) = catalog.pull(
                None, models_dir, models=licensed(hub), hub=client, agreed=["COQUI_TOS_AGREED"]
            )
        assert (pulled.folder / "open.bin").read_bytes() == b"open"


class TestWhichModels:
    @pytest.mark.parametrize(
        ("changes", "names"),
        [
            (
                {},
                [
                    "faster-whisper-medium",
                    "speaker-diarization-community-1",
                    "faster-whisper-base",
                    "d-vector",
                    "speech-music",
                    "htdemucs",
                    "xtts-v2",
                ],
            ),
            (
                {"whisper_model": "base", "separation": "never", "tts_model": "openai"},
                [
                    "faster-whisper-base",
                    "speaker-diarization-community-1",
                    "d-vector",
                    "speech-music",
                ],
            ),
            (
                {
                    "whisper_model": "large-v3",
                    "llm_backend": "local",
                    "tts_model": "kokoro",
                    "diarization_fallback": True,
                },
                [
                    "faster-whisper-large-v3",
                    "speaker-diarization-community-1",
                    "faster-whisper-base",
                    "d-vector",
                    "speech-music",
                    "htdemucs",
                    "gemma-3-12b-it-q4_k_m",
                    "kokoro-82m-v1.0-int8",
                ],
            ),
            (
                {
                    "llm_backend": "local",
                    "llm_file": "/own.gguf",
                    "qa": "off",
                    "tts_model": "elevenlabs",
                    "elevenlabs_api_key": "e",
                },
                [
                    "faster-whisper-medium",
                    "speaker-diarization-community-1",
                    "d-vector",
                    "speech-music",
                    "htdemucs",
                ],
            ),
        ],
    )
    def test_the_settings_choose(self, changes: dict[str, Any], names: list[str]) -> None:
        """Nothing is pulled that these engines do not load."""
        settings = load_settings(profile="full", **(KEYS | changes))
        assert catalog.full_models(settings).names() == names
        assert catalog.models_of(settings).names() == names

    @pytest.mark.parametrize("size", ["tiny", "base", "small", "medium", "large-v3"])
    def test_every_size_of_whisper_can_be_pulled(self, size: str) -> None:
        settings = load_settings(whisper_model=size)
        first = catalog.full_models(settings).models[0]
        paths = {file.path for file in first.files}
        assert {"model.bin", "config.json", "tokenizer.json"} < paths
        assert paths & {"vocabulary.txt", "vocabulary.json"}

    def test_auto_follows_what_is_set(self) -> None:
        """Without keys the embedded models; `PROFILE=full` names its own even without keys."""
        embedded = catalog.embedded_models().names()
        assert catalog.models_of(load_settings()).names() == embedded
        assert catalog.models_of(load_settings(profile="embedded", **KEYS)).names() == embedded
        assert "xtts-v2" in catalog.models_of(load_settings(**KEYS)).names()
        assert "xtts-v2" in catalog.models_of(load_settings(profile="full")).names()


class TestThePinnedList:
    def test_every_file_is_pinned_at_a_revision(self) -> None:
        for model in catalog.all_models().models[len(catalog.embedded_models().models) :]:
            assert model.licence
            for file in model.files:
                assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
                assert file.size_bytes > 0
                assert file.url is not None
                assert re.match(r"https://[^/]+/[^/]+/[^/]+/resolve/[0-9a-f]{40}/", file.url)
                assert file.url.startswith(f"{model.homepage}/resolve/")

    def test_no_name_stands_twice(self) -> None:
        names = catalog.all_models().names()
        assert len(names) == len(set(names)) == 13

    def test_the_layout_that_engines_rely_on(self) -> None:
        files = {m.name: {f.path for f in m.files} for m in catalog.all_models().models}
        assert files["xtts-v2"] == {"model.pth", "config.json", "vocab.json", "speakers_xtts.pth"}
        assert files["htdemucs"] == {"955717e8.safetensors"}
        assert files["gemma-3-12b-it-q4_k_m"] == {"model.gguf"}
        assert files["speaker-diarization-community-1"] == {
            "config.yaml",
            "segmentation/pytorch_model.bin",
            "embedding/pytorch_model.bin",
            "plda/plda.npz",
            "plda/xvec_transform.npz",
        }

    def test_what_only_the_user_can_give_is_marked(self) -> None:
        models = catalog.all_models().models
        assert [m.name for m in models if m.gated] == ["speaker-diarization-community-1"]
        assert [m.name for m in models if m.agreement] == ["xtts-v2"]
        # A token is a field of the settings, and so is a consent.
        assert set(Settings.model_fields) >= {"hf_token", "coqui_tos_agreed"}


def gated(hub: HubServer) -> ModelList:
    """An open model, then one of a single gated file."""
    file = ModelFile("weights.bin", len(WEIGHTS), sha(WEIGHTS), f"{hub.url}{ADDRESS}", gated=True)
    model = Model("gated-model", "tests", "MIT", (file,), homepage=f"{hub.url}{PAGE}")
    return ModelList((open_model(hub), model))


def licensed(hub: HubServer) -> ModelList:
    terms = next(m.terms for m in catalog.all_models().models if m.agreement)
    return ModelList((replace(open_model(hub), agreement="COQUI_TOS_AGREED", terms=terms),))


def open_model(hub: HubServer) -> Model:
    file = ModelFile("open.bin", 4, sha(b"open"), f"{hub.url}/open/resolve/1/open.bin")
    return Model("open-model", "tests", "MIT", (file,))


def patient(token: str | None) -> Hub:
    return Hub(httpx.Timeout(5.0, read=0.5), pause_s=0.01, token=token)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
