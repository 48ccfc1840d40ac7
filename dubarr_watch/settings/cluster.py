"""Settings of the cluster: where engines run when one machine is not enough."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from dubarr_watch.settings.choices import Executor


class ClusterSettings(BaseSettings):
    """Who computes, and how the machines of a cluster trust each other."""

    executor: Executor = Field(
        Executor.LOCAL,
        description="local (engines run on this machine) or dask (on the workers of a cluster)",
    )
    scheduler: str | None = Field(
        None, description="the cluster's scheduler, e.g. tcp://scheduler:8786; tls:// with TLS"
    )
    cluster_secret: SecretStr | None = Field(
        None, description="long random text that daemons, scheduler and workers share"
    )
    cluster_ca: Path | None = Field(
        None, description="certificate authority of the cluster, PEM; with it all is encrypted"
    )
    cluster_cert: Path | None = Field(None, description="this machine's certificate, PEM")
    cluster_key: Path | None = Field(None, description="the certificate's key, PEM")
    cluster_lease_seconds: float = Field(
        60, ge=5, le=3600, description="a worker that is silent for so long is lost"
    )

    @field_validator("cluster_secret", mode="before")
    @classmethod
    def _long_enough(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        secret = value.strip()
        if secret and len(secret) < 16:
            raise ValueError("must be at least 16 characters long")
        return secret or None
