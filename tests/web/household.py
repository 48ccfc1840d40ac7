"""A library as a household has it, with invented films: what the page is looked at with."""

from __future__ import annotations

from pathlib import Path

from dubarr_watch.store.records import JobRecord, JobState, Priority
from tests.composing import Shop, make_talk

FILMS = (
    "Films/The Lighthouse Keeper (2019)/The Lighthouse Keeper (2019).mkv",
    "Films/A Winter in Kraków (2021)/A Winter in Kraków (2021) 2160p.mkv",
    "Films/Ferry Across the Strait (2016)/Ferry Across the Strait (2016).mkv",
    "Films/Unnamed Road (2023)/Unnamed Road (2023) 1080p WEB-DL.mkv",
    "Series/Harbour Watch/Season 01/Harbour Watch S01E01.mkv",
    "Series/Harbour Watch/Season 01/Harbour Watch S01E02.mkv",
    "Series/Harbour Watch/Season 01/Harbour Watch S01E03.mkv",
    "Series/Harbour Watch/Season 01/Harbour Watch S01E04.mkv",
    "Series/The Slow Kitchen/The Slow Kitchen S02E05 Bread.mkv",
    "Home/Grandmother's 90th birthday.mp4",
)


def furnish(shop: Shop) -> dict[str, JobRecord]:
    """Fill a shop: videos, two dubs made by the fakes, a job that runs, some that wait.

    Returns:
        Jobs by what they are: done, failed, running, and queued ones by number.
    """
    paths = [shop.videos / name for name in FILMS]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        make_talk(path, 24.0)
        shop.record(path)
    jobs = {"done": shop.enqueue(paths[0], "es", "fr"), "second": shop.enqueue(paths[4], "es")}
    for job in list(jobs.values()):
        shop.run(job)
    failed = shop.enqueue(paths[9], "de")
    shop.store.jobs.claim_job(failed.id, shop.owner.id)
    told = "The language model refused twice: the account has no credit left."
    shop.store.jobs.finish(failed.id, JobState.FAILED, told)
    cancelled = shop.enqueue(paths[8], "it")
    shop.store.jobs.cancel(cancelled.id)
    jobs |= {"failed": failed, "cancelled": cancelled}
    running = shop.enqueue(paths[1], "es", "pt")
    shop.store.jobs.claim_job(running.id, shop.owner.id)
    shop.store.jobs.progress(running.id, "synthesize es", 0.43, 1260.0)
    jobs["running"] = running
    for number, name in enumerate((5, 6, 7, 2)):
        options = {"priority": Priority.HIGH} if not number else {}
        jobs[f"queued {number}"] = shop.enqueue(paths[name], "es", **options)
    return jobs


def video(shop: Shop, number: int) -> Path:
    """Return the path of a film."""
    return shop.videos / FILMS[number]
