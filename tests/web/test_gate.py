"""Who gets in: every path, every method, with none, wrong and right credentials."""

from __future__ import annotations

import asyncio
import base64
import hmac
import itertools
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import iter_route_contexts
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Mount, WebSocketRoute
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from dubarr_watch.web import credentials
from dubarr_watch.web.app import guarded
from dubarr_watch.web.credentials import Shown
from dubarr_watch.web.throttle import (
    FREE_FAILURES,
    LONGEST_WAIT_S,
    MOST_ADDRESSES,
    MOST_WAITING,
    Throttle,
)
from tests.web.sites import PASSWORD, USER, Site, open_site

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
CHANGING = {"POST", "PUT", "PATCH", "DELETE"}
OPEN = {("GET", "/health"), ("HEAD", "/health")}
HOST = "nas.example:8000"
_REMOTE = (f"198.51.100.{n % 250}" for n in itertools.count(1))


def basic(user: str, password: str) -> dict[str, str]:
    code = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"authorization": f"Basic {code}"}


class Inside:
    """What stands behind the door: remembers who came through."""

    def __init__(self) -> None:
        self.came = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.came += 1
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": 1000})
        else:
            await PlainTextResponse("inside")(scope, receive, send)


def knock(
    site: Site, method: str, path: str, *, client: str = "", app: Any = None, **headers: str
) -> httpx.Response:
    """Send a request as if it came from an address."""

    async def ask() -> httpx.Response:
        served = app or guarded(Inside(), site.desk)  # type: ignore[arg-type]
        transport = httpx.ASGITransport(served, client=(client or next(_REMOTE), 1))
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as asking:
            return await asking.request(method, path, headers=named)

    return asyncio.run(ask())


