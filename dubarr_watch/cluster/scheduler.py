"""`dubarr-watch scheduler`: Dask's scheduler behind the shared secret."""

from __future__ import annotations

import asyncio
import signal

import structlog
from distributed import Scheduler

from dubarr_watch.cluster.joining import join
from dubarr_watch.settings import Settings

log = structlog.get_logger(__name__)


def run_scheduler(settings: Settings, *, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT. It keeps nothing: what it loses, daemons ask again.

    Args:
        settings: CLUSTER_*.
        host: Address to listen on.
        port: Port; 0 for any.

    Raises:
        UserMustProvide: CLUSTER_SECRET is not set, or a certificate is missing.
    """
    _, security = join(settings, f"{host}:{port}")
    protocol = "tls" if security else "tcp"

    async def serve() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with Scheduler(
            host=host, port=port, protocol=protocol, security=security or {}, dashboard=False,
            dashboard_address="127.0.0.1:0",
        ) as scheduler:  # fmt: skip
            log.info("scheduler", address=scheduler.address)
            closed = asyncio.ensure_future(scheduler.finished())
            stopped = asyncio.ensure_future(stop.wait())
            await asyncio.wait([closed, stopped], return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
        await asyncio.wait([closed], timeout=5)
        log.info("stopped")

    asyncio.run(serve())
