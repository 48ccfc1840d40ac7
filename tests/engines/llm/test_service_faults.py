"""What happens when the service refuses, fails, or answers badly; over real sockets."""

from __future__ import annotations

import email.utils
import threading
import time
from collections.abc import Mapping
from typing import Any

import openai
import pytest

from dubarr_watch.engines.context import EngineContext
from dubarr_watch.engines.llm.chat import Patience
from dubarr_watch.engines.llm.refusals import retry_after_s
from dubarr_watch.engines.texts import ShortenRequest
from dubarr_watch.errors import (
    DubarrError,
    EngineError,
    JobCancelled,
    KeyMissing,
    ModelMissing,
    ServiceBusy,
    UserMustProvide,
    worth_another_try,
)
from tests.engines.llm.conftest import Ask
from tests.engines.llm.samples import LINES, request
from tests.services import openai_server as service
from tests.services.openai_server import OpenAIServer, Reply, backwards


@pytest.mark.parametrize(
    "fault",
    [
        service.rate_limited(),
        service.rate_limited(retry_after="0.05"),
        service.rate_limited(retry_after_ms="40"),
        service.broken(500),
        service.broken(503),
        service.broken(529),
        Reply(408, {"message": "timed out"}),
        Reply(cut_body=20),
        Reply(body="<html>Bad gateway</html>"),
        Reply(body='{"error": {"message": "upstream failed"}}'),
    ],
    ids=["429", "429-after", "429-ms", "500", "503", "529", "408", "cut", "html", "no-choices"],
)
def test_what_passes_is_waited_for(asking: Ask, fault: Reply) -> None:
    """A refusal for now and a fault cost a retry each, and no line."""
    translator, server = asking(fault, fault)
    assert len(translator.translate(request(*LINES))) == 4
    assert len(server.asked) == 3
    assert translator.usage().retries == 2
    assert translator.usage().requests == 1


def test_a_service_is_given_the_time_that_it_asks_for(asking: Ask) -> None:
    """Nobody asks again before the time in Retry-After."""
    times: list[float] = []

    def noted(data: Mapping[str, Any]) -> object:
        times.append(time.monotonic())
        return service.good(data)

    server = OpenAIServer(service.rate_limited(retry_after="0.6"), answer=noted)
    translator, _ = asking(server=server)
    began = time.monotonic()
    translator.translate(request(*LINES))
    assert times[0] - began >= 0.6


def test_a_limit_that_one_request_meets_holds_for_all(asking: Ask) -> None:
    """While a service has asked to wait, no other request goes out either."""
    times: list[float] = []

    def noted(data: Mapping[str, Any]) -> object:
        times.append(time.monotonic())
        return service.good(data)

    server = OpenAIServer(service.rate_limited(retry_after="1"), answer=noted)
    translator, _ = asking(server=server, slots=2)
    began = time.monotonic()
    refused = threading.Thread(target=translator.translate, args=(request(LINES[0]),))
    refused.start()
    deadline = time.monotonic() + 20
    while not translator.usage().retries and time.monotonic() < deadline:
        time.sleep(0.01)
    translator.translate(request(LINES[1]))
    refused.join()
    assert len(times) == 2
    assert min(times) - began >= 1


def test_a_service_that_never_recovers_is_busy(asking: Ask) -> None:
    """Attempts are bounded; the job may be tried again later, and the user hears what to do."""
    translator, server = asking(*[service.broken()] * 9)
    with pytest.raises(ServiceBusy, match="4 attempts: it failed with status 500") as raised:
        translator.translate(request(LINES[0]))
    assert len(server.asked) == 4
    assert raised.value.hint
    assert worth_another_try(raised.value)


def test_a_wait_longer_than_anyone_has_patience_is_refused_at_once(asking: Ask) -> None:
    """A service that wants an hour is not waited for in the job."""
    translator, server = asking(service.rate_limited(retry_after="3600"))
    with pytest.raises(ServiceBusy, match="3600 s"):
        translator.translate(request(LINES[0]))
    assert len(server.asked) == 1


def test_a_server_that_is_not_there_is_busy(asking: Ask) -> None:
    """A refused connection is a fault like others."""
    translator, _ = asking(base_url="http://127.0.0.1:9/v1")
    with pytest.raises(ServiceBusy, match="cannot be reached"):
        translator.translate(request(LINES[0]))


