"""Opens the broker that settings ask for."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from dubarr_watch.gpu.devices import read_inventory
from dubarr_watch.gpu.inventory import Inventory
from dubarr_watch.gpu.journal import Journal
from dubarr_watch.gpu.leases import LeaseBroker
from dubarr_watch.gpu.shared import SharedLedger
from dubarr_watch.gpu.turns import TurnJournal
from dubarr_watch.gpu.wishes import Needs, Prefer, Rules
from dubarr_watch.settings import Settings

log = structlog.get_logger(__name__)


@contextmanager
def open_broker(
    settings: Settings,
    *,
    inventory: Inventory | None = None,
    prefer: Prefer | None = None,
    needs: Needs | None = None,
    journal: Journal | None = None,
    turn_journal: TurnJournal | None = None,
    owner: str = "",
) -> Iterator[LeaseBroker]:
    """Open a broker for the length of a `with` block.

    Args:
        settings: DEVICE, GPU_MARGIN_MIB, CPU_SLOTS, CPU_FALLBACK, ENGINE_MIB, LEASE_DIR,
            STALL_SECONDS.
        inventory: The GPUs; looked for when None.
        prefer: Orders devices for a stage; the one with the most room is taken when None.
        needs: What engines were seen to need; `store.needs`.
        journal: Where leases are written down; `store.leases`.
        turn_journal: Where turns on the CPU are; `store.turns`.
        owner: Unique for this daemon; made up when empty.

    Raises:
        DeviceError: DEVICE asks for a GPU that is not there.
    """
    inventory = inventory or read_inventory(settings.device)
    owner = owner or f"{os.getpid()}-{secrets.token_hex(4)}"
    ledger = _ledger(settings, owner) if inventory.gpus else None
    broker = LeaseBroker(
        inventory.gpus,
        Rules.of(settings),
        prefer=prefer,
        needs=needs,
        journal=journal,
        turn_journal=turn_journal,
        ledger=ledger,
        owner=owner,
    )
    try:
        yield broker
    finally:
        broker.close()


def lease_dir(settings: Settings) -> Path:
    """Return the folder that daemons on one GPU share."""
    return settings.lease_dir or settings.models_dir / "leases"


def _ledger(settings: Settings, owner: str) -> SharedLedger | None:
    folder = lease_dir(settings)
    try:
        return SharedLedger(folder, owner)
    except OSError as error:
        log.warning(
            "leases are not shared",
            folder=folder,
            reason=error.strerror,
            note="another daemon on the same GPU would not know of this one; set LEASE_DIR to a "
            "folder that both can write to",
        )
        return None
