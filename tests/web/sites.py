"""The page and the API on a real socket, over a store and a library of fakes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from dubarr_watch.engines.crew import Crew
from dubarr_watch.gpu.inventory import Gpu
from dubarr_watch.languages import Language
from dubarr_watch.library.intake import LibraryHealth
from dubarr_watch.logs import configure_logging
from dubarr_watch.neighbours.inbox import Receipt
from dubarr_watch.settings import Profile
from dubarr_watch.web.app import create_app, guarded
from dubarr_watch.web.credentials import Credentials
from dubarr_watch.web.desk import Desk
from dubarr_watch.web.server import Server, listen
from dubarr_watch.web.works import Works
from tests.composing import Shop, open_shop

USER, PASSWORD = "anna", "made-up-password"

WELL = LibraryHealth(
    running=True, mode="events", filesystem="ext4", watches=1, problem="", root_present=True,
    last_scan_at=datetime.now(UTC), last_scan_s=0.1, folders=1, videos=0, settling=0, last_error="",
)  # fmt: skip


@dataclass
class Site:
    """A served desk.

    Attributes:
        shop: Its store, library folder and settings.
        desk: What is served.
        app: Its routes, with nobody at the door.
        url: Where.
        looked_at: What the library was asked to look at.
        rung: How often the workers were woken.
    """

    shop: Shop
    desk: Desk
    app: FastAPI
    url: str
    client: httpx.Client
    looked_at: list[Path]
    rung: list[None]

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON of an answer that must be good."""
        return self._good(self.client.get(path, params=query))

    def post(self, path: str, body: object = None) -> Any:
        """Return the JSON of the answer to a change that must be good."""
        return self._good(self.client.post(path, json=body))

    def problem(self, answer: httpx.Response) -> dict[str, Any]:
        """Return what went wrong."""
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        found: dict[str, Any] = answer.json()
        assert found["status"] == answer.status_code
        return found

    def anybody(self, **headers: str) -> httpx.Client:
        """Return a client without credentials."""
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False)

    @staticmethod
    def _good(answer: httpx.Response) -> Any:
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return answer.json()


@dataclass
class Told:
    """What the daemon's other parts say; tests change it."""

    health: LibraryHealth = WELL
    working: bool = True
    refusal: Callable[[Language], str] = lambda language: ""
    engines: dict[str, str] = field(default_factory=dict)
    gpus: tuple[Gpu, ...] = ()
    crew: Crew = field(default_factory=Crew)
    looked_at: list[Path] = field(default_factory=list)
    rung: list[None] = field(default_factory=list)
    hear: Callable[[object], Receipt] = lambda payload: Receipt(1, "", "")

    redo: Callable[..., object] = lambda *asked: None

    def works(self) -> Works:
        """Return it as the desk takes it."""
        return Works(
            profile=Profile.EMBEDDED,
            look_at=self.looked_at.append,
            library_health=lambda: self.health,
            ring=lambda: self.rung.append(None),
            working=lambda: self.working,
            refusal=lambda language: self.refusal(language),
            hear=lambda payload: self.hear(payload),
            redo=lambda *asked: self.redo(*asked),
            gpus=self.gpus,
            engines=lambda: self.engines,
            crew=lambda: self.crew,
        )


@contextmanager
def open_site(folder: Path, told: Told | None = None, **settings: Any) -> Iterator[Site]:
    """Serve a desk over an empty folder; credentials of `client` are right."""
    told = told or Told()
    chosen = {"api_user": USER, "api_pass": PASSWORD, "target_langs": "es", **settings}
    with open_shop(folder, **chosen) as shop:
        configure_logging(shop.settings)
        desk = Desk(shop.settings, shop.store, told.works(), Credentials.load(shop.settings))
        app = create_app(desk)
        listening = listen("127.0.0.1", 0)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with (
            Server(guarded(app, desk), listening, app.state.wire.stop),
            httpx.Client(
                base_url=url, auth=(shop.settings.api_user, chosen["api_pass"]), trust_env=False,
                timeout=30,
            ) as client,
        ):  # fmt: skip
            yield Site(shop, desk, app, url, client, told.looked_at, told.rung)
