"""A library as a household has it, with invented films: what the page is looked at with."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from dubarr_watch.gpu.inventory import Gpu
from dubarr_watch.store.leases import LeaseRecord
from dubarr_watch.store.records import JobRecord, JobState, Priority
from tests.composing import Shop, make_talk
from tests.web.sites import Told

FILMS = {
    "Films/The Lighthouse Keeper (2019)/The Lighthouse Keeper (2019).mkv": 6.1,
    "Films/A Winter in Kraków (2021)/A Winter in Kraków (2021) 2160p.mkv": 18.4,
    "Films/Ferry Across the Strait (2016)/Ferry Across the Strait (2016).mkv": 4.7,
    "Films/Unnamed Road (2023)/Unnamed Road (2023) 1080p WEB-DL.mkv": 5.2,
    "Series/Harbour Watch/Season 01/Harbour Watch S01E01.mkv": 1.9,
    "Series/Harbour Watch/Season 01/Harbour Watch S01E02.mkv": 1.8,
    "Series/Harbour Watch/Season 01/Harbour Watch S01E03.mkv": 1.9,
    "Series/Harbour Watch/Season 01/Harbour Watch S01E04.mkv": 2.0,
    "Series/The Slow Kitchen/The Slow Kitchen S02E05 Bread.mkv": 1.1,
    "Home/Grandmother's 90th birthday.mp4": 0.8,
}
"""Names and sizes in GB."""

SAID = (
    ("The lamp has to be lit before the boats come in.",
     "Hay que encender la lámpara antes de que entren los barcos."),
    ("And if nobody comes up the stairs tonight?", "¿Y si esta noche no sube nadie?"),
    ("Then I light it for the fish.", "Entonces la enciendo para los peces."),
    ("You have been alone up here for too long.", "Llevas demasiado tiempo solo aquí arriba."),
    ("Forty-one years, and not one ship lost.", "Cuarenta y un años, y ni un barco perdido."),
    ("They want to put a machine in your place.", "Quieren poner una máquina en tu lugar."),
    ("Does the machine make coffee?", "¿La máquina hace café?"),
    ("Not yet.", "Todavía no."),
)  # fmt: skip
"""Lines of the first film, and what its dub says."""

CARD = Gpu(0, "GPU-invented", "NVIDIA GeForce RTX 3060", "00000000:01:00.0", 12288, 7900, 4388)


def house_with_a_card() -> Told:
    """Return what a daemon says whose models run on a GPU."""
    return Told(gpus=(CARD,), engines={"synthesizer": "busy", "translator": "idle"})


def furnish(shop: Shop) -> dict[str, JobRecord]:
    """Fill a shop: videos, two dubs made by the fakes, a job that runs, some that wait.

    Returns:
        Jobs by what they are: done, second, failed, cancelled, running.
    """
    paths = [shop.videos / name for name in FILMS]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        make_talk(path, 3.2 * len(SAID))
        shop.record(path)
    jobs = {"done": shop.enqueue(paths[0], "es", "fr"), "second": shop.enqueue(paths[4], "es")}
    for job in jobs.values():
        shop.run(job)
    _put_words_in(shop, jobs["done"])
    jobs["failed"] = shop.enqueue(paths[9], "de")
    shop.store.jobs.claim_job(jobs["failed"].id, shop.owner.id)
    told = "The language model refused twice: the account has no credit left."
    shop.store.jobs.finish(jobs["failed"].id, JobState.FAILED, told)
    jobs["cancelled"] = shop.store.jobs.cancel(shop.enqueue(paths[8], "it").id)
    jobs["running"] = shop.enqueue(paths[1], "es", "pt")
    _let_run(shop, jobs["running"])
    for number, priority in ((5, Priority.HIGH), (6, Priority.NORMAL), (7, Priority.NORMAL),
                             (2, Priority.NORMAL)):  # fmt: skip
        shop.enqueue(paths[number], "es", priority=priority)
    for path, size_gb in zip(paths, FILMS.values(), strict=True):
        _look_large(shop, path, size_gb)
    return jobs


def _put_words_in(shop: Shop, job: JobRecord) -> None:
    """Let a job's report say something, and one line of it be one to check."""
    result = next(one for one in shop.store.jobs.results(job.id) if one.language == "es")
    assert result.report is not None
    report = json.loads(result.report.read_bytes())
    for line, (source, text) in zip(report["lines"], SAID, strict=True):
        line |= {"source_text": source, "text": text, "wer": 0.0, "heard": text}
    bad = {"outcome": "misspoken", "check": True, "wer": 0.5, "heard": "Entonces la ciudad para"}
    report["lines"][2] |= bad
    report["summary"] |= {"lines_to_check": 1, "wer_median": 0.0}
    result.report.write_text(json.dumps(report))
    state, reason = JobState.DONE_WITH_WARNINGS, "1 of 8 lines was not heard as written."
    shop.store.jobs.set_result(
        job.id, "es", state, reason, report=result.report, summary=json.dumps(report["summary"])
    )
    shop.store.jobs.amend(job.id, state, f"Spanish: {reason}")


def _let_run(shop: Shop, job: JobRecord) -> None:
    """Let a job stand in the middle of its work."""
    shop.store.jobs.claim_job(job.id, shop.owner.id)
    wording = shop.work(job) / "translate.es.json"
    wording.parent.mkdir()
    wording.write_text(json.dumps([{"text": "Sí."}] * 1206))
    shop.store.checkpoints.save_stage(job.id, "translate", "es", "invented", wording, 210.0)
    for index in range(517):
        shop.store.checkpoints.save_line(job.id, "es", index, "invented", "{}")
    shop.store.jobs.progress(job.id, "synthesize es", 0.43, 1260.0)
    shop.store.leases.save([
        lease(1, "synthesizer", "XTTS v2", job.id, "busy", 4200),
        lease(2, "translator", "Gemma 3 12B", job.id, "waiting", 8400),
    ])  # fmt: skip


def lease(number: int, stage: str, model: str, job: int, state: str, mib: int) -> LeaseRecord:
    """Return a lease of the card, or a wish for one."""
    waits = state == "waiting"
    now = datetime.now(UTC)
    return LeaseRecord(
        "me", number, stage, model, job, "" if waits else CARD.uuid, "" if waits else CARD.name,
        mib, 0 if waits else mib - 300, state, "4.1 GiB more must be free" if waits else "", 0,
        now, None if waits else now, None,
    )  # fmt: skip


def _look_large(shop: Shop, path: Path, size_gb: float) -> None:
    known = shop.store.videos.by_path(path)
    assert known is not None
    shop.store.videos.record(
        path, int(size_gb * 1e9), known.mtime_ns, known.fingerprint, known.state
    )
    shop.store.videos.set_audio(known.id, ["pl"] if "Kraków" in path.name else ["en"])
