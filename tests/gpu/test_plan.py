"""The plan for machines of every size, as the user reads it."""

from __future__ import annotations

import pytest

from dubarr_watch.gpu.inventory import Gpu
from dubarr_watch.gpu.plan import SIDE_BY_SIDE_MIB, Plan, StageNeed, Where, make_plan
from dubarr_watch.settings import Device, Separation, load_settings

WHISPER = StageNeed("transcriber", "whisper medium", 2800, gpu=("cuda",))
PYANNOTE = StageNeed("diarizer", "pyannote", 1500)
DEMUCS = StageNeed("separator", "demucs", 2500)
GEMMA = StageNeed("translator", "gemma 3 12b", 8900, slot_mib=350)
OPENAI = StageNeed("translator", "gpt-6-luna", service=True)
XTTS = StageNeed("synthesizer", "xtts v2", 4000)
KOKORO = StageNeed("synthesizer", "kokoro", gpu=())

LOCAL = (DEMUCS, WHISPER, PYANNOTE, GEMMA, XTTS)
ONLINE = (DEMUCS, WHISPER, PYANNOTE, OPENAI, XTTS)


def card(index: int, gib: float, name: str = "") -> Gpu:
    """Return a card with nothing on it."""
    total = round(gib * 1024)
    return Gpu(
        index, f"GPU-{index}", name or f"Card {gib:g}", f"0000:0{index}:00.0", total, 0, total
    )


def part(index: int, number: int, gib: float) -> Gpu:
    """Return a part of a card."""
    total = round(gib * 1024)
    return Gpu(index, f"MIG-{number}", "H100", "0000:01:00.0", total, 0, total, mig=True)


def plan(*gpus: Gpu, needs: tuple[StageNeed, ...] = LOCAL, **settings: object) -> Plan:
    """Make a plan."""
    learned = settings.pop("learned", None)
    return make_plan(gpus, needs, load_settings(**settings), learned)  # type: ignore[arg-type]


def where(made: Plan) -> dict[str, int | str]:
    """Return the index of the GPU of each stage, or what else it runs on."""
    return {one.kind: one.gpu.index if one.gpu else one.where.value for one in made.placements}


class TestAsItIsRead:
    """Whole tables: what the user sees, for the machines that people have."""

    def test_no_card(self) -> None:
        assert plan().text() == (
            "transcriber  whisper medium  CPU  -\n"
            "diarizer     pyannote        CPU  -\n"
            "translator   gemma 3 12b     CPU  -\n"
            "synthesizer  xtts v2         CPU  -\n"
            "No GPU is used; one job at a time."
        )

    def test_8_gb_with_a_model_of_others(self) -> None:
        assert plan(card(0, 8), needs=ONLINE).text() == (
            "separator    demucs          GPU 0 (Card 8)  2500 MiB (estimate)\n"
            "transcriber  whisper medium  GPU 0 (Card 8)  2800 MiB (estimate)\n"
            "diarizer     pyannote        GPU 0 (Card 8)  1500 MiB (estimate)\n"
            "translator   gpt-6-luna      a service       -\n"
            "synthesizer  xtts v2         GPU 0 (Card 8)  4000 MiB (estimate)\n"
            "Translation and speech run side by side; 2 jobs at a time."
        )

    def test_8_gb_with_a_model_of_its_own(self) -> None:
        assert plan(card(0, 8)).text() == (
            "separator    demucs          GPU 0 (Card 8)  2500 MiB (estimate)\n"
            "transcriber  whisper medium  GPU 0 (Card 8)  2800 MiB (estimate)\n"
            "diarizer     pyannote        GPU 0 (Card 8)  1500 MiB (estimate)\n"
            "translator   gemma 3 12b     CPU             -\n"
            "synthesizer  xtts v2         GPU 0 (Card 8)  4000 MiB (estimate)\n"
            "Translation and speech run side by side; 2 jobs at a time.\n"
            "translator: gemma 3 12b needs 8900 MiB, the largest GPU has 7680 to give."
        )

    @pytest.mark.parametrize(
        ("gib", "slots", "mib"), [(12, 4, 9950), (16, 4, 9950), (9.6, 2, 9250)]
    )
    def test_12_and_16_gb_take_turns(self, gib: float, slots: int, mib: int) -> None:
        made = plan(card(0, gib))
        assert made.text() == (
            f"separator    demucs          GPU 0 (Card {gib})  2500 MiB (estimate)\n"
            f"transcriber  whisper medium  GPU 0 (Card {gib})  2800 MiB (estimate)\n"
            f"diarizer     pyannote        GPU 0 (Card {gib})  1500 MiB (estimate)\n"
            f"translator   gemma 3 12b     GPU 0 (Card {gib})  {mib} MiB (estimate, "
            f"{slots} slots)\n"
            f"synthesizer  xtts v2         GPU 0 (Card {gib})  4000 MiB (estimate)\n"
            "Translation and speech run in turns; 2 jobs at a time."
        )

    @pytest.mark.parametrize("gib", [24, 80])
    def test_24_and_80_gb_run_side_by_side(self, gib: int) -> None:
        made = plan(card(0, gib))
        assert made.text() == (
            f"separator    demucs          GPU 0 (Card {gib})  2500 MiB (estimate)\n"
            f"transcriber  whisper medium  GPU 0 (Card {gib})  2800 MiB (estimate)\n"
            f"diarizer     pyannote        GPU 0 (Card {gib})  1500 MiB (estimate)\n"
            f"translator   gemma 3 12b     GPU 0 (Card {gib})  9950 MiB (estimate, 4 slots)\n"
            f"synthesizer  xtts v2         GPU 0 (Card {gib})  4000 MiB (estimate)\n"
            "Translation and speech run side by side; 2 jobs at a time."
        )

    def test_12_and_8_gb(self) -> None:
        """The model on the larger card, the voice and what listens on the smaller one."""
        made = plan(card(0, 8, "Small"), card(1, 12, "Large"))
        assert made.text() == (
            "separator    demucs          GPU 0 (Small)  2500 MiB (estimate)\n"
            "transcriber  whisper medium  GPU 0 (Small)  2800 MiB (estimate)\n"
            "diarizer     pyannote        GPU 0 (Small)  1500 MiB (estimate)\n"
            "translator   gemma 3 12b     GPU 1 (Large)  9950 MiB (estimate, 4 slots)\n"
            "synthesizer  xtts v2         GPU 0 (Small)  4000 MiB (estimate)\n"
            "Translation and speech run side by side; 2 jobs at a time."
        )


