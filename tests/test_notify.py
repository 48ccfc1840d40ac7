"""Push messages, received by a real HTTP server on this machine."""

from __future__ import annotations

import io
import json
import logging
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from dubarr_watch.errors import SettingsInvalid
from dubarr_watch.notify import Notifier, event_for
from dubarr_watch.notify import test_services as try_services
from dubarr_watch.notify.messages import DIGEST_ENTRIES, JobEnded, compose, worker_lost
from dubarr_watch.settings import NotifyEvent, Settings, load_settings
from dubarr_watch.store import Store
from dubarr_watch.store.records import JobOptions, JobState, NotificationRecord, VideoState
from tests.waiting import eventually

SECRET = "s3cr3t-t0ken"
DEADLINE_S = 20.0

# A library that Apprise loads for OpenPGP still imports a module of old Python versions.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


class Service:
    """A notification service that keeps what it is sent and answers as it is told."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.answers: list[int] = []
        self.released = threading.Event()
        self.released.set()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service.messages.append(json.loads(body))
                service.paths.append(self.path)
                service.released.wait()
                self.send_response(service.answers.pop(0) if service.answers else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                pass  # a client that hung up

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"json://user:{SECRET}@127.0.0.1:{self._server.server_port}/{SECRET}"

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.close()


@pytest.fixture
def other() -> Iterator[Service]:
    made = Service()
    yield made
    made.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "dubarr.db") as opened:
        yield opened


@pytest.fixture
def notifiers() -> Iterator[list[Notifier]]:
    started: list[Notifier] = []
    yield started
    for notifier in started:
        notifier.stop(30)


@pytest.fixture
def start(
    store: Store, notifiers: list[Notifier], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Notifier]:
    def make(url: str = "", delays: tuple[float, ...] = (0.05, 0.05), **more: Any) -> Notifier:
        options = {"notify_urls": url} if url else {}
        notifier = Notifier(settings(**options, **more), store, retry_delays_s=delays)
        notifier.start()
        notifiers.append(notifier)
        return notifier

    return make


def settings(**options: Any) -> Settings:
    return load_settings(**options)


def a_job(
    store: Store, name: str = "Film.mkv", state: JobState | None = None, reason: str = ""
) -> int:
    """Queue a job, or have it end in a state."""
    video = store.videos.record(Path("/videos") / name, 1, 1, name, VideoState.ARRIVED)
    job = store.jobs.enqueue(video.id, ["es", "pl"], JobOptions()).id
    if state is not None:
        store.jobs.claim_job(job, "me")
        store.jobs.finish(job, state, reason)
    return job


def tell(notifier: Notifier, store: Store, job: int, event: str = "done") -> None:
    """Put into the outbox how a job ended."""
    store.notifications.add_pending(job, event)
    notifier.wake()


def ended(job: int, name: str = "Film.mkv", **more: Any) -> JobEnded:
    facts: dict[str, Any] = {
        "event": NotifyEvent.DONE, "languages": ("Spanish", "Polish"), "seconds": 725,
        "within_slot": 0.975, "lines": 400, **more,
    }  # fmt: skip
    return JobEnded(job=job, video_name=name, **facts)


def outcomes(store: Store) -> list[str]:
    return [record.outcome for record in store.notifications.recent()]


def last(store: Store) -> NotificationRecord:
    return store.notifications.recent()[0]


class TestDelivery:
    def test_one_job(self, store: Store, service: Service, start: Callable[..., Notifier]) -> None:
        """One job that ends with an empty queue is told at once, whatever the digest's time."""
        notifier = start(service.url, notify_digest_seconds=86400)
        job = a_job(store, state=JobState.DONE)
        summary = json.dumps({"lines": 400, "within_slot": 0.975})
        store.jobs.set_result(job, "es", JobState.DONE, summary=summary)
        tell(notifier, store, job)
        eventually(lambda: outcomes(store) == ["sent"])
        (message,) = service.messages
        assert message["title"] == "Dubbed: Film.mkv"
        assert message["message"].startswith("Spanish, Polish, took ")
        assert message["message"].endswith(". 97 % of 400 lines within their slot.")
        assert message["type"] == "success"
        assert last(store).detail == "json://…"
        assert last(store).attempts == 1

    def test_failure_then_success(
        self, store: Store, service: Service, start: Callable[..., Notifier]
    ) -> None:
        """A service that fails twice gets the message at the third try, once."""
        service.answers = [500, 503]
        tell(start(service.url), store, a_job(store, state=JobState.DONE))
        eventually(lambda: outcomes(store) == ["sent"])
        assert len(service.messages) == 3
        assert last(store).attempts == 3

    def test_tries_are_bounded(
        self, store: Store, service: Service, start: Callable[..., Notifier]
    ) -> None:
        """After the last try the message counts as failed, with the reason on record."""
        service.answers = [500] * 10
        tell(start(service.url), store, a_job(store, state=JobState.DONE))
        eventually(lambda: outcomes(store) == ["failed"])
        assert len(service.messages) == 3
        assert last(store).detail == "json://… answered with status 500"

    def test_refused_connection(self, store: Store, start: Callable[..., Notifier]) -> None:
        """A service that is not there is recorded as such."""
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            url = f"json://127.0.0.1:{unused.getsockname()[1]}/{SECRET}"
            tell(start(url), store, a_job(store, state=JobState.DONE))
            eventually(lambda: outcomes(store) == ["failed"])
        assert last(store).detail == "json://… could not be reached or refused"

    def test_hanging_service(
        self, store: Store, service: Service, start: Callable[..., Notifier]
    ) -> None:
        """While a service hangs, jobs end as ever; it is told when it answers again."""
        service.released.clear()
        notifier = start(f"{service.url}?rto=0.3&cto=0.3", delays=(0.05,) * 200)
        for number in range(3):
            tell(notifier, store, a_job(store, f"{number}.mkv", state=JobState.DONE))
            assert "sent" not in outcomes(store)
            eventually(lambda: service.messages)
        service.released.set()
        eventually(lambda: outcomes(store) == ["sent"] * 3)

    def test_only_the_failed_service_is_told_again(
        self, store: Store, service: Service, other: Service, start: Callable[..., Notifier]
    ) -> None:
        """Of two services the one that took the message does not hear it twice."""
        service.answers = [500, 500]
        tell(start(f"{service.url} {other.url}"), store, a_job(store, state=JobState.DONE))
        eventually(lambda: outcomes(store) == ["sent"])
        assert (len(service.messages), len(other.messages)) == (3, 1)

    def test_nobody_to_tell(self) -> None:
        """Without a service nothing is put into the outbox."""
        assert event_for(settings(), JobState.DONE) == ""

    @pytest.mark.parametrize(("event", "told"), [("done", False), ("failed", True)])
    def test_only_wanted_events(
        self,
        store: Store,
        service: Service,
        start: Callable[..., Notifier],
        event: str,
        told: bool,
    ) -> None:
        """NOTIFY_ON chooses what is told."""
        tell(
            start(service.url, notify_on="failed"),
            store,
            a_job(store, state=JobState(event)),
            event,
        )
        eventually(lambda: outcomes(store) == ["sent" if told else "unwanted"])
        assert bool(event_for(settings(notify_urls=service.url, notify_on="failed"),
                              JobState(event))) == told  # fmt: skip

    def test_outbox_is_filled_with_the_end(
        self, store: Store, service: Service, start: Callable[..., Notifier]
    ) -> None:
        """A message that the end of the job wrote itself is sent once, and again after a retry."""
        video = store.videos.record(Path("/videos/F.mkv"), 1, 1, "F", VideoState.ARRIVED)
        job = store.jobs.enqueue(video.id, ["es"], JobOptions()).id
        notifier = start(service.url)
        for end in (1, 2):
            store.jobs.claim_job(job, "me")
            store.jobs.finish(job, JobState.FAILED, "No.", events=["failed"])
            notifier.wake()
            eventually(lambda: outcomes(store) == ["sent"] * end)  # noqa: B023 - waited for here
            assert len(service.messages) == end
            store.jobs.retry(job)

    def test_forgotten_job(
        self, store: Store, service: Service, start: Callable[..., Notifier]
    ) -> None:
        """What is in the outbox about a job that nobody knows any more is dropped."""
        store.notifications.add_pending(None, "done")
        start(service.url)
        eventually(lambda: outcomes(store) == ["unwanted"])
        assert service.messages == []

    def test_stop_sends_what_waits(
        self, store: Store, service: Service, start: Callable[..., Notifier]
    ) -> None:
        """A message that waited for a digest is sent when the daemon stops."""
        notifier = start(service.url, notify_digest_seconds=86400)
        a_job(store, "Next.mkv")
        tell(notifier, store, a_job(store, state=JobState.DONE))
        assert outcomes(store) == ["pending"]
        notifier.stop(DEADLINE_S)
        assert outcomes(store) == ["sent"]
        assert len(service.messages) == 1

    def test_error_in_a_round(
        self,
        store: Store,
        service: Service,
        start: Callable[..., Notifier],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A round that fails in an unforeseen way does not end the sending for good."""
        rounds: list[int] = []
        real = store.jobs.counts

        def counts() -> dict[JobState, int]:
            rounds.append(1)
            if len(rounds) == 1:
                raise RuntimeError("unforeseen")
            return real()

        monkeypatch.setattr(store.jobs, "counts", counts)
        tell(start(service.url), store, a_job(store, state=JobState.DONE))
        eventually(lambda: outcomes(store) == ["sent"])


class TestDigest:
    def test_five_jobs(
        self, store: Store, service: Service, start: Callable[..., Notifier]
    ) -> None:
        """Five jobs that end while more are queued share one message."""
        notifier = start(service.url, notify_digest_seconds=86400)
        waiting = a_job(store, "Last.mkv")
        for number in range(5):
            job = a_job(store, f"Film {number}.mkv", state=JobState.DONE)
            tell(notifier, store, job)
        assert service.messages == []
        store.jobs.cancel(waiting)
        eventually(lambda: outcomes(store) == ["sent"] * 5)
        (message,) = service.messages
        assert message["title"] == "5 videos: 5 dubbed"
        for number in range(5):
            assert f"Film {number}.mkv" in message["message"]

    def test_waits_no_longer_than_told(
        self, store: Store, service: Service, start: Callable[..., Notifier]
    ) -> None:
        """With a long queue a message waits NOTIFY_DIGEST_SECONDS and no longer."""
        a_job(store, "Next.mkv")
        notifier = start(service.url, notify_digest_seconds=0.2)
        tell(notifier, store, a_job(store, state=JobState.DONE))
        eventually(lambda: outcomes(store) == ["sent"])

    def test_failed_digest_is_sent_again_as_one(
        self, store: Store, service: Service, start: Callable[..., Notifier]
    ) -> None:
        """A digest that could not be sent is one message again."""
        service.answers = [500]
        notifier = start(service.url, notify_digest_seconds=86400)
        waiting = a_job(store, "Last.mkv")
        for number in range(2):
            tell(notifier, store, a_job(store, f"{number}.mkv", state=JobState.DONE))
        store.jobs.cancel(waiting)
        eventually(lambda: outcomes(store) == ["sent"] * 2)
        assert [message["title"] for message in service.messages] == ["2 videos: 2 dubbed"] * 2

    def test_a_service_that_was_down_for_a_day_gets_one_digest(
        self, store: Store, service: Service, start: Callable[..., Notifier]
    ) -> None:
        """Not a message for each job that ended meanwhile; here 0.2 s stand for an hour."""
        jobs = 24
        service.answers = [503] * 10_000
        notifier = start(service.url, delays=(*[0.01] * 5, *[0.2] * 100), notify_digest_seconds=0)
        for number in range(jobs):
            job = a_job(store, f"{number}.mkv", state=JobState.DONE)
            tell(notifier, store, job)
            eventually(lambda: last(store).attempts > 0)
        service.answers.clear()
        refused = len(service.messages)
        eventually(lambda: outcomes(store) == ["sent"] * 20)  # the newest
        heard = service.messages[refused:]
        assert [message["title"] for message in heard] == [f"{jobs} videos: {jobs} dubbed"]

    def test_when_a_service_is_back_the_digest_does_not_wait(
        self, store: Store, service: Service, start: Callable[..., Notifier]
    ) -> None:
        """The next message that it takes shows that it can be told the rest."""
        service.answers = [503]
        notifier = start(service.url, delays=(3600.0,))
        tell(notifier, store, a_job(store, "One.mkv", state=JobState.DONE))
        eventually(lambda: last(store).attempts == 1)
        tell(notifier, store, a_job(store, "Two.mkv", state=JobState.DONE))
        eventually(lambda: outcomes(store) == ["sent"] * 2)

    def test_what_needs_somebody_comes_first(self) -> None:
        """A digest leads with failures, says what to do, and names only so many films."""
        jobs = [ended(n, f"{n}.mkv") for n in range(DIGEST_ENTRIES + 1)]
        jobs.append(ended(99, "bad.mkv", event=NotifyEvent.FAILED, reason="No.", hint="Do it."))
        message = compose(jobs)
        first, *_, rest = message.body.splitlines()
        assert message.title == f"{len(jobs)} videos: {len(jobs) - 1} dubbed, 1 failed"
        assert first == "Could not dub: bad.mkv (Spanish, Polish, 12 min). No. Do it."
        assert rest == "and 2 more."
        assert message.event is NotifyEvent.FAILED


class TestWording:
    def test_failure_says_what_to_do(self) -> None:
        """A failed job tells why and what the user can do."""
        message = compose([ended(1, event=NotifyEvent.FAILED, within_slot=None, lines=0,
                                 reason="The disk is full.", hint="Free some space.")])  # fmt: skip
        assert message.title == "Could not dub: Film.mkv"
        assert message.body == (
            "Spanish, Polish, took 12 min.\nThe disk is full.\nWhat to do: Free some space."
        )

    def test_a_job_with_some_languages_is_not_called_a_failure_alone(self) -> None:
        """Somebody who reads only the title knows that there is something to hear."""
        message = compose([ended(1, event=NotifyEvent.FAILED, reason="No.", partly=True)])
        assert message.title == "Only partly dubbed: Film.mkv"

    def test_warning_says_what_to_check(self) -> None:
        """A job with warnings asks for a look."""
        message = compose([ended(1, event=NotifyEvent.DONE_WITH_WARNINGS, reason="2 lines cut.")])
        assert message.title == "Dubbed, please check: Film.mkv"
        assert message.body.endswith("\n2 lines cut.")

    @pytest.mark.parametrize(
        ("share", "words"), [(1.0, "100 %"), (0.999, "99 %"), (0.29, "29 %"), (0.0, "0 %")]
    )
    def test_share(self, share: float, words: str) -> None:
        """All lines are said to fit only when all do."""
        assert f" {words} of" in compose([ended(1, within_slot=share)]).body

    @pytest.mark.parametrize(
        ("seconds", "words"),
        [(0, "0 s"), (59.4, "59 s"), (59.5, "1 min"), (3569, "59 min"), (3600, "1 h 00 min")],
    )
    def test_duration(self, seconds: float, words: str) -> None:
        """Durations are told as people say them."""
        assert f"took {words}." in compose([ended(1, seconds=seconds)]).body

    def test_hostile_name(self) -> None:
        """A file name adds no line, no control character and wakes nobody."""
        name = "a\nb\x1b[31m @everyone caf\udce9 " + "x" * 500 + " S01E02.mkv"
        message = compose([ended(1, name)])
        assert message.title.isprintable() or "\u2060" in message.title
        assert "\n" not in message.title
        assert "@everyone" not in message.title
        assert message.title.endswith("S01E02.mkv")
        assert len(message.title) < 130

    @pytest.mark.parametrize("form", ["html", "markdown", "text"])
    def test_no_markup(
        self, store: Store, service: Service, start: Callable[..., Notifier], form: str
    ) -> None:
        """A service that shows markup does not show a file name's own."""
        name = "<b>x</b> <script> [l](http://a.example) *b*.mkv"
        notifier = start(f"{service.url}?format={form}")
        tell(notifier, store, a_job(store, state=JobState.FAILED, reason=name), "failed")
        eventually(lambda: outcomes(store) == ["sent"])
        body = service.messages[0]["message"]
        if form == "html":
            assert "<script>" not in body
            assert "&lt;script&gt;" in body
        elif form == "markdown":
            assert "[l](http" not in body
        else:
            assert name in body


@pytest.fixture
def root_log() -> Iterator[io.StringIO]:
    """Everything that reaches the root logger; pytest's own capture sits on silenced ones too."""
    root, level = logging.getLogger(), logging.getLogger().level
    handler = logging.StreamHandler(io.StringIO())
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler.stream
    root.removeHandler(handler)
    root.setLevel(level)


class TestSecrets:
    def test_never_logged(
        self,
        store: Store,
        service: Service,
        start: Callable[..., Notifier],
        capfd: pytest.CaptureFixture[str],
        root_log: io.StringIO,
    ) -> None:
        """No address gets into any log, the record or an error, whatever goes wrong."""
        service.answers = [500]
        with capture_logs() as logs, socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            dead = f"json://127.0.0.1:{unused.getsockname()[1]}/{SECRET}?+Token={SECRET}"
            notifier = start(f"{service.url} {dead}", delays=(0.05,))
            tell(notifier, store, a_job(store, state=JobState.DONE))
            eventually(lambda: outcomes(store) == ["failed"])
            tested = notifier.test()
            with pytest.raises(SettingsInvalid) as caught:
                try_services(settings(notify_urls=f"nosuch://{SECRET}"))
        assert len(service.messages) >= 2
        everything = [
            *map(str, logs), root_log.getvalue(), *capfd.readouterr(), str(caught.value),
            str(store.notifications.recent()), *(one.detail + one.service for one in tested),
        ]  # fmt: skip
        for text in everything:
            assert SECRET not in text
            assert "127.0.0.1" not in text
        assert logs

    def test_outcome_names_scheme_only(self, service: Service) -> None:
        """A test of the services says how each took it."""
        service.answers = [403]
        (outcome,) = try_services(settings(notify_urls=service.url))
        assert (outcome.service, outcome.ok) == ("json://…", False)
        assert outcome.detail == "answered with status 403"
        (outcome,) = try_services(settings(notify_urls=service.url))
        assert (outcome.ok, outcome.detail) == (True, "")
        assert try_services(settings()) == []


class TestSettings:
    def test_bad_address(self, store: Store) -> None:
        """An address that Apprise does not understand is named by its place, at start."""
        with pytest.raises(SettingsInvalid, match=r"address 2 \(nosuch"):
            Notifier(settings(notify_urls="json://localhost nosuch://x"), store)

    def test_no_address(self, store: Store) -> None:
        """A value without any address is refused."""
        with pytest.raises(SettingsInvalid, match="NOTIFY_URLS"):
            Notifier(settings(notify_urls="what?"), store)

    def test_missing_file(self, store: Store, tmp_path: Path) -> None:
        """A configuration file that is not there is a clear error."""
        with pytest.raises(SettingsInvalid, match=r"NOTIFY_CONFIG.*No such file") as caught:
            Notifier(settings(notify_config=tmp_path / "none.yml"), store)
        assert caught.value.hint

    @pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"", b"nothing here", b"urls:\n - x\n"])
    def test_bad_file(self, store: Store, tmp_path: Path, content: bytes) -> None:
        """A file that names no service is a clear error."""
        path = tmp_path / "apprise.yml"
        path.write_bytes(content)
        with pytest.raises(SettingsInvalid, match="NOTIFY_CONFIG"):
            Notifier(settings(notify_config=path), store)

    def test_folder_as_file(self, store: Store, tmp_path: Path) -> None:
        """A folder is no configuration file."""
        with pytest.raises(SettingsInvalid, match="NOTIFY_CONFIG"):
            Notifier(settings(notify_config=tmp_path), store)

    def test_tags(self, tmp_path: Path, service: Service, other: Service) -> None:
        """Tags choose among the services of the file; a comma means or."""
        path = tmp_path / "apprise conf?.txt"
        path.write_text(f"phone={service.url}\ntv,kids={other.url}\n")
        for tags, counts in (
            ("phone", (1, 0)),
            ("kids", (1, 1)),
            ("phone, tv", (2, 2)),
            ("", (3, 3)),
        ):
            try_services(settings(notify_config=path, notify_tags=tags))
            assert (len(service.messages), len(other.messages)) == counts

    def test_tags_and_addresses(self, tmp_path: Path, service: Service, other: Service) -> None:
        """An address given directly is told whatever the tags say."""
        path = tmp_path / "apprise.txt"
        path.write_text(f"phone={service.url}\n")
        options = {"notify_config": path, "notify_urls": other.url}
        with pytest.raises(SettingsInvalid, match="NOTIFY_TAGS"):
            try_services(settings(notify_config=path, notify_tags="typo"))
        try_services(settings(**options, notify_tags="phone"))
        assert (len(service.messages), len(other.messages)) == (1, 1)

    @pytest.mark.parametrize("separator", [" ", ",", ", ", "\n"])
    def test_separators(self, service: Service, other: Service, separator: str) -> None:
        """Addresses are separated by spaces, commas or lines."""
        found = try_services(settings(notify_urls=separator.join([service.url, other.url])))
        assert [one.ok for one in found] == [True, True]