def test_a_slow_answer_is_asked_for_again(asking: Ask) -> None:
    """An answer that takes longer than the stall limit counts as a fault."""
    held = threading.Event()
    context = EngineContext(kind="translator", stall_s=0.3)
    translator, server = asking(Reply(after=held), context=context)
    try:
        assert len(translator.translate(request(LINES[0]))) == 1
    finally:
        held.set()
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("fault", "kind", "names"),
    [
        (service.no_credit(), UserMustProvide, "credit"),
        (Reply(402, {"message": "Payment required"}), UserMustProvide, "credit"),
        (Reply(403, {"message": "no access"}), UserMustProvide, "LLM_MODEL"),
        (Reply(401, {"message": "bad key"}), KeyMissing, "OPENAI_API_KEY"),
        (Reply(404, {"message": "no such model"}), ModelMissing, "LLM_MODEL"),
        (Reply(400, {"message": "something else"}), EngineError, "something else"),
    ],
)
def test_what_only_the_user_can_mend_is_said_at_once(
    asking: Ask, fault: Reply, kind: type[DubarrError], names: str
) -> None:
    """No retries; the message or its hint names what to do."""
    translator, server = asking(*[fault] * 5)
    with pytest.raises(kind, match=names):
        translator.translate(request(LINES[0]))
    assert len(server.asked) == 1


def test_a_wrong_key_is_refused_by_the_service(asking: Ask) -> None:
    """The key travels as it was given, and its refusal ends with the user's exit code."""
    translator, server = asking(api_key="sk-other")
    with pytest.raises(KeyMissing) as raised:
        translator.translate(request(LINES[0]))
    assert server.asked[0].key == "sk-other"
    assert "sk-" not in str(raised.value)


def test_without_a_key_nothing_is_asked(asking: Ask) -> None:
    """The message names the setting and the way around it."""
    with pytest.raises(KeyMissing, match="LLM_BACKEND=local"):
        asking(api_key="")


def test_cancelling_does_not_wait_for_the_service(asking: Ask) -> None:
    """A cancelled job leaves a call that waits between two attempts."""
    gone = threading.Event()
    translator, server = asking(
        *[service.rate_limited(retry_after="60")] * 3,
        context=EngineContext(kind="translator", cancelled=gone.is_set),
        patience=Patience(longest_wait_s=120),
    )
    failed: list[BaseException] = []

    def run() -> None:
        try:
            translator.translate(request(*LINES))
        except JobCancelled as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.asked and time.monotonic() < deadline:
        time.sleep(0.01)
    gone.set()
    thread.join(20)
    assert failed
    assert not thread.is_alive()


def test_cancelling_does_not_wait_for_an_answer(asking: Ask) -> None:
    """A cancelled job leaves a call whose answer has not come."""
    gone, held = threading.Event(), threading.Event()
    translator, server = asking(
        Reply(after=held), context=EngineContext(kind="translator", cancelled=gone.is_set)
    )

    def cancel() -> None:
        server.wait_for(1)
        gone.set()

    threading.Thread(target=cancel).start()
    try:
        with pytest.raises(JobCancelled):
            translator.translate(request(*LINES))
    finally:
        held.set()


def test_what_a_service_does_not_know_is_left_out(asking: Ask) -> None:
    """Options that some models refuse are replaced, once for all requests."""
    translator, server = asking(
        service.unsupported("max_tokens"),
        service.unsupported("temperature"),
        service.unsupported("response_format", "json_schema is not supported"),
        service.unsupported("response_format"),
    )
    assert len(translator.translate(request(*LINES))) == 4
    assert len(translator.translate(request(*LINES))) == 4
    assert len(server.asked) == 6
    for asked in server.asked[4:]:
        assert not {"max_tokens", "temperature", "response_format"} & asked.body.keys()
        assert asked.body["max_completion_tokens"] > 1000
    assert translator.usage().retries == 0


def test_an_option_that_nothing_replaces_is_an_error(asking: Ask) -> None:
    """It does not go round and round."""
    translator, server = asking(*[service.unsupported("max_tokens")] * 9)
    with pytest.raises(EngineError, match="max_tokens"):
        translator.translate(request(LINES[0]))
    assert len(server.asked) == 2


def test_what_is_longer_than_the_context_is_asked_in_parts(asking: Ask) -> None:
    """A request that is too long is halved, down to single texts."""
    translator, server = asking(service.too_long(), service.too_long())
    assert len(translator.translate(request(*LINES))) == 4
    assert [len(asked.texts) for asked in server.asked] == [4, 2, 1, 1, 2]


def test_an_answer_that_llama_cpp_calls_cut_off_is_asked_for_in_parts(asking: Ask) -> None:
    """It says so as an error of its own, as often as the same is asked."""
    said = "The model produced output that does not match the expected peg-native format"
    translator, server = asking(Reply(500, {"message": said, "code": 500}))
    assert len(translator.translate(request(*LINES))) == 4
    assert [len(asked.texts) for asked in server.asked] == [4, 2, 2]