class TestTwoCards:
    @pytest.mark.parametrize("gib", [24, 10])
    def test_two_identical_ones_hold_one_engine_each(self, gib: int) -> None:
        """They have one name and one size, and two indexes."""
        made = plan(card(0, gib, "Twin"), card(1, gib, "Twin"))
        found = where(made)
        assert (found["translator"], found["synthesizer"]) == (0, 1)
        assert made.side_by_side
        assert {one.kind for one in made.placements if one.fixed} == {"translator", "synthesizer"}

    @pytest.mark.parametrize(("gpu_tts", "llm"), [(0, 1), (1, 0)])
    def test_the_voice_goes_where_gpu_tts_says(self, gpu_tts: int, llm: int) -> None:
        """Of two that are alike the model takes the other one."""
        made = plan(card(0, 24), card(1, 24), gpu_tts=gpu_tts)
        assert (where(made)["synthesizer"], where(made)["translator"]) == (gpu_tts, llm)

    def test_gpu_tts_may_name_the_larger_card(self) -> None:
        """Then both are on it, side by side where that has room."""
        small, large = card(0, 8), card(1, 12)
        made = plan(small, large, gpu_tts=1)
        assert (where(made)["synthesizer"], where(made)["translator"]) == (1, 1)
        assert not made.side_by_side
        assert plan(small, card(1, 24), gpu_tts=1).side_by_side

    def test_gpu_tts_that_is_not_there_is_told(self) -> None:
        """The dub is made all the same."""
        made = plan(card(0, 24), gpu_tts=3)
        assert where(made)["synthesizer"] == 0
        assert made.notes == ("GPU_TTS=3: there is no such GPU; another one is used.",)

    def test_gpu_tts_that_is_too_small_is_told(self) -> None:
        """It names the engine that has no room."""
        made = plan(card(0, 4), card(1, 24), gpu_tts=0)
        assert where(made)["synthesizer"] == 1
        assert made.notes == ("GPU_TTS=0 is too small for xtts v2; it is not used.",)

    def test_gpu_tts_unset_is_not_gpu_0(self) -> None:
        """The default says nothing: the smallest card that is large enough speaks."""
        assert where(plan(card(0, 24), card(1, 8)))["synthesizer"] == 1

    def test_two_small_ones_have_no_room_for_the_model(self) -> None:
        """8 and 8 GB are not 16 to a model that cannot be divided."""
        made = plan(card(0, 8), card(1, 8))
        assert where(made)["translator"] == "cpu"


class TestParts:
    def test_parts_of_a_card_are_cards(self) -> None:
        """They share an index, and are told apart by their UUIDs."""
        made = plan(part(0, 1, 10), part(0, 2, 10))
        llm, voice = made.of("translator"), made.of("synthesizer")
        assert llm is not None
        assert voice is not None
        assert llm.gpu is not None
        assert voice.gpu is not None
        assert llm.gpu.uuid != voice.gpu.uuid
        assert made.side_by_side
        assert "GPU 0 part (H100)" in made.text()


