"""One look at a cluster, for `doctor` and `plan`: who answers, is there, and does not fit."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any

from distributed import Client
from distributed.comm import connect, get_address_host_port
from distributed.comm.core import FatalCommClosedError

from dubarr_watch.cluster.joining import join
from dubarr_watch.cluster.members import members_of
from dubarr_watch.cluster.orders import Mark
from dubarr_watch.cluster.tasks import About, about
from dubarr_watch.engines.crew import Member
from dubarr_watch.errors import ClusterError
from dubarr_watch.settings import Settings
from dubarr_watch.storage import write_atomically

PATIENCE_S = 5.0
"""Who has not answered by then does not answer."""


@dataclass(frozen=True, slots=True)
class Visit:
    """What was seen.

    Attributes:
        address: Of the scheduler.
        here: What this process says of itself.
        scheduler: What the scheduler says of itself; in words why it says nothing.
        workers: Each worker, and the same of it.
    """

    address: str
    here: About
    scheduler: About | str
    workers: Sequence[tuple[Member, About | str]]

    @property
    def members(self) -> list[Member]:
        """Who is there."""
        return [member for member, _ in self.workers]


def visit(settings: Settings, models: Sequence[str] = ()) -> Visit:
    """Look at the cluster once.

    Args:
        settings: SCHEDULER, CLUSTER_*, WORK_DIR.
        models: What each worker is asked for.

    Raises:
        UserMustProvide: A setting is missing.
        ClusterError: The scheduler does not answer, or refuses this machine.
    """
    address, security = join(settings)
    mark = Mark(settings.work_dir / ".cluster" / secrets.token_hex(8), secrets.token_hex(16))
    mark.path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(mark.path, mark.content.encode("ascii"))
    try:
        return asyncio.run(_visit(address, security, mark, tuple(models)))
    finally:
        mark.path.unlink(missing_ok=True)


async def _visit(address: str, security: Any, mark: Mark, models: tuple[str, ...]) -> Visit:
    try:
        # Dask's client says only that it waited in vain, whatever it was that it waited for.
        first = await connect(
            address, timeout=PATIENCE_S,
            **(security.get_connection_args("client") if security else {}),
        )  # fmt: skip
        first.abort()
        async with Client(
            address, asynchronous=True, security=security, timeout=PATIENCE_S,
            set_as_default=False, name="dubarr-watch",
        ) as client:  # fmt: skip
            told = await asyncio.wait_for(client.scheduler.identity(n_workers=-1), PATIENCE_S)
            members = members_of(told["workers"], {})
            scheduler, *workers = await asyncio.gather(
                _told(client.run_on_scheduler(about, mark, models)),
                *(_of_one(client, one.address, mark, models) for one in members),
            )
    except FatalCommClosedError as error:
        raise ClusterError(
            f"The scheduler at {address} does not know the CLUSTER_SECRET of this machine.",
            hint="Set the same one here, for the scheduler and for every worker.",
        ) from error
    except (OSError, TimeoutError) as error:
        reason = await _why_not(address)
        raise ClusterError(
            f"The scheduler at {address} does not answer: {reason}.",
            hint="Start `dubarr-watch scheduler` there, see that SCHEDULER names it, and that no "
            "firewall is between.",
        ) from error
    return Visit(address, about(mark, models), scheduler, list(zip(members, workers, strict=True)))


async def _why_not(address: str) -> str:
    """Say why nobody answers; of several attempts Dask names the last, which had no time left."""
    host, port = get_address_host_port(address)
    try:
        _, call = await asyncio.wait_for(asyncio.open_connection(host, port), PATIENCE_S)
    except TimeoutError:
        return "nothing comes back"
    except socket.gaierror as error:
        return error.strerror or str(error)
    except OSError as error:
        return os.strerror(error.errno) if error.errno else str(error)
    call.close()
    return "it takes the call and says nothing"


async def _of_one(client: Client, address: str, mark: Mark, models: tuple[str, ...]) -> About | str:
    found = await _told(client.run(about, mark, models, workers=[address]))
    return found if isinstance(found, str) else found[address]


async def _told(asked: Awaitable[Any]) -> Any:
    try:
        return await asyncio.wait_for(asked, PATIENCE_S)
    except TimeoutError:
        return f"it does not answer within {PATIENCE_S:g} s"
    except Exception as error:  # noqa: BLE001 - whatever another version may raise
        return f"{type(error).__name__}: {error}"
