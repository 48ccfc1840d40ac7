"""`dubarr-watch status` on real databases."""

from __future__ import annotations

import fcntl
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dubarr_watch.store import Store
from dubarr_watch.store.fields import utc_now
from dubarr_watch.store.leases import LeaseRecord
from dubarr_watch.store.owners import Owner
from dubarr_watch.store.records import (
    JobOptions,
    JobRecord,
    JobState,
    Priority,
    VideoState,
)
from dubarr_watch.store.turns import TurnRecord
from tests.cli.conftest import Call, Home

HOSTILE = "[bold]Fil\udcffm[red] :warning: \n\x1b[31m \\.mkv"
STATES = {state.value for state in JobState}


def a_job(store: Store, folder: Path, name: str = "Film.mkv", *languages: str) -> JobRecord:
    video = store.videos.record(folder / name, 10, 1, f"content of {name}", VideoState.ARRIVED)
    return store.jobs.enqueue(video.id, languages or ("es",), JobOptions())


def test_before_the_first_start_it_says_what_to_do(call: Call, home: Home) -> None:
    """No database, no folder: no error, and none is made."""
    said = call("status")
    assert said.exit_code == 0
    assert f"Drop a video into {home.videos}" in said.stdout
    assert "dubarr-watch dub FILE --lang pl" in said.stdout
    assert "No daemon is running" in said.stdout
    assert not home.config.exists()


def test_the_document_has_every_name_before_the_first_start(call: Call, home: Home) -> None:
    """A reader of the JSON needs no special case for an empty library."""
    document = call("status", "--json").document
    assert document == {
        "daemon": {"running": False},
        "folders": {"videos": str(home.videos), "config": str(home.config)},
        "target_langs": ["pl"],
        "counts": dict.fromkeys(STATES, 0),
        "running": [],
        "queue": [],
        "recent": [],
        "leases": [],
        "cpu": [],
        "notifications": {"pending": 0, "failing": []},
        "servers": [],
    }


def test_a_running_job_is_told_with_stage_percent_and_time_left(
    call: Call, home: Home, store: Store
) -> None:
    """Both for people and as JSON."""
    with Owner.acquire(home.config) as owner:
        job = a_job(store, home.videos, "Film.mkv", "es", "fr")
        store.jobs.claim_job(job.id, owner.id)
        store.jobs.progress(job.id, "synthesize es", 0.42, 190.0)
        text = call("status").stdout
        (running,) = call("status", "--json").document["running"]
    assert "Film.mkv  into Spanish, French" in text
    assert "42%  synthesize es  about 3 min left" in text
    assert running["video"] == str(home.videos / "Film.mkv")
    assert (running["stage"], running["progress"], running["eta_s"]) == ("synthesize es", 0.42, 190)
    assert running["interrupted"] is False


def test_a_job_whose_process_died_is_not_called_running(
    call: Call, home: Home, store: Store
) -> None:
    """It goes on when the daemon starts, and status says so."""
    with Owner.acquire(home.config) as owner:
        store.jobs.claim_job(a_job(store, home.videos).id, owner.id)
    assert "interrupted" in call("status").stdout
    assert call("status", "--json").document["running"][0]["interrupted"] is True


def test_the_queue_stands_in_the_order_of_its_start(call: Call, home: Home, store: Store) -> None:
    """High priority first; what waits says why."""
    first = a_job(store, home.videos, "First.mkv")
    video = store.videos.record(home.videos / "Late.mkv", 1, 1, "late", VideoState.ARRIVED)
    urgent = store.jobs.enqueue(video.id, ("es",), JobOptions(priority=Priority.HIGH))
    other = store.videos.record(home.videos / "Copying.mkv", 1, 1, "copying", VideoState.ARRIVED)
    store.jobs.enqueue(
        other.id, ("es",), JobOptions(), state=JobState.WAITING, reason="is still being copied"
    )
    queue = call("status", "--json").document["queue"]
    assert [job["job"] for job in queue[:2]] == [urgent.id, first.id]
    assert (queue[2]["state"], queue[2]["reason"]) == ("waiting", "is still being copied")
    text = call("status").stdout
    assert text.index("Late.mkv") < text.index("First.mkv") < text.index("Copying.mkv")
    assert "is still being copied" in text
    assert "Queued jobs wait for the daemon: dubarr-watch run" in text


@pytest.mark.parametrize(("count", "more"), [(10, ""), (11, "and 1 more")])
def test_a_long_queue_is_cut_for_people(
    call: Call, home: Home, store: Store, count: int, more: str
) -> None:
    """Ten are shown and the rest counted; JSON has them all."""
    for number in range(count):
        a_job(store, home.videos, f"Film {number}.mkv")
    text = call("status").stdout
    assert text.count("Film ") == 10
    assert more in text
    assert ("more" in text) == bool(more)
    assert len(call("status", "--json").document["queue"]) == count


