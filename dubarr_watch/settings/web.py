"""Settings of the page and the API: where they listen, and who gets in."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode

DEFAULT_PASSWORD = "admin"  # noqa: S105 - with it only this machine is let in


class WebSettings(BaseSettings):
    """The page, the API and their door."""

    api_host: str = Field("0.0.0.0", description="address the page and the API listen on")  # noqa: S104
    api_port: int = Field(
        8000, ge=0, le=65535, description="port of the page and the API; 0: neither"
    )
    api_user: str = Field("admin", description="user name for the page and the API")
    api_pass: SecretStr = Field(
        SecretStr(DEFAULT_PASSWORD),
        description="password for the page and the API; while it is admin, only this machine is "
        "let in",
    )
    url_base: str = Field(
        "", description="path below which a reverse proxy shows the page, e.g. /dubarr"
    )
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (),
        description="addresses or networks of reverse proxies whose X-Forwarded headers are "
        "believed, separated by commas",
    )
    upload_max_gib: float = Field(
        100, ge=0, le=100000, description="largest video that may be uploaded, in GiB; 0: none"
    )

    @field_validator("api_pass", mode="before")
    @classmethod
    def _api_pass(cls, value: object) -> object:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        return DEFAULT_PASSWORD if isinstance(text, str) and not text.strip() else value

    @field_validator("url_base", mode="after")
    @classmethod
    def _url_base(cls, value: str) -> str:
        base = "/" + value.strip().strip("/")
        if not re.fullmatch(r"(?:/[A-Za-z0-9._~-]+)*|/", base) or ".." in base.split("/"):
            raise ValueError("must be a path of letters, digits and . _ ~ -, e.g. /dubarr")
        return "" if base == "/" else base

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _trusted_proxies(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        words = [word for word in re.split(r"[,\s]+", value) if word]
        try:
            return tuple(ip_network(word, strict=False) for word in words)
        except ValueError as error:
            raise ValueError(f"{error}; name addresses or networks, e.g. 172.18.0.0/16") from None

    @property
    def has_default_password(self) -> bool:
        """Whether API_PASS is still what everybody knows; a blank one counts as none."""
        return self.api_pass.get_secret_value() == DEFAULT_PASSWORD
