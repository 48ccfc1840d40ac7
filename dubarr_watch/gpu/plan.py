"""Which stage runs where: decided once at the start, from what there is and what is needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from dubarr_watch.gpu.inventory import Gpu
from dubarr_watch.gpu.placement import Placement, Plan, StageNeed, Where
from dubarr_watch.gpu.wishes import LEARNED_MIB, LEARNED_SHARE
from dubarr_watch.settings import Separation, Settings

__all__ = ["MOST_SLOTS", "SIDE_BY_SIDE_MIB", "Placement", "Plan", "StageNeed", "Where", "make_plan"]

SIDE_BY_SIDE_MIB = 18_000
"""GPU memory, all cards together, from which on the translator stays loaded beside the voice.

Gemma 3 12B takes about 10 GB and XTTS v2 about 4; what is left is for the other stages.
"""

MOST_SLOTS = 4
"""Requests that a local model serves at a time where there is room: more bring little."""

JOBS_ELSEWHERE = 8
"""Jobs at a time where workers of a cluster run the engines; here they are decoded and mixed."""

TRANSLATOR, SYNTHESIZER, SEPARATOR = "translator", "synthesizer", "separator"


def make_plan(
    devices: Sequence[Gpu],
    needs: Iterable[StageNeed],
    settings: Settings,
    learned: Mapping[str, int] | None = None,
) -> Plan:
    """Decide where each stage runs.

    Args:
        devices: GPUs that may be used, none for a machine without or with DEVICE=cpu.
        needs: What the engines need.
        settings: GPU_TTS, ENGINE_MIB, GPU_MARGIN_MIB, CPU_FALLBACK, LLM_SLOTS, SEPARATION, JOBS.
        learned: Peak in MiB that was measured, by name; better than an estimate; what is leased
            is a little more.
    """
    known = [_sized(need, settings, learned or {}) for need in needs]
    house = _House(tuple(devices), settings)
    speech = next((one for one in known if one.need.kind == SYNTHESIZER), None)
    llm = next((one for one in known if one.need.kind == TRANSLATOR), None)
    together = _place_both(house, llm, speech)
    placements = [
        together.chosen.get(one.need.kind) or house.place(one, house.smallest(one)) for one in known
    ]
    on_gpu = any(one.on_gpu for one in placements)
    separate = settings.separation is Separation.ALWAYS or (
        settings.separation is Separation.AUTO
        and any(one.kind == SEPARATOR and one.on_gpu for one in placements)
    )
    if not separate:
        placements = [one for one in placements if one.kind != SEPARATOR]
    return Plan(
        tuple(placements),
        together.side_by_side,
        separate,
        settings.jobs or (2 if on_gpu else 1),
        (*together.notes, *(f"{one.kind}: {one.why}" for one in placements if one.why)),
    )


def plan_elsewhere(settings: Settings) -> Plan:
    """Return the plan of a daemon whose engines run on other machines: each decides for itself.

    Voices are separated unless SEPARATION=never: which workers there will be is not known.
    """
    separate = settings.separation is not Separation.NEVER
    return Plan((), False, separate, settings.jobs or JOBS_ELSEWHERE)


@dataclass(frozen=True, slots=True)
class _Sized:
    """A need with the figure that counts."""

    need: StageNeed
    mib: int
    source: str


@dataclass(frozen=True, slots=True)
class _Together:
    """Where translator and voice run, which share the time of synthesis."""

    chosen: Mapping[str, Placement]
    side_by_side: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _House:
    """The devices, and what may be done with them."""

    gpus: tuple[Gpu, ...]
    settings: Settings

    def room(self, gpu: Gpu) -> int:
        return gpu.total_mib - self.settings.gpu_margin_mib

    def fitting(self, one: _Sized) -> list[Gpu]:
        """Return the devices that are large enough, smallest first."""
        if one.need.service:
            return []
        large = [g for g in self.gpus if g.kind in one.need.gpu and self.room(g) >= one.mib]
        return sorted(large, key=lambda gpu: (gpu.total_mib, gpu.index))

    def smallest(self, one: _Sized) -> Gpu | None:
        return next(iter(self.fitting(one)), None)

    def place(self, one: _Sized, gpu: Gpu | None, *, fixed: bool = False) -> Placement:
        """Put a stage on a device; without one on the CPU, where that is allowed."""
        need = one.need
        if need.service:
            return Placement(need.kind, need.name, Where.SERVICE, source="")
        if gpu is not None:
            return Placement(
                need.kind, need.name, Where(gpu.kind), one.mib, gpu, fixed, source=one.source
            )
        usable = [known for known in self.gpus if known.kind in need.gpu]
        why = ""
        if usable:
            largest = max(map(self.room, usable))
            why = f"{need.name} needs {one.mib} MiB, the largest GPU has {largest} to give"
        if need.cpu and (self.settings.cpu_fallback or not need.gpu):
            return Placement(need.kind, need.name, Where.CPU, why=f"{why}." if why else "")
        cannot = why or f"{need.name} needs a GPU and there is none"
        return Placement(need.kind, need.name, Where.NOWHERE, one.mib, why=f"{cannot}.")


def _sized(need: StageNeed, settings: Settings, learned: Mapping[str, int]) -> _Sized:
    if (told := settings.engine_mib.get(need.kind)) is not None:
        return _Sized(need, told, "ENGINE_MIB")
    if (measured := learned.get(need.name)) is not None:
        # As leases add to it: another film may take a little more.
        mib = max(measured + LEARNED_MIB, int(measured * LEARNED_SHARE))
        return _Sized(need, mib, "measured")
    return _Sized(need, need.mib, "estimate")


def _place_both(house: _House, llm: _Sized | None, speech: _Sized | None) -> _Together:
    """Put the model on the larger card and the voice on GPU_TTS, or the smaller one."""
    chosen: dict[str, Placement] = {}
    voice_gpu, notes = _voice_gpu(house, speech)
    llm_gpu = _llm_gpu(house, llm, voice_gpu)
    if speech is not None and voice_gpu is None:
        voice_gpu = _smaller(house, speech, llm_gpu)
    told = "gpu_tts" in house.settings.model_fields_set
    several = len(house.gpus) > 1
    if llm is not None:
        chosen[TRANSLATOR] = house.place(llm, llm_gpu)
    if speech is not None:
        chosen[SYNTHESIZER] = house.place(speech, voice_gpu, fixed=told and several)
    side_by_side = _side_by_side(house, list(chosen.values()))
    if side_by_side and several and llm_gpu is not None and voice_gpu is not None:
        chosen = {kind: replace(one, fixed=True) for kind, one in chosen.items()}
    if llm is not None:
        beside = chosen.get(SYNTHESIZER) if side_by_side else None
        chosen[TRANSLATOR] = _with_slots(house, llm, chosen[TRANSLATOR], beside)
    return _Together(chosen, side_by_side, tuple(notes))


def _voice_gpu(house: _House, speech: _Sized | None) -> tuple[Gpu | None, list[str]]:
    """Return the card that the user chose for the voice, if it can be used."""
    wanted = house.settings.gpu_tts
    if speech is None or "gpu_tts" not in house.settings.model_fields_set or not house.gpus:
        return None, []
    if speech.need.service or not set(speech.need.gpu) & {gpu.kind for gpu in house.gpus}:
        return None, []
    there = [gpu for gpu in house.gpus if gpu.index == wanted]
    if not there:
        return None, [f"GPU_TTS={wanted}: there is no such GPU; another one is used."]
    chosen = next((gpu for gpu in house.fitting(speech) if gpu in there), None)
    if chosen is None:
        return None, [f"GPU_TTS={wanted} is too small for {speech.need.name}; it is not used."]
    return chosen, []


def _llm_gpu(house: _House, llm: _Sized | None, taken: Gpu | None) -> Gpu | None:
    if llm is None:
        return None
    # The largest, and among equal ones not the one that speaks.
    fitting = house.fitting(llm)
    return max(fitting, key=lambda gpu: (gpu.total_mib, gpu is not taken, -gpu.index), default=None)


def _smaller(house: _House, speech: _Sized, taken: Gpu | None) -> Gpu | None:
    fitting = house.fitting(speech)
    return next((gpu for gpu in fitting if gpu is not taken), fitting[0] if fitting else None)


def _side_by_side(house: _House, both: Sequence[Placement]) -> bool:
    on_gpu = [one for one in both if one.gpu is not None]
    if len(on_gpu) < 2:
        # Memory is no matter where only one of them needs any; a CPU is shared by turns.
        return sum(one.where is Where.CPU for one in both) < 2
    if sum(gpu.total_mib for gpu in house.gpus) < SIDE_BY_SIDE_MIB:
        return False
    first, second = on_gpu
    if first.gpu is not None and first.gpu is second.gpu:
        return house.room(first.gpu) >= first.mib + second.mib
    return True


def _with_slots(
    house: _House, llm: _Sized, placed: Placement, beside: Placement | None
) -> Placement:
    """Give a local model as many slots as memory and LLM_SLOTS allow."""
    wanted = house.settings.llm_slots or MOST_SLOTS
    if placed.gpu is None:
        return replace(placed, slots=house.settings.llm_slots or 1)
    if not llm.need.slot_mib or llm.source != "estimate":
        return replace(placed, slots=wanted)
    room = house.room(placed.gpu)
    if beside is not None and beside.gpu is placed.gpu:
        room -= beside.mib
    slots = max(1, min(wanted, 1 + (room - placed.mib) // llm.need.slot_mib))
    return replace(placed, slots=slots, mib=placed.mib + (slots - 1) * llm.need.slot_mib)
