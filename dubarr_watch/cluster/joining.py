"""How a process joins a cluster: the address, TLS, the shared secret, and how patient it is."""

from __future__ import annotations

import logging
from pathlib import Path

import dask
from distributed import Security

from dubarr_watch.cluster.handshake import use_secret
from dubarr_watch.errors import UserMustProvide
from dubarr_watch.settings import LogLevel, Settings

PORT = 8786
_TCP_S = 12.0
"""The least that Dask takes: it probes a silent connection ten times."""

ALLOWED_FAILURES = 10
"""Workers that may die under a task before the task itself is suspected. Machines that are taken
away while they work are usual in a cluster; a job is tried MAX_ATTEMPTS times beyond that."""


def join(settings: Settings, address: str = "") -> tuple[str, Security | None]:
    """Get this process ready to speak to a cluster.

    Args:
        settings: SCHEDULER, CLUSTER_*.
        address: Of the scheduler; SCHEDULER when empty.

    Returns:
        The address, whose scheme says whether there is TLS, and Dask's security.

    Raises:
        UserMustProvide: A setting is missing or does not go with the others.
    """
    if settings.cluster_secret is None:
        raise UserMustProvide(
            "CLUSTER_SECRET is not set.",
            hint="Set it to the same long random text for the daemon, the scheduler and every "
            "worker: `openssl rand -hex 32` makes one. Without it anybody who reaches the "
            "scheduler could run what they like.",
        )
    security = security_of(settings)
    scheme = "tls" if security else "tcp"
    address = address or settings.scheduler or ""
    if not address:
        raise UserMustProvide(
            "It is not known where the scheduler is.",
            hint=f"Set SCHEDULER, for example to {scheme}://scheduler:{PORT}, and start "
            "`dubarr-watch scheduler` there.",
        )
    if "://" not in address:
        address = f"{scheme}://{address}"
    if not address.startswith(f"{scheme}://"):
        raise UserMustProvide(
            f"The scheduler's address {address} does not go with the certificates.",
            hint="With CLUSTER_CA, CLUSTER_CERT and CLUSTER_KEY it begins with tls://, without "
            "them with tcp://.",
        )
    use_secret(settings.cluster_secret.get_secret_value())
    configure(settings)
    return address, security


def configure(settings: Settings) -> None:
    """Set Dask up: a connection or a worker that is silent for CLUSTER_LEASE_SECONDS is lost."""
    if settings.log_level is not LogLevel.DEBUG:
        logging.getLogger("distributed").setLevel(logging.WARNING)
    lease = f"{settings.cluster_lease_seconds}s"
    dask.config.set(
        {
            "distributed.scheduler.worker-ttl": lease,
            "distributed.scheduler.allowed-failures": ALLOWED_FAILURES,
            "distributed.scheduler.http.routes": [],
            "distributed.worker.http.routes": [],
            "distributed.comm.timeouts.tcp": f"{max(settings.cluster_lease_seconds, _TCP_S)}s",
            "distributed.comm.timeouts.connect": "30s",
            # Bytes that wait in a worker are of pieces of files: never moved about, never spilled.
            "distributed.scheduler.active-memory-manager.start": False,
            "distributed.worker.memory.target": False,
            "distributed.worker.memory.spill": False,
            "distributed.worker.memory.pause": False,
            "distributed.worker.memory.terminate": False,
            "distributed.worker.profile.enabled": False,
            "distributed.diagnostics.nvml": False,  # gpu/ asks the driver itself
            "distributed.admin.low-level-log-length": 100,
            "distributed.admin.large-graph-warning-threshold": "64MB",
        }
    )


def security_of(settings: Settings) -> Security | None:
    """Return what CLUSTER_CA, CLUSTER_CERT and CLUSTER_KEY ask for: all encrypted, or nothing.

    Raises:
        UserMustProvide: Only some of them are set, or a file is not there.
    """
    files = {"CLUSTER_CA": settings.cluster_ca, "CLUSTER_CERT": settings.cluster_cert,
             "CLUSTER_KEY": settings.cluster_key}  # fmt: skip
    known: dict[str, Path] = {name: path for name, path in files.items() if path is not None}
    if not known:
        return None
    if missing := [name for name in files if name not in known]:
        raise UserMustProvide(
            f"Of the cluster's certificates, {' and '.join(missing)} is missing.",
            hint="Set all of CLUSTER_CA, CLUSTER_CERT and CLUSTER_KEY, or none of them.",
        )
    for name, path in known.items():
        if not path.is_file():
            raise UserMustProvide(
                f"{name} names a file that is not there.",
                hint="It is a file in PEM format; the certificate must be signed by CLUSTER_CA.",
                path=path,
            )
    cert, key = str(known["CLUSTER_CERT"]), str(known["CLUSTER_KEY"])
    return Security(
        require_encryption=True, tls_ca_file=str(known["CLUSTER_CA"]),
        tls_client_cert=cert, tls_client_key=key, tls_scheduler_cert=cert, tls_scheduler_key=key,
        tls_worker_cert=cert, tls_worker_key=key,
    )  # fmt: skip