class TestBothSidesOfTheLimit:
    @pytest.mark.parametrize(
        ("total_mib", "beside"), [(SIDE_BY_SIDE_MIB, True), (SIDE_BY_SIDE_MIB - 1, False)]
    )
    def test_of_what_counts_as_much(self, total_mib: int, beside: bool) -> None:
        assert plan(card(0, total_mib / 1024)).side_by_side is beside

    @pytest.mark.parametrize(("engine_mib", "beside"), [(14000, True), (14100, False)])
    def test_of_what_both_need_together(self, engine_mib: int, beside: bool) -> None:
        """18 GB are not enough for engines that need more."""
        told = {"translator": engine_mib, "synthesizer": 5000}
        made = plan(card(0, (14000 + 5000 + 512) / 1024), engine_mib=told)
        assert made.side_by_side is beside

    @pytest.mark.parametrize(("margin", "found"), [(96, 0), (97, "cpu")])
    def test_of_what_a_card_has_to_give(self, margin: int, found: int | str) -> None:
        made = plan(card(0, 4), needs=(XTTS,), gpu_margin_mib=margin)
        assert where(made) == {"synthesizer": found}


class TestFigures:
    def test_what_the_user_says_counts_before_what_was_measured(self) -> None:
        """And a measurement before an estimate."""
        learned = {"xtts v2": 3100, "whisper medium": 2100}
        made = plan(card(0, 24), learned=learned, engine_mib={"synthesizer": 5000})
        told = {one.kind: (one.mib, one.source) for one in made.placements}
        assert told["synthesizer"] == (5000, "ENGINE_MIB")
        assert told["transcriber"] == (2100 + 256, "measured")
        assert told["diarizer"] == (1500, "estimate")

    def test_slots_can_be_told(self) -> None:
        """LLM_SLOTS is a wish: memory has the last word."""
        few, many = plan(card(0, 24), llm_slots=2), plan(card(0, 12), llm_slots=32)
        told = [made.of("translator") for made in (few, many)]
        assert [(one.slots, one.mib) for one in told if one] == [(2, 9250), (9, 11700)]


class TestWithoutRoom:
    def test_no_way_to_the_cpu_makes_it_impossible(self) -> None:
        """The figures are in what the user is told."""
        made = plan(card(0, 8), cpu_fallback=False)
        (one,) = made.impossible
        assert (one.kind, one.where) == ("translator", Where.NOWHERE)
        assert one.why == "gemma 3 12b needs 8900 MiB, the largest GPU has 7680 to give."

    def test_what_knows_no_gpu_is_always_allowed_on_the_cpu(self) -> None:
        """CPU_FALLBACK=false is about engines that want a GPU."""
        made = plan(card(0, 8), needs=(*ONLINE[:-1], KOKORO), cpu_fallback=False)
        assert where(made)["synthesizer"] == "cpu"
        assert made.impossible == ()

    def test_what_cannot_run_on_a_cpu_says_so(self) -> None:
        (one,) = plan(needs=(StageNeed("synthesizer", "big", 100, cpu=False),)).impossible
        assert one.why == "big needs a GPU and there is none."


class TestWhatFollows:
    @pytest.mark.parametrize(
        ("separation", "with_gpu", "without"),
        [
            (Separation.AUTO, True, False),
            (Separation.ALWAYS, True, True),
            (Separation.NEVER, False, False),
        ],
    )
    def test_separation(self, separation: Separation, with_gpu: bool, without: bool) -> None:
        """It is planned for only when it is done."""
        for gpus, expected in (((card(0, 8),), with_gpu), ((), without)):
            made = plan(*gpus, separation=separation)
            assert made.separate is expected
            assert (made.of("separator") is not None) is expected

    def test_jobs(self) -> None:
        """Two with a GPU, one without, and what the user says."""
        assert [plan().jobs, plan(card(0, 8)).jobs, plan(jobs=3).jobs] == [1, 2, 3]

    def test_a_stage_prefers_its_planned_card_then_smaller_ones(self) -> None:
        """Where the planned one is busy, large cards are left to large models."""
        gpus = [card(0, 24), card(1, 12), card(2, 8)]
        made = plan(*gpus, gpu_tts=1)
        assert [gpu.index for gpu in made.prefer("synthesizer", gpus)] == [1, 2, 0]
        assert [gpu.index for gpu in made.prefer("nothing", gpus)] == [2, 1, 0]

    def test_two_engines_on_one_processor_take_turns(self) -> None:
        """A service beside it costs nothing here."""
        assert not plan(device=Device.CPU).side_by_side
        assert plan(needs=ONLINE).side_by_side

    def test_apples_gpu_runs_what_it_can(self) -> None:
        """An engine that knows only CUDA goes to the CPU, without a word about memory."""
        apple = Gpu(0, "mps", "Apple M4", "", 32768, 0, 32768, kind="mps")
        made = plan(apple)
        assert where(made) | {"transcriber": "cpu"} == where(made)
        assert [one.where for one in made.placements if one.kind == "diarizer"] == [Where.MPS]
        assert made.notes == ()
