"""The machine: devices, models, settings, and what the doctor finds."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from dubarr_watch.settings import ShownSetting
from dubarr_watch.web import shapes
from dubarr_watch.web.api.common import DeskOf
from dubarr_watch.web.desk.machine import Cluster, Device, Findings, Lease, Model, Sent, Target
from dubarr_watch.web.desk.tasks import Task

router = APIRouter(tags=["machine"])


@router.get("/devices")
def list_devices(desk: DeskOf) -> list[Device]:
    """GPUs with what is in use on them now; none on a machine without any."""
    return desk.machine.devices()


@router.get("/cluster")
def get_cluster(desk: DeskOf) -> Cluster:
    """Workers on other machines with their devices and tasks."""
    return desk.machine.cluster()


@router.get("/leases")
def list_leases(desk: DeskOf) -> list[Lease]:
    """GPU memory that is held or waited for, in the order it was asked for."""
    return desk.machine.leases()


@router.get("/models")
def list_models(desk: DeskOf) -> list[Model]:
    """The models of the profile in use, and whether they are there."""
    return desk.machine.models()


@router.post("/models/{name}/pull")
def pull_model(desk: DeskOf, name: Annotated[str, Path(max_length=200)]) -> Task:
    """Begin to fetch a model; /tasks and the events tell how far it is."""
    return desk.machine.pull(name)


@router.get("/tasks")
def list_tasks(desk: DeskOf) -> list[Task]:
    """Pulls and lines made anew: under way, or ended since the program started."""
    return desk.tasks.all()


@router.get("/tasks/{task_id}")
def get_task(desk: DeskOf, task_id: shapes.Id) -> Task:
    """One task."""
    return desk.tasks.get(task_id)


@router.get("/settings")
def list_settings(desk: DeskOf) -> list[ShownSetting]:
    """Every setting with where its value comes from; secrets are hidden."""
    return desk.machine.settings()


@router.get("/doctor")
async def get_findings(
    desk: DeskOf,
    again: Annotated[
        bool, Query(description="look again, though it was looked a moment ago")
    ] = False,
) -> Findings:
    """What the doctor finds; may take some seconds."""
    return await desk.machine.findings(again=again)


@router.get("/languages")
def list_languages(desk: DeskOf) -> list[Target]:
    """The languages that can be asked for."""
    return desk.machine.languages()


@router.post("/notifications/test")
async def test_notifications(desk: DeskOf) -> list[Sent]:
    """Send a test message to every push service; none when none is set."""
    return await desk.machine.test_notifications()


@router.get("/api-key")
def get_api_key(desk: DeskOf) -> dict[str, str]:
    """The key that programs send as X-Api-Key."""
    return {"api_key": desk.credentials.api_key}
