"""The page within the daemon: its port first, its server once everything else stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

import structlog

from dubarr_watch.settings import Settings
from dubarr_watch.store.store import Store
from dubarr_watch.web.works import Works

log = structlog.get_logger(__name__)

TASKS_STOP_S = 2.0
"""How long a line that is made anew may take to stop; one that is being published is finished."""

Serve = Callable[[Store, Works], AbstractContextManager[object]]


@contextmanager
def open_page(settings: Settings) -> Iterator[Serve]:
    """Take the page's port; what is yielded serves for the length of a `with` block.

    Args:
        settings: API_PORT: with 0 there is no page, and nothing of it is loaded.

    Raises:
        WrongUsage: The port is taken.
    """
    if not settings.api_port:
        yield lambda store, works: nullcontext()
        return
    from dubarr_watch.web.server import listen

    with listen(settings.api_host, settings.api_port) as listening:

        @contextmanager
        def serve(store: Store, works: Works) -> Iterator[None]:
            from dubarr_watch.web.app import create_app, guarded
            from dubarr_watch.web.credentials import Credentials
            from dubarr_watch.web.desk import Desk
            from dubarr_watch.web.server import Server, shown_address

            desk = Desk(settings, store, works, Credentials.load(settings))
            app = create_app(desk)
            with ExitStack() as ending:
                ending.callback(desk.tasks.close, TASKS_STOP_S)
                ending.enter_context(Server(guarded(app, desk), listening, app.state.wire.stop))
                desk.jobs.resume()
                log.info("page", address=f"{shown_address(listening)}{settings.url_base}")
                if settings.has_default_password:
                    note = "API_PASS is unset or still admin: only this machine itself is let in"
                    log.warning("page", note=note)
                yield

        yield serve
