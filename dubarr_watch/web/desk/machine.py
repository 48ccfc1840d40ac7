"""The machine: devices and who holds their memory, models, settings, and what the doctor finds."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import datetime

from pydantic import BaseModel, Field

from dubarr_watch.doctor import examine
from dubarr_watch.doctor.result import CheckResult
from dubarr_watch.engines import catalog
from dubarr_watch.engines.catalog import ModelState, PullProgress
from dubarr_watch.engines.embedded_languages import embedded_languages
from dubarr_watch.errors import DeviceError
from dubarr_watch.gpu.devices import memory
from dubarr_watch.gpu.inventory import Gpu
from dubarr_watch.languages import parse_language
from dubarr_watch.notify import test_services
from dubarr_watch.settings import Profile, Settings, ShownSetting, shown_settings
from dubarr_watch.store.store import Store
from dubarr_watch.web.desk.flights import Flight
from dubarr_watch.web.desk.tasks import Report, Task, Tasks
from dubarr_watch.web.works import Works

PATIENCE_S = 30.0
_DOCTOR_KEPT_S = 30.0


class Device(BaseModel):
    """A GPU, or a part of one."""

    index: int
    uuid: str
    name: str
    kind: str
    total_mib: int
    used_mib: int | None = Field(description="null where the driver does not answer")
    leased_mib: int


class Card(BaseModel):
    """A GPU of a worker."""

    uuid: str
    name: str
    index: int
    total_mib: int


class Worker(BaseModel):
    """A worker of the cluster, on some machine."""

    address: str
    machine: str
    cards: list[Card]
    offers: dict[str, float] = Field(description="vram_mib and cpu, as it announced them")
    tasks: list[str] = Field(description="what it does, or is to do next")


class Cluster(BaseModel):
    """Workers on other machines; scheduler is empty where EXECUTOR=local."""

    scheduler: str
    reachable: bool
    workers: list[Worker]
    wanted: int = Field(description="workers that there would best be for what is to do now")
    lost: int = Field(description="workers that were lost since the program started")


class Lease(BaseModel):
    """GPU memory that is held or waited for."""

    stage: str
    model: str
    job_id: int | None
    device: str
    device_name: str
    mib: int
    peak_mib: int
    state: str = Field(description="waiting, loading, busy, idle, leaving or reclaiming")
    why: str = Field(description="what it waits for")
    asked_at: datetime
    granted_at: datetime | None


class Model(BaseModel):
    """A model of the profile in use."""

    name: str
    role: str
    size_bytes: int
    licence: str
    homepage: str
    state: ModelState
    gated: bool = Field(description="its conditions must be accepted on its page first")
    agreement: str = Field(description="the setting that accepts its terms; empty for none")


class Findings(BaseModel):
    """What the doctor found."""

    looked_at: float = Field(description="seconds ago")
    checks: list[CheckResult]


class Target(BaseModel):
    """A language to dub into."""

    code: str = Field(description="ISO 639-1, or 639-3 where there is no such")
    name: str
    well: bool | None = Field(
        description="whether a dub sounds natural and mostly says the right thing; null where "
        "that depends on the models chosen"
    )
    refusal: str = Field(description="why it cannot be dubbed into; empty when it can")


class Sent(BaseModel):
    """How a service took a test message."""

    service: str
    ok: bool
    detail: str


class MachineDesk:
    """What the page shows of the machine.

    Args:
        settings: All settings.
        store: Leases.
        works: The devices.
        tasks: Runs pulls.
    """

    def __init__(self, settings: Settings, store: Store, works: Works, tasks: Tasks) -> None:
        self._settings = settings
        self._store = store
        self._works = works
        self._tasks = tasks
        self._examined: tuple[float, list[CheckResult]] | None = None
        self._doctor = Flight("The doctor", self._examine, PATIENCE_S)
        self._test = Flight("The test message", self._send_test, PATIENCE_S)

    def devices(self) -> list[Device]:
        """Return the devices that work can be put on, with what is in use now."""
        leased: dict[str, int] = {}
        for lease in self._store.leases.current():
            if lease.state != "waiting":
                leased[lease.device] = leased.get(lease.device, 0) + lease.mib
        return [_device(gpu, leased.get(gpu.uuid, 0)) for gpu in self._works.gpus]

    def cluster(self) -> Cluster:
        """Return who computes for this daemon elsewhere, as of a second ago."""
        crew = self._works.crew()
        return Cluster(
            scheduler=crew.scheduler,
            reachable=crew.reachable,
            workers=[Worker.model_validate(asdict(one)) for one in crew.members],
            wanted=crew.wanted,
            lost=crew.lost,
        )

    def leases(self) -> list[Lease]:
        """Return GPU memory that is held or waited for, in the order it was asked for."""
        return [
            Lease.model_validate(one, from_attributes=True) for one in self._store.leases.current()
        ]

    def models(self) -> list[Model]:
        """Return the models of the profile in use."""
        models = catalog.models_of(self._settings)
        return [
            Model(
                name=one.model.name,
                role=one.model.role,
                size_bytes=one.model.size_bytes,
                licence=one.model.licence,
                homepage=one.model.homepage,
                state=one.state,
                gated=one.model.gated,
                agreement=one.model.agreement,
            )
            for one in catalog.status(self._settings.models_dir, models=models)
        ]

    def pull(self, name: str) -> Task:
        """Begin to fetch a model.

        Raises:
            WrongUsage: The profile in use has no model of that name.
            IllegalTransition: It is being fetched already.
        """
        settings = self._settings
        models = catalog.models_of(settings)
        models.find(name)
        token = settings.hf_token.get_secret_value() if settings.hf_token else None
        agreed = ["COQUI_TOS_AGREED"] if settings.coqui_tos_agreed else []

        def work(report: Report) -> None:
            def on_progress(now: PullProgress) -> None:
                self._tasks.stop_if_closing()
                report(now.what, now.done_bytes / max(1, now.total_bytes))

            catalog.pull([name], settings.models_dir, on_progress, models=models, hf_token=token,
                         agreed=agreed)  # fmt: skip

        return self._tasks.start("pull", name, work)

    def settings(self) -> list[ShownSetting]:
        """Return every setting with its source, secrets hidden."""
        return shown_settings(self._settings)

    async def findings(self, *, again: bool = False) -> Findings:
        """Return what the doctor finds; looked into anew after half a minute, or when asked to.

        Raises:
            NotYet: It takes long.
        """
        found = self._examined
        if found is None or again or time.monotonic() - found[0] > _DOCTOR_KEPT_S:
            found = await self._doctor.result()
        return Findings(looked_at=time.monotonic() - found[0], checks=found[1])

    def _examine(self) -> tuple[float, list[CheckResult]]:
        self._examined = (time.monotonic(), list(examine(self._settings)))
        return self._examined

    def languages(self) -> list[Target]:
        """Return the languages that can be asked for, by name."""
        refusal = self._works.refusal
        found = [
            Target(
                code=one.code,
                name=one.name,
                well=one.well if self._works.profile is Profile.EMBEDDED else None,
                refusal=refusal(parse_language(one.code)),
            )
            for one in embedded_languages()
        ]
        return sorted(found, key=lambda one: one.name)

    async def test_notifications(self) -> list[Sent]:
        """Send a test message to every service; whoever asks for it meanwhile hears of the same.

        Raises:
            SettingsInvalid: The settings cannot be used.
            NotYet: A service takes long.
        """
        return await self._test.result()

    def _send_test(self) -> list[Sent]:
        return [
            Sent(service=one.service, ok=one.ok, detail=one.detail)
            for one in test_services(self._settings)
        ]


def _device(gpu: Gpu, leased_mib: int) -> Device:
    try:
        used = memory(gpu.uuid).used_mib
    except DeviceError:
        used = None
    return Device(index=gpu.index, uuid=gpu.uuid, name=gpu.name, kind=gpu.kind,
                  total_mib=gpu.total_mib, used_mib=used, leased_mib=leased_mib)  # fmt: skip
