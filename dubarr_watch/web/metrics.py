"""/metrics for Prometheus, read from the database when somebody asks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from dubarr_watch.dubbing.fitting import Outcome
from dubarr_watch.store.records import JobState
from dubarr_watch.web.api.common import DeskOf
from dubarr_watch.web.desk import Desk

router = APIRouter(tags=["health"])

_MESSAGES = {"pending": 0, "sent": 0, "failed": 0}

MOST_REASONS = 20
"""Reasons are words that quote numbers and names; the common ones are told apart."""


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(desk: DeskOf) -> Response:
    """Figures in Prometheus's text format; Prometheus logs in with `basic_auth`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(desk))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Figures(Collector):
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._figures = desk.store.figures

    def collect(self) -> Iterator[Metric]:
        """Yield every figure."""
        yield self._jobs()
        yield from self._queue()
        yield self._stages()
        tracks, total = self._figures.real_time_factor()
        yield SummaryMetricFamily(
            "dubarr_real_time_factor", "Time of all stages by length of the video, of each track",
            count_value=tracks, sum_value=total,
        )  # fmt: skip
        yield _gauge("dubarr_lines", "Lines by what became of them", "outcome",
                     dict.fromkeys(map(str, Outcome), 0) | self._figures.lines())  # fmt: skip
        yield _gauge("dubarr_notifications", "Messages by what became of them", "outcome",
                     _MESSAGES | self._figures.notifications())  # fmt: skip
        yield from self._devices()
        yield from self._cluster()
        yield from self._health()

    def _jobs(self) -> Metric:
        family = GaugeMetricFamily(
            "dubarr_jobs", "Jobs by state and reason", labels=["state", "reason"]
        )
        counts: Counter[tuple[str, str]] = Counter()
        for every in JobState:
            counts[every.value, ""] = 0
        for state, reason, count in self._figures.jobs():
            counts[state, short_reason(reason)] += count
        told = {reason for (_, reason), _ in counts.most_common(MOST_REASONS)} | {""}
        merged: Counter[tuple[str, str]] = Counter()
        for (state, reason), count in counts.items():
            merged[state, reason if reason in told else "other"] += count
        for (state, reason), count in merged.items():
            family.add_metric([state, reason], count)
        return family

    def _queue(self) -> Iterator[Metric]:
        since = self._figures.queued_since()
        age_s = 0.0 if since is None else (datetime.now(UTC) - since).total_seconds()
        yield GaugeMetricFamily(
            "dubarr_queue_age_seconds", "How long the oldest queued job has waited",
            value=max(age_s, 0.0),
        )  # fmt: skip
        family = GaugeMetricFamily(
            "dubarr_job_progress", "How far a running job is, 0 to 1", labels=["job"]
        )
        for job in self._desk.store.jobs.running():
            family.add_metric([str(job.id)], job.progress)
        yield family

    def _stages(self) -> Metric:
        family = SummaryMetricFamily(
            "dubarr_stage_seconds", "Time that stages took", labels=["stage"]
        )
        for stage, (count, seconds) in self._figures.stage_seconds().items():
            family.add_metric([stage], count_value=count, sum_value=seconds)
        return family

    def _devices(self) -> Iterator[Metric]:
        memory = GaugeMetricFamily(
            "dubarr_device_memory_bytes", "Memory of a device", labels=["device", "name", "kind"]
        )
        for one in self._desk.machine.devices():
            figures = {"total": one.total_mib, "used": one.used_mib, "leased": one.leased_mib}
            for kind, mib in figures.items():
                if mib is not None:
                    memory.add_metric([one.uuid, one.name, kind], mib * 2**20)
        yield memory
        leases = GaugeMetricFamily(
            "dubarr_leases", "Leases of GPU memory", labels=["stage", "state"]
        )
        counted = Counter((one.stage, one.state) for one in self._desk.machine.leases())
        for (stage, state), count in counted.items():
            leases.add_metric([stage, state], count)
        yield leases

    def _cluster(self) -> Iterator[Metric]:
        crew = self._desk.machine.cluster()
        if not crew.scheduler:
            return
        yield GaugeMetricFamily(
            "dubarr_cluster_up", "Whether the scheduler answers", value=float(crew.reachable)
        )
        yield GaugeMetricFamily(
            "dubarr_cluster_workers", "Workers that are there", value=len(crew.workers)
        )
        yield GaugeMetricFamily(
            "dubarr_cluster_workers_wanted", "Workers that there would best be, for autoscalers",
            value=crew.wanted,
        )  # fmt: skip
        yield CounterMetricFamily(
            "dubarr_cluster_workers_lost", "Workers that were lost", value=crew.lost
        )
        offers = GaugeMetricFamily(
            "dubarr_cluster_offers", "What a worker offers: MiB of GPU memory, turns on the CPU",
            labels=["worker", "machine", "device", "kind"],
        )  # fmt: skip
        tasks = GaugeMetricFamily(
            "dubarr_cluster_tasks", "Tasks of a worker, waiting there or under way",
            labels=["worker", "machine"],
        )  # fmt: skip
        for one in crew.workers:
            device = one.cards[0].uuid if one.cards else "cpu"
            for kind, value in one.offers.items():
                offers.add_metric([one.address, one.machine, device, kind], value)
            tasks.add_metric([one.address, one.machine], len(one.tasks))
        yield offers
        yield tasks

    def _health(self) -> Iterator[Metric]:
        health = self._desk.health.look()
        parts = {
            name: float(getattr(health, name).ok) for name in ("worker", "database", "watcher")
        }
        yield _gauge("dubarr_up", "Whether a part is well", "part", parts)


def short_reason(reason: str) -> str:
    """Return the first sentence of a reason without what differs from one job to the next."""
    first = re.split(r"(?<=[.:!?])\s", reason.strip(), maxsplit=1)[0]
    plain = re.sub(r"'[^']*'|\"[^\"]*\"|/\S+|\S+\.\w{2,4}\b", "…", first)
    return re.sub(r"\d+(?:[.,]\d+)*", "N", plain).strip()[:100]


def _gauge(name: str, words: str, label: str, values: dict[str, float] | dict[str, int]) -> Metric:
    family = GaugeMetricFamily(name, words, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