def test_results_tell_languages_shares_and_reasons(call: Call, home: Home, store: Store) -> None:
    """Newest first, with tracks and reports in the JSON."""
    with Owner.acquire(home.config) as owner:
        good, bad = a_job(store, home.videos, "Good.mkv"), a_job(store, home.videos, "Bad.mkv")
        store.jobs.claim_job(good.id, owner.id)
        report = home.config / "reports" / f"{good.id}.es.json"
        summary = json.dumps({"lines": 40, "within_slot": 0.975})
        store.jobs.set_result(good.id, "es", JobState.DONE, report=report, summary=summary)
        store.jobs.add_track(good.id, "es", home.videos / "Good.Dubarr.es.mka", "sidecar")
        store.jobs.finish(good.id, JobState.DONE)
        store.jobs.claim_job(bad.id, owner.id)
        store.jobs.finish(bad.id, JobState.FAILED, "The disk is full.")
    text = call("status").stdout
    assert "Spanish: 98% of lines within their slot" in text
    assert "The disk is full." in text
    assert text.index("Bad.mkv") < text.index("Good.mkv")
    document = call("status", "--json").document
    failed, done = document["recent"]
    assert (failed["state"], failed["reason"]) == ("failed", "The disk is full.")
    assert done["results"] == [
        {"language": "es", "state": "done", "reason": "", "within_slot": 0.975,
         "report": str(report)},
    ]  # fmt: skip
    assert done["tracks"][0]["path"] == str(home.videos / "Good.Dubarr.es.mka")
    assert document["counts"]["done"] == document["counts"]["failed"] == 1


def test_a_track_without_lines_has_no_share(call: Call, home: Home, store: Store) -> None:
    """Silence is not 0 % within its slot, nor 100 %."""
    with Owner.acquire(home.config) as owner:
        job = a_job(store, home.videos)
        store.jobs.claim_job(job.id, owner.id)
        summary = json.dumps({"lines": 0, "within_slot": 1.0})
        store.jobs.set_result(job.id, "es", JobState.DONE, "no speech found", summary=summary)
        store.jobs.finish(job.id, JobState.DONE, "no speech found")
    (done,) = call("status", "--json").document["recent"]
    assert done["results"][0]["within_slot"] is None
    assert "within their slot" not in call("status").stdout


def test_a_daemon_is_seen_by_the_lock_that_it_holds(call: Call, home: Home) -> None:
    """Neither a file without a lock nor a missing one is a daemon."""
    lock = home.config / "run" / "daemon.lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as held:
        assert call("status", "--json").document["daemon"] == {"running": False}
        fcntl.flock(held, fcntl.LOCK_EX)
        assert call("status", "--json").document["daemon"] == {"running": True}
        assert f"The daemon is running and watches {home.videos}" in call("status").stdout
    assert call("status", "--json").document["daemon"] == {"running": False}


def test_failing_messages_are_told_until_one_goes_out(call: Call, home: Home, store: Store) -> None:
    """One that waits for its first try is no failure."""
    store.notifications.add_pending(None, "digest")
    assert call("status", "--json").document["notifications"] == {"pending": 1, "failing": []}
    store.notifications.record(None, "failed", "failed", "the service answered 500", 5)
    failing = call("status", "--json").document["notifications"]["failing"]
    assert [one["detail"] for one in failing] == ["the service answered 500"]
    assert "Push messages do not go out" in call("status").stdout
    store.notifications.record(None, "done", "sent", "", 1)
    assert call("status", "--json").document["notifications"]["failing"] == []


def test_a_server_that_was_not_told_is_named_until_it_is(call: Call, store: Store) -> None:
    """Each server for itself; that a film is none of its is no failure."""
    store.notifications.record(None, "look:plex", "pending", "Plex does not answer.", 1)
    store.notifications.record(None, "look:jellyfin", "sent", "", 1)
    store.notifications.record(None, "look:sonarr", "unwanted", "Sonarr has nothing there.", 1)
    (server,) = call("status", "--json").document["servers"]
    assert (server["event"], server["detail"]) == ("look:plex", "Plex does not answer.")
    assert "Plex does not answer." in call("status").stdout
    assert call("status", "--json").document["notifications"] == {"pending": 0, "failing": []}
    store.notifications.record(None, "look:plex", "sent", "", 2)
    assert call("status", "--json").document["servers"] == []


