"""Which engines a profile has, and where a plan puts them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dubarr_watch.engines.registry import EngineSpecs, made_by, planned, specs_for
from dubarr_watch.engines.speech_languages import ELEVENLABS_LANGUAGES, OPENAI_SPEECH_LANGUAGES
from dubarr_watch.engines.xtts_languages import XTTS_LANGUAGES
from dubarr_watch.gpu.inventory import Gpu
from dubarr_watch.gpu.plan import make_plan
from dubarr_watch.languages import parse_language
from dubarr_watch.settings import Profile, Settings, load_settings

KEYS: dict[str, Any] = {
    "openai_api_key": "sk-of-somebody",
    "hf_token": "hf_of_somebody",
    "coqui_tos_agreed": True,
}
LARGE = Gpu(0, "GPU-0", "Large", "0", 24576, 0, 24576)
SMALL = Gpu(1, "GPU-1", "Small", "1", 12288, 0, 12288)
APPLE = Gpu(0, "mps", "Apple M4", "", 32768, 0, 32768, kind="mps")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A llama-server on PATH."""
    program = tmp_path / "llama-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return program


def full(*gpus: Gpu, **changes: Any) -> tuple[EngineSpecs, Settings]:
    """Return the engines of the full profile as they are planned for some devices."""
    settings = load_settings(profile=Profile.FULL, **KEYS | changes)
    specs = specs_for(Profile.FULL, settings)
    return planned(specs, make_plan(gpus, specs.needs, settings)), settings


class TestFull:
    def test_by_default(self) -> None:
        """Whisper medium, pyannote, the OpenAI API and XTTS; separated with a GPU."""
        specs, settings = full(LARGE)
        assert specs.transcriber.options["model"] == settings.models_dir / "faster-whisper-medium"
        assert specs.diarizer.target.endswith(":PyannoteDiarizer")
        assert specs.translator.target.endswith(":ApiTranslator")
        assert specs.synthesizer.options["engine"] == "xtts"
        assert specs.separator is not None
        assert specs.diarizer_fallback is None
        assert (specs.understands, specs.clones, specs.side_by_side) == (True, True, True)

    def test_takes_are_heard_back_on_the_cpu(self) -> None:
        """The card is the voice's by then, however large Whisper was before; QA=off needs none."""
        specs, settings = full(LARGE)
        assert specs.prover is not None
        assert specs.prover.need is None
        assert specs.prover.options["model"] == settings.models_dir / "faster-whisper-base"
        assert full(LARGE, qa="off")[0].prover is None

    @pytest.mark.parametrize(
        ("tts", "target", "clones"),
        [
            ("openai", "openai_speech:OpenAISynthesizer", False),
            ("elevenlabs", "elevenlabs_speech:ElevenLabsSynthesizer", False),
            ("kokoro", "sidecar:SidecarSynthesizer", False),
            ("xtts", "sidecar:SidecarSynthesizer", True),
        ],
    )
    def test_each_voice(self, tts: str, target: str, clones: bool) -> None:
        """Only XTTS takes voices from recordings."""
        specs, _ = full(tts_model=tts, elevenlabs_api_key="k")
        assert specs.synthesizer.target == f"dubarr_watch.engines.{target}"
        assert specs.clones is clones

    def test_a_model_of_ones_own(self, server: Path) -> None:
        """A server under a lease, with the slots that memory allows."""
        specs, settings = full(LARGE, llm_backend="local")
        assert specs.translator.owns_process
        assert specs.translator.need is not None
        assert specs.translator.need.keep_alive_s == settings.keep_alive
        assert specs.translator.options["slots"] == 4
        assert specs.translator.options["model"].parent.name == "gemma-3-12b-it-q4_k_m"

    def test_what_listens_is_not_kept_warm(self) -> None:
        """Whisper, diarization and separation leave the card as soon as they are done."""
        specs, _ = full(LARGE)
        for spec in (specs.transcriber, specs.diarizer, specs.separator):
            assert spec is not None
            assert spec.need is not None
            assert spec.need.keep_alive_s == 0

    def test_a_finished_dub_is_measured_without_whisper(self) -> None:
        """A card is not asked for the memory of a large model to find where there is voice."""
        specs, _ = full(LARGE)
        assert specs.listener is not None
        assert specs.listener.need is None

    def test_a_fallback_for_diarization_where_the_user_allows_it(self) -> None:
        specs, _ = full(diarization_fallback=True)
        assert specs.diarizer_fallback is not None
        assert specs.diarizer_fallback.target.endswith(":DVectorDiarizer")