def knock_socket(site: Site, path: str, **headers: str) -> str:
    """Open a web socket; returns `websocket.accept` or how it was refused."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    named = {"host": HOST} | {name.replace("_", "-"): value for name, value in headers.items()}
    scope = {
        "type": "websocket", "path": path, "scheme": "ws", "query_string": b"",
        "client": (next(_REMOTE), 1),
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        "extensions": {"websocket.http.response": {}},
    }  # fmt: skip
    asyncio.run(guarded(Inside(), site.desk)(scope, receive, send))  # type: ignore[arg-type]
    first = sent[0]
    return f"{first['type']} {first.get('status', '')}".strip()


def paths(routes: list[BaseRoute]) -> Iterator[tuple[str, bool]]:
    """Yield each path, its parameters filled in, and whether it is a web socket's."""
    for route in iter_route_contexts(routes):
        assert route.path is not None, route
        path = re.sub(r"\{[^}]*\}", "1", route.path)
        if isinstance(route.route, Mount):
            yield f"{path}/1", False
            yield f"{path}/1", True
        else:
            yield path, isinstance(route.route, WebSocketRoute)


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose password nobody has set."""
    with open_site(tmp_path_factory.mktemp("d"), api_user="admin", api_pass="admin") as opened:
        yield opened


def test_whatever_somebody_adds_is_in_the_table() -> None:
    """So that no route is forgotten by the tests of each path."""
    app, outer, inner = FastAPI(openapi_url=None, docs_url=None), APIRouter(), APIRouter()
    inner.add_api_route("/deep/{number}", lambda number: number, methods=["PATCH"])
    outer.include_router(inner, prefix="/in")
    app.include_router(outer, prefix="/out", include_in_schema=False)
    app.add_api_websocket_route("/socket", lambda socket: None)
    app.mount("/files", PlainTextResponse("x"))
    app.add_route("/bare", lambda request: PlainTextResponse("x"))
    assert set(paths(app.routes)) == {
        ("/out/in/deep/1", False), ("/socket", True), ("/files/1", False), ("/files/1", True),
        ("/bare", False),
    }  # fmt: skip


class TestEveryPath:
    """Each path of each router, and one that is none, by each method."""

    def test_is_closed_without_the_right_credentials_and_open_with_them(self, site: Site) -> None:
        key = {"x_api_key": site.desk.credentials.api_key}
        cases: list[tuple[str, dict[str, str], set[int]]] = [
            ("nothing", {}, {401}),
            ("a wrong password", basic(USER, "wrong"), {401}),
            ("a wrong user", basic("root", PASSWORD), {401}),
            ("no Basic at all", {"authorization": f"Bearer {PASSWORD}"}, {401}),
            ("a wrong key", {"x_api_key": "0" * 32}, {401}),
            ("a wrong key with the right password", {"x_api_key": "0"} | basic(USER, PASSWORD),
             {401}),
            ("an empty key", {"x_api_key": ""}, {401}),
            ("the right password", basic(USER, PASSWORD), {200}),
            ("the right key", key, {200}),
        ]  # fmt: skip
        every = {path for path, socket in paths(site.app.routes) if not socket} | {"/", "/nothing"}
        for path, method, (what, headers, wanted) in itertools.product(every, METHODS, cases):
            if (method, path) in OPEN:
                wanted = {200}
            answer = knock(site, method, path, **headers)
            assert answer.status_code in wanted, (method, path, what, answer.text)
            if answer.status_code == 401:
                assert answer.headers["www-authenticate"].startswith("Basic ")

    def test_is_closed_to_others_while_the_password_is_the_default(self, default: Site) -> None:
        right = [
            {},
            basic("admin", "admin"),
            {"x_api_key": default.desk.credentials.api_key},
            basic("admin", "admin") | {"x_forwarded_for": "127.0.0.1", "x_real_ip": "127.0.0.1"},
        ]
        every = {path for path, socket in paths(default.app.routes) if not socket} | {"/"}
        for path, method, headers in itertools.product(every, METHODS, right):
            if (method, path) not in OPEN:
                assert knock(default, method, path, **headers).status_code == 403, (method, path)

    def test_is_changed_by_no_other_site(self, site: Site) -> None:
        foreign = [
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"origin": "http://nas.example"},  # another port
            {"origin": f"https://{HOST}"},
            {"sec_fetch_site": "cross-site"},
            {"sec_fetch_site": "same-site", "origin": f"http://{HOST}"},
        ]
        own = [
            {},  # no browser
            {"origin": f"http://{HOST}"},
            {"origin": f"http://{HOST}".upper()},
            {"sec_fetch_site": "same-origin", "origin": "https://what.a.proxy.shows"},
        ]
        every = {path for path, socket in paths(site.app.routes) if not socket}
        for path, method, headers in itertools.product(every, METHODS, foreign):
            wanted = 403 if method in CHANGING else 200
            answer = knock(site, method, path, **basic(USER, PASSWORD), **headers)
            assert answer.status_code == wanted, (method, path, headers)
        for path, method, headers in itertools.product(every, METHODS, own):
            answer = knock(site, method, path, **basic(USER, PASSWORD), **headers)
            assert answer.status_code == 200, (method, path, headers)

    def test_a_program_with_the_key_is_no_site(self, site: Site) -> None:
        key = site.desk.credentials.api_key
        answer = knock(site, "POST", "/api/v1/jobs", x_api_key=key, origin="https://a.example")
        assert answer.status_code == 200

    def test_a_web_socket_is_closed_like_the_rest(self, site: Site) -> None:
        sockets = {path for path, socket in paths(site.app.routes) if socket} | {"/ws/any"}
        right = basic(USER, PASSWORD)
        for path in sockets:
            assert knock_socket(site, path) == "websocket.http.response.start 401"
            wrong = knock_socket(site, path, **basic(USER, "wrong"))
            assert wrong == "websocket.http.response.start 401"
            foreign = knock_socket(site, path, **right, origin="http://evil.example")
            assert foreign == "websocket.http.response.start 403"
            assert knock_socket(site, path, **right) == "websocket.accept"
            assert knock_socket(site, path, **right, origin=f"http://{HOST}") == "websocket.accept"


class TestTheDefaultPassword:
    def test_lets_this_machine_in(self, default: Site) -> None:
        with httpx.Client(base_url=default.url, auth=("admin", "admin"), trust_env=False) as here:
            assert here.get("/api/v1/status").status_code == 200
            assert here.get("/api/v1/status", headers={"host": "localhost"}).status_code == 200
        with default.anybody() as nobody:
            assert nobody.get("/api/v1/status").status_code == 401

    @pytest.mark.parametrize(
        "headers",
        [
            {"x-forwarded-for": "127.0.0.1"},
            {"forwarded": "for=127.0.0.1"},
            {"x-real-ip": "127.0.0.1"},
            {"via": "1.1 proxy"},
            {"host": "evil.example"},  # its name leads here: DNS rebinding
            {"host": "localhost.evil.example"},
            {"host": "192.0.2.1:8000"},
            {"host": ""},
        ],
    )
    def test_lets_nobody_in_through_this_machine(
        self, default: Site, headers: dict[str, str]
    ) -> None:
        with httpx.Client(base_url=default.url, auth=("admin", "admin"), trust_env=False) as here:
            assert here.get("/api/v1/status", headers=headers).status_code == 403

    @pytest.mark.parametrize("password", [" ", "\t \n", "\u00a0"])
    def test_a_blank_one_is_no_password_of_one_s_own(
        self, tmp_path_factory: pytest.TempPathFactory, password: str
    ) -> None:
        """As if it were not set: nobody else is let in, neither with the blank nor with admin."""
        with open_site(tmp_path_factory.mktemp("b"), api_user="admin", api_pass=password) as site:
            for given in (password, "admin"):
                told = site.problem(knock(site, "GET", "/", **basic("admin", given)))
                assert (told["status"], "API_PASS" in told["hint"]) == (403, True)
            with httpx.Client(base_url=site.url, auth=("admin", "admin"), trust_env=False) as here:
                assert here.get("/api/v1/status").status_code == 200

    def test_says_what_to_do(self, default: Site) -> None:
        page = knock(default, "GET", "/", accept="text/html,*/*")
        assert page.headers["content-type"].startswith("text/html")
        assert "API_PASS" in page.text
        told = default.problem(knock(default, "GET", "/"))
        assert "API_PASS" in told["hint"]

    def test_a_trusted_proxy_s_client_is_who_it_says(
        self, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """The right-most address that is no proxy's; what a client wrote before it is nothing."""
        folder = tmp_path_factory.mktemp("proxied")
        with open_site(folder, api_pass="admin", trusted_proxies="127.0.0.1,10.0.0.0/8") as site:
            right = basic(USER, "admin")
            for forwarded, status in [
                ("127.0.0.1", 200),  # this machine's own browser, through this machine's proxy
                ("203.0.113.9", 403),
                ("127.0.0.1, 203.0.113.9", 403),
                ("127.0.0.2, 10.1.1.1", 200),
                ("127.0.0.2, 203.0.113.9, 10.1.1.1", 403),
                ("rubbish", 403),
                ("", 403),
            ]:
                headers = right | {"x_forwarded_for": forwarded, "x_forwarded_host": "localhost"}
                answer = knock(site, "GET", "/", client="127.0.0.1", **headers)
                assert answer.status_code == status, forwarded