@pytest.mark.parametrize(
    "bad",
    [
        service.half(),
        service.half(0.0),
        service.wrong_ids(),
        service.extra_keys(),
        Reply(refusal="I cannot help with that."),
        Reply(finish="content_filter", wrap=lambda text: ""),
        service.answers(lambda data: "I'm sorry, but I can't assist with that."),
        service.answers(lambda data: ["no", "object"]),
    ],
    ids=["half", "empty", "ids", "keys", "refusal", "filter", "prose", "list"],
)
def test_an_answer_that_does_not_fit_is_asked_again_in_halves(asking: Ask, bad: Reply) -> None:
    """No line is lost, and none gets its neighbour's words."""
    translator, server = asking(bad)
    found = translator.translate(request(*LINES))
    assert found == {10 + n: backwards(line) for n, line in enumerate(LINES)}
    assert [len(asked.texts) for asked in server.asked] == [4, 2, 2]


def test_a_single_text_is_asked_once_more_without_its_context(asking: Ask) -> None:
    """The likeliest answer was refused, so another one is asked for."""
    translator, server = asking(service.wrong_ids())
    assert translator.translate(request(LINES[0], before=("Before.",))) == {10: backwards(LINES[0])}
    first, second = server.asked
    assert (first.data["before"], second.data["before"]) == (["Before."], [])
    assert (first.body["temperature"], second.body["temperature"]) == (0, 0.5)


def test_what_never_gets_an_answer_is_left_out(asking: Ask) -> None:
    """A text that the model refuses for good costs only itself."""
    translator, _ = asking(
        server=OpenAIServer(
            answer=lambda data: {
                key: "" if "third" in line["text"] else backwards(line["text"])
                for key, line in data["lines"].items()
            }
        )
    )
    assert set(translator.translate(request(*LINES))) == {10, 11, 13}


def test_markdown_around_an_answer_is_passed_over(asking: Ask) -> None:
    """Fences and words around the JSON cost nothing."""
    translator, server = asking(service.markdown())
    assert len(translator.translate(request(*LINES))) == 4
    assert len(server.asked) == 1


def test_tokens_and_their_price_are_counted(asking: Ask) -> None:
    """Every answer counts, good or not, at the user's rates."""
    translator, server = asking(service.half(), usd_in=2.0, usd_out=8.0)
    translator.translate(request(*LINES))
    usage = translator.usage()
    assert len(server.asked) == usage.requests == 3
    assert (usage.tokens_in, usage.tokens_out) == (300, 60)
    assert usage.usd == pytest.approx((300 * 2 + 60 * 8) / 1e6)
    assert usage.busy_s > 0
    assert usage.tokens_per_s == pytest.approx(60 / usage.busy_s)


def test_a_service_that_counts_no_tokens_costs_nothing(asking: Ask) -> None:
    """Missing figures are no error."""
    server = OpenAIServer()
    server.usage = None
    translator, _ = asking(server=server)
    translator.translate(request(*LINES))
    assert translator.usage().tokens_out == 0
    assert translator.usage().requests == 1


def test_as_many_requests_as_slots_are_under_way(asking: Ask) -> None:
    """Batches of one call go out side by side, and never more than there are slots."""
    server = OpenAIServer(*[Reply(delay_s=0.2)] * 12)
    translator, _ = asking(server=server, slots=3)
    found = translator.translate(request(*(f"{LINES[0]} Number {n}." for n in range(12 * 16))))
    assert len(found) == 12 * 16
    assert len(server.asked) == 12
    assert server.most_at_once == 3


def test_shortening_goes_before_translating(asking: Ask) -> None:
    """What refines a line is asked before what drafts later ones."""
    held = threading.Event()
    translator, server = asking(Reply(after=held), slots=1)
    many = request(*(f"{LINES[0]} Number {n}." for n in range(48)))
    drafting = threading.Thread(target=translator.translate, args=(many,))
    drafting.start()
    server.wait_for(1)
    long = ShortenRequest(5, "x", "Una frase bastante larga para probar.", 20)
    refining = threading.Thread(target=translator.shorten, args=("es", (long,)))
    refining.start()
    waiting = translator._spreader._dispatcher._queue
    deadline = time.monotonic() + 20
    while len(waiting) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    held.set()
    drafting.join()
    refining.join()
    assert [asked.kind for asked in server.asked] == [
        "translations", "wordings", "translations", "translations",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "inf"}, None),
    ],
)
def test_when_to_come_back(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, milliseconds, or nothing."""
    assert retry_after_s(headers) == seconds


def test_a_date_is_a_time_to_come_back() -> None:
    """The header may name a date."""
    date = email.utils.formatdate(time.time() + 30, usegmt=True)
    found = retry_after_s({"retry-after": date})
    assert found is not None
    assert 25 < found <= 30


def test_the_client_takes_no_retries_of_its_own(asking: Ask) -> None:
    """They could not be cancelled."""
    translator, _ = asking()
    assert isinstance(translator._client, openai.OpenAI)
    assert translator._client.max_retries == 0