class TestCrash:
    def test_between_end_and_message(
        self, store: Store, service: Service, start: Callable[..., Notifier], tmp_path: Path
    ) -> None:
        """A process killed after its job ended and before it was told: the next one tells it."""
        a_job(store)
        script = (
            "import os, signal, sys\n"
            "from pathlib import Path\n"
            "from dubarr_watch.store import Store\n"
            "from dubarr_watch.store.records import JobState\n"
            "store = Store.open(Path(sys.argv[1]))\n"
            "job = store.jobs.claim('me')\n"
            "store.jobs.set_result(job.id, 'es', JobState.DONE,"
            ' summary=\'{"lines": 10, "within_slot": 0.9}\')\n'
            "store.jobs.finish(job.id, JobState.DONE_WITH_WARNINGS, '1 line cut.',"
            " events=['done_with_warnings'])\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "dubarr.db")],
            check=False,
            cwd=Path(__file__).parents[1],
        )
        assert done.returncode == -signal.SIGKILL
        start(service.url)
        eventually(lambda: outcomes(store) == ["sent"])
        (message,) = service.messages
        assert message["title"] == "Dubbed, please check: Film.mkv"
        assert "90 % of 10 lines" in message["message"]
        assert "1 line cut." in message["message"]

    def test_tries_are_counted_over_restarts(
        self, store: Store, service: Service, start: Callable[..., Notifier]
    ) -> None:
        """A new process goes on with the tries where the old one was."""
        job = a_job(store, state=JobState.DONE)
        record = store.notifications.add_pending(job, "done")
        store.notifications.settle([record.id], "pending", "json://… failed", 2)
        service.answers = [500]
        start(service.url)
        eventually(lambda: outcomes(store) == ["failed"])
        assert len(service.messages) == 1

    def test_waits_between_tries(
        self, store: Store, service: Service, start: Callable[..., Notifier]
    ) -> None:
        """A try that is not due yet is left alone, while a new message is tried."""
        service.answers = [503]
        first = store.notifications.add_pending(a_job(store, state=JobState.DONE), "done")
        store.notifications.settle([first.id], "pending", "", 1)
        notifier = start(service.url, delays=(3600.0,))
        tell(notifier, store, a_job(store, "New.mkv", state=JobState.DONE))
        eventually(lambda: [r.attempts for r in store.notifications.pending()] == [1, 1])
        assert len(service.messages) == 1

    def test_clock_set_back(
        self,
        store: Store,
        service: Service,
        start: Callable[..., Notifier],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A message from the future is sent at once, not when the future comes."""
        first = store.notifications.add_pending(a_job(store, state=JobState.DONE), "done")
        monkeypatch.setattr(
            "dubarr_watch.store.notifications.utc_now",
            lambda: datetime.now(UTC) + timedelta(days=365),
        )
        store.notifications.settle([first.id], "pending", "", 1)
        monkeypatch.undo()
        start(service.url, delays=(3600.0,))
        eventually(lambda: outcomes(store) == ["sent"])


class TestLostWorkers:
    def test_those_that_are_lost_together_make_one_message_about_no_job(
        self, start: Callable[..., Notifier], service: Service, store: Store, tmp_path: Path
    ) -> None:
        a_job(store)  # somebody is waited for, so that messages are held together
        notifier = start(service.url, notify_digest_seconds=1)
        notifier.worker_lost("attic")
        notifier.worker_lost("cellar")
        eventually(lambda: service.messages)
        [message] = service.messages
        assert message["title"] == "Lost a worker: attic, cellar"
        assert "done again by others" in message["message"]
        assert message["type"] == "warning"

    def test_nobody_is_told_who_does_not_want_to_be(
        self, start: Callable[..., Notifier], service: Service, store: Store
    ) -> None:
        start(service.url, notify_on="done").worker_lost("attic")
        assert store.notifications.pending() == []

    def test_a_digest_counts_no_worker_as_a_video(self) -> None:
        done = JobEnded(1, NotifyEvent.DONE, "Film.mkv", ("Spanish",), 60.0)
        message = compose([done, done, worker_lost(["attic"])])
        assert message.title == "2 videos: 2 dubbed, a worker lost"
        assert message.body.startswith("Lost a worker: attic.")