def test_a_hostile_file_name_stays_a_name(call: Call, home: Home, store: Store) -> None:
    """No markup, no emoji, no control character, no broken encoder."""
    a_job(store, home.videos, HOSTILE)
    said = call("status")
    assert "[bold]Fil\\xffm[red] :warning: \\n\\x1b[31m \\.mkv" in said.stdout
    assert "\x1b" not in said.stdout
    (queued,) = call("status", "--json").document["queue"]
    assert queued["video"].endswith("[bold]Fil\\xffm[red] :warning: \\n\\x1b[31m \\.mkv")


def test_what_others_wrote_cannot_forge_lines(call: Call, home: Home, store: Store) -> None:
    """A reason may quote anything, ffmpeg's words for instance."""
    job = a_job(store, home.videos)
    store.jobs.finish(job.id, JobState.FAILED, "it said:\n[red]  Queue\x1b[2J")
    text = call("status").stdout
    assert "it said: [red] Queue\\x1b[2J" in text


def test_an_error_is_the_only_document(call: Call, home: Home) -> None:
    """With --json it is on standard output, with the exit code that it always has."""
    home.config.mkdir()
    home.database.write_bytes(b"this is no database at all " * 1000)
    said = call("status", "--json")
    assert said.exit_code == 1
    assert said.document == {
        "error": "The database is damaged.",
        "hint": said.document["hint"],
        "path": str(home.database),
    }
    plain = call("status")
    assert plain.exit_code == 1
    assert plain.stdout == ""
    assert "The database is damaged." in plain.stderr


def test_bad_settings_are_an_error_document_too(
    call: Call, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong, who reads JSON gets JSON."""
    monkeypatch.setenv("TARGET_LANGS", "klingonisch")
    said = call("status", "--json")
    assert said.exit_code == 2
    assert "TARGET_LANGS" in said.document["error"]


def test_watching_needs_a_terminal(call: Call, home: Home) -> None:
    """In a pipe it would never end."""
    assert call("status", "--watch").exit_code == 2
    assert call("status", "--watch", "--json").exit_code == 2


def test_looking_changes_nothing(call: Call, home: Home, store: Store) -> None:
    """Not even the state of a job whose process died."""
    with Owner.acquire(home.config) as owner:
        job = a_job(store, home.videos)
        store.jobs.claim_job(job.id, owner.id)
    call("status")
    assert store.jobs.get(job.id).state is JobState.RUNNING


def a_lease(owner: str, number: int, state: str, **more: Any) -> LeaseRecord:
    known = LeaseRecord(
        owner, number, "translator", "gemma-3-12b", 7, "GPU-1", "RTX 3090", 10_000, 9500, state,
        "", 4711, utc_now(), None, None,
    )  # fmt: skip
    return replace(known, **more)


def test_who_computes_on_the_cpu_and_who_waits_is_shown(
    call: Call, home: Home, store: Store
) -> None:
    """The dead do neither."""
    with Owner.acquire(home.config) as owner:
        now = utc_now()
        store.turns.save(
            owner.id,
            [TurnRecord("synthesizer", 8, False, now), TurnRecord("translator", 7, True, now)],
        )
        store.turns.save("1-gone", [TurnRecord("diarizer", 1, True, now)])
        text = call("status").stdout
        cpu = call("status", "--json").document["cpu"]
    assert "7  translator  computing" in text
    assert "8  synthesizer  waiting for its turn" in text
    assert [(one["stage"], one["state"], one["job"]) for one in cpu] == [
        ("translator", "computing", 7),
        ("synthesizer", "waiting", 8),
    ]


def test_leases_of_living_daemons_are_shown(call: Call, home: Home, store: Store) -> None:
    """Who holds how much of which card, and what the others wait for; the dead hold nothing."""
    with Owner.acquire(home.config) as owner:
        waits = "waits for 4000 MiB of RTX 3090; free: 500 MiB; leased: translator 10000 MiB"
        store.leases.save(
            [
                a_lease(owner.id, 1, "busy", granted_at=utc_now()),
                a_lease(owner.id, 2, "waiting", stage="synthesizer", mib=4000, why=waits),
                a_lease(owner.id, 3, "ended", stage="transcriber"),
                a_lease("1-gone", 1, "busy", stage="separator"),
            ]
        )
        text = call("status").stdout
        leases = call("status", "--json").document["leases"]
    assert "translator (gemma-3-12b)  10000 MiB of RTX 3090, 9500 used at most  busy" in text
    assert "synthesizer (gemma-3-12b)  waiting" in text
    assert "leased: translator 10000 MiB" in " ".join(text.split())
    assert [(one["stage"], one["state"], one["job"]) for one in leases] == [
        ("translator", "busy", 7),
        ("synthesizer", "waiting", 7),
    ]