class TestPlanned:
    def test_two_cards_hold_one_engine_each(self, server: Path) -> None:
        """The larger one the model, the smaller one the voice; what listens takes either."""
        specs, _ = full(LARGE, SMALL, llm_backend="local")
        needs = {
            kind: getattr(specs, kind).need for kind in ("transcriber", "translator", "synthesizer")
        }
        assert {kind: need.gpu for kind, need in needs.items()} == {
            "transcriber": None, "translator": 0, "synthesizer": 1,
        }  # fmt: skip
        assert specs.side_by_side

    def test_without_a_server_program_the_model_knows_no_gpu(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The library that comes along computes on the CPU, with one slot."""
        monkeypatch.setenv("PATH", "/nowhere")
        specs, _ = full(LARGE, llm_backend="local")
        assert specs.translator.need is None
        assert specs.translator.options["slots"] == 1

    def test_a_server_program_can_be_named(
        self, monkeypatch: pytest.MonkeyPatch, server: Path
    ) -> None:
        """LLAMA_SERVER, where it is not on PATH."""
        monkeypatch.setenv("PATH", "/nowhere")
        specs, _ = full(LARGE, llm_backend="local", llama_server=server)
        assert specs.translator.options["program"] == server
        assert specs.translator.need is not None

    def test_on_one_small_card_they_take_turns(self, server: Path) -> None:
        specs, _ = full(SMALL, llm_backend="local")
        assert not specs.side_by_side

    def test_an_engine_that_a_device_is_of_no_use_to_asks_for_none(self) -> None:
        """CTranslate2 knows no Metal."""
        specs, _ = full(APPLE)
        assert specs.transcriber.need is None
        assert specs.synthesizer.need is not None

    def test_one_that_is_too_large_asks_all_the_same(self) -> None:
        """Whoever hands out memory says why it is on the CPU."""
        specs, _ = full(SMALL, engine_mib={"synthesizer": 20000})
        assert specs.synthesizer.need is not None

    def test_without_a_gpu_nothing_is_separated(self) -> None:
        specs, _ = full()
        assert specs.separator is None
        assert full(separation="always")[0].separator is not None


class TestWhatDecides:
    def test_where_it_runs_and_on_whose_account_does_not(self) -> None:
        """A checkpoint is as good on the CPU, with another key, and with other slots."""
        here, there = full(LARGE)[0], full(openai_api_key="sk-other", llm_slots=7, threads=3)[0]
        for kind in ("transcriber", "diarizer", "translator", "synthesizer"):
            assert made_by(getattr(here, kind)) == made_by(getattr(there, kind)), kind

    def test_the_model_does(self) -> None:
        assert made_by(full(llm_model="other")[0].translator) != made_by(full()[0].translator)

    def test_no_key_is_in_it(self) -> None:
        """It is part of content keys, which are written down."""
        specs, _ = full(tts_model="openai")
        told = repr([made_by(specs.translator), made_by(specs.synthesizer)])
        assert "sk-of-somebody" not in told


class TestLanguages:
    def test_what_xtts_does_not_speak_is_refused_with_the_list(self) -> None:
        specs, _ = full()
        assert all(specs.refusal(parse_language(code)) == "" for code in XTTS_LANGUAGES)
        refusal = specs.refusal(parse_language("cy"))
        assert refusal.startswith("XTTS v2 does not speak Welsh. It speaks Arabic, Chinese, ")
        assert refusal.endswith(" and Turkish.")

    def test_the_embedded_profile_names_the_command_that_lists_them(self) -> None:
        specs = specs_for(Profile.EMBEDDED, load_settings())
        assert specs.refusal(parse_language("es")) == ""
        assert "`dubarr-watch languages`" in specs.refusal(parse_language("ja"))

    @pytest.mark.parametrize(
        ("model", "spoken", "refused"),
        [
            ("eleven_multilingual_v2", ("es", "fil", "tl"), ("hu", "cy")),
            ("eleven_flash_v2_5", ("es", "hu", "no", "vi"), ("cy",)),
            ("eleven_flash_v2", ("en",), ("es",)),
            ("eleven_v3", ("es", "hu", "cy", "ceb"), ("eo",)),
        ],
    )
    def test_what_a_model_of_elevenlabs_does_not_speak_is_known_without_asking(
        self, model: str, spoken: Sequence[str], refused: Sequence[str]
    ) -> None:
        specs, _ = full(tts_model="elevenlabs", elevenlabs_model=model)
        assert all(specs.refusal(parse_language(code)) == "" for code in spoken)
        for code in refused:
            assert "ElevenLabs does not speak" in specs.refusal(parse_language(code))

    def test_of_a_model_that_nobody_knows_the_service_is_asked(self) -> None:
        specs, _ = full(tts_model="elevenlabs", elevenlabs_model="eleven_of_tomorrow")
        assert specs.refusal(parse_language("cy")) == ""

    def test_all_codes_are_languages_of_ours(self) -> None:
        codes = set().union(OPENAI_SPEECH_LANGUAGES, XTTS_LANGUAGES, *ELEVENLABS_LANGUAGES.values())
        assert {parse_language(code).code for code in codes} == codes
        assert len(ELEVENLABS_LANGUAGES["eleven_v3"] - {"fil"}) == 74


@pytest.mark.parametrize("profile", [Profile.EMBEDDED, Profile.FULL])
def test_mock_mode_has_fakes_for_every_profile(profile: Profile) -> None:
    """One for each seam, so that the whole daemon runs."""
    specs = specs_for(profile, load_settings(mock_mode=True))
    for spec in (specs.transcriber, specs.diarizer, specs.translator, specs.synthesizer):
        assert ".fakes:" in spec.target
    assert (specs.separator is not None) is (profile is Profile.FULL)