class TestBehindAProxy:
    def test_the_host_that_the_browser_asked_counts(
        self, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        with open_site(tmp_path_factory.mktemp("proxied"), trusted_proxies="10.0.0.1") as site:
            headers = basic(USER, PASSWORD) | {
                "origin": "https://dub.example", "x_forwarded_proto": "https",
                "x_forwarded_host": "dub.example", "x_forwarded_for": "203.0.113.9",
            }  # fmt: skip
            assert knock(site, "POST", "/", client="10.0.0.1", **headers).status_code == 200
            assert knock(site, "POST", "/", client="10.0.0.2", **headers).status_code == 403

    def test_it_works_below_a_path(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """Whether the proxy passes the path on or takes it away."""
        with open_site(tmp_path_factory.mktemp("base"), url_base="/dubarr/") as site:
            assert site.client.get("/dubarr/api/v1/status").status_code == 200
            assert site.client.get("/api/v1/status").status_code == 200
            assert site.client.get("/dubarrx/api/v1/status").status_code == 404
            with site.anybody() as nobody:
                assert nobody.get("/dubarr/api/v1/status").status_code == 401


class TestFailures:
    def test_are_logged_with_the_address_and_without_the_password(self, site: Site) -> None:
        with capture_logs() as logs:
            knock(site, "GET", "/", client="203.0.113.77", **basic(USER, "guessed-in-vain"))
        (failed,) = [one for one in logs if one["event"] == "login failed"]
        assert failed["address"] == "203.0.113.77"
        assert "guessed-in-vain" not in str(logs)

    def test_wait_longer_and_longer(self) -> None:
        throttle = Throttle(clock=lambda: 0.0)
        waits = [throttle.failed("a") for _ in range(20)]
        assert waits[:FREE_FAILURES] == [0.0] * FREE_FAILURES
        assert waits[FREE_FAILURES] > 0
        assert waits == sorted(waits)
        assert waits[-1] == LONGEST_WAIT_S
        assert throttle.failed("b") == 0.0

    def test_are_forgotten_after_a_while(self) -> None:
        now = [0.0]
        throttle = Throttle(clock=lambda: now[0])
        for _ in range(20):
            throttle.failed("a")
        now[0] = 1e6
        assert throttle.failed("a") == 0.0

    def test_take_no_more_memory_than_they_may(self) -> None:
        throttle = Throttle()
        for number in range(MOST_ADDRESSES + 50):
            throttle.failed(str(number))
        assert len(throttle) == MOST_ADDRESSES

    def test_hold_up_who_guesses_and_nobody_else(
        self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Guesses wait, the right password beside them does not; and when as many wait as may,
        the next is not even looked at."""
        count = Throttle.failed
        monkeypatch.setattr(
            Throttle, "failed", lambda self, address: 600.0 if count(self, address) else 0.0
        )
        with open_site(tmp_path_factory.mktemp("guessed")) as site:
            statuses = asyncio.run(_guess(site))
        assert statuses == {"right beside guesses": 200, "one more": 429}


async def _guess(site: Site) -> dict[str, int]:
    wrong, right = {"x-api-key": "wrong"}, {"x-api-key": site.desk.credentials.api_key}
    found: dict[str, int] = {}
    async with httpx.AsyncClient(base_url=site.url, trust_env=False, timeout=60) as asking:

        async def guess() -> asyncio.Task[httpx.Response]:
            with capture_logs() as logs:
                made = asyncio.create_task(asking.get("/", headers=wrong))
                while not logs:
                    await asyncio.sleep(0.005)
            return made

        for _ in range(FREE_FAILURES):
            await (await guess())
        guesses = [await guess() for _ in range(MOST_WAITING - 1)]
        answer = await asking.get("/api/v1/status", headers=right)
        found["right beside guesses"] = answer.status_code
        guesses.append(await guess())
        found["one more"] = (await asking.get("/", headers=wrong)).status_code
        for waiting in guesses:
            waiting.cancel()
        await asyncio.gather(*guesses, return_exceptions=True)
    return found


class TestCredentials:
    def test_the_key_is_made_once_and_readable_for_nobody_else(
        self, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        folder = tmp_path_factory.mktemp("key")
        keys = []
        for _ in range(2):
            with open_site(folder) as site:
                keys.append(site.desk.credentials.api_key)
                file = site.shop.settings.config_dir / "api-key"
                assert file.stat().st_mode & 0o777 == 0o600
        assert keys[0] == keys[1]
        assert len(keys[0]) == 32

    def test_wrong_ones_are_compared_in_a_time_that_tells_nothing(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All of both, whatever is wrong, as 32 bytes each and by what the library has for that."""
        compared = list[tuple[int, int]]()

        def compare(one: bytes, other: bytes) -> bool:
            compared.append((len(one), len(other)))
            return hmac.compare_digest(one, other)

        monkeypatch.setattr(credentials, "hmac", SimpleNamespace(compare_digest=compare))
        check = site.desk.credentials.check
        for user, password in (("", ""), (USER, ""), ("", PASSWORD), (USER, PASSWORD[:-1]),
                               ("x" * 9000, PASSWORD), (USER, "x" * 9000)):  # fmt: skip
            compared.clear()
            assert check(basic(user, password)) is Shown.WRONG
            assert compared == [(32, 32), (32, 32)], (user, password)
        for key in ("", "x", site.desk.credentials.api_key[:-1]):
            compared.clear()
            assert check({"x-api-key": key}) is Shown.WRONG
            assert compared == [(32, 32)], key

    def test_a_password_may_hold_anything(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        for password in ("pass:word", "Grüße ☕", " a b "):
            with open_site(tmp_path_factory.mktemp("p"), api_pass=password) as site:
                answer = knock(site, "GET", "/", **basic(USER, password))
                assert answer.status_code == 200, password


class TestHeaders:
    def test_a_strict_policy_goes_with_every_answer(self, site: Site) -> None:
        with site.anybody() as nobody:
            for answer in (nobody.get("/"), site.client.get("/api/v1/status"),
                           site.client.get("/nothing")):  # fmt: skip
                policy = answer.headers["content-security-policy"]
                assert "default-src 'none'" in policy
                assert "unsafe" not in policy
                assert "frame-ancestors 'none'" in policy
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert "server" not in answer.headers
