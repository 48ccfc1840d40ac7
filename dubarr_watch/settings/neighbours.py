"""Settings of the neighbours: who may be told what, and how they see the library."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode

PathMap = tuple[tuple[str, str], ...]
"""Pairs of folders: (as one side sees it, as the other does)."""

MEDIA_SERVERS = ("jellyfin", "emby", "plex", "kodi")


def _url(description: str) -> str | None:
    return Field(None, description=description)


def _key(description: str) -> SecretStr | None:
    return Field(None, description=description)


class NeighbourSettings(BaseSettings):
    """Radarr and Sonarr, and the servers that play what was dubbed."""

    path_map: Annotated[PathMap, NoDecode] = Field(
        (),
        description="folders as Radarr and others see them, e.g. /movies=/app/videos/movies,...",
    )
    media_path_map: Annotated[PathMap, NoDecode] = Field(
        (),
        description="our folders as media servers see them, e.g. /app/videos=/media or, for one "
        "of them, kodi:/app/videos=smb://nas/videos,...",
    )
    jellyfin_url: str | None = _url("Jellyfin to tell about new tracks, e.g. http://jellyfin:8096")
    jellyfin_token: SecretStr | None = _key("an API key of Jellyfin")
    emby_url: str | None = _url("Emby to tell about new tracks, e.g. http://emby:8096")
    emby_token: SecretStr | None = _key("an API key of Emby")
    plex_url: str | None = _url("Plex to tell about new tracks, e.g. http://plex:32400")
    plex_token: SecretStr | None = _key("an X-Plex-Token")
    kodi_url: str | None = _url("Kodi to tell about new tracks, e.g. http://kodi:8080")
    kodi_user: str = Field("kodi", description="user name of Kodi's remote control")
    kodi_pass: SecretStr | None = _key("password of Kodi's remote control")
    radarr_url: str | None = _url("Radarr to let rescan a dubbed film, e.g. http://radarr:7878")
    radarr_api_key: SecretStr | None = _key("Radarr's API key")
    sonarr_url: str | None = _url("Sonarr to let rescan a dubbed series, e.g. http://sonarr:8989")
    sonarr_api_key: SecretStr | None = _key("Sonarr's API key")

    @field_validator("path_map", mode="before")
    @classmethod
    def _path_map(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        # Ours is the absolute path behind the last equals sign: names may hold one themselves.
        pairs = [
            (line.rpartition("=/")[0], f"/{line.rpartition('=/')[2]}") for line in _rules(value)
        ]
        if any(not theirs for theirs, _ in pairs):
            raise ValueError("each part must be THEIR_FOLDER=/OUR_FOLDER")
        return tuple(pairs)

    @field_validator("media_path_map", mode="before")
    @classmethod
    def _media_path_map(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [(line.partition("=")[0], line.partition("=")[2]) for line in _rules(value)]
        for ours, theirs in pairs:
            server, colon, folder = ours.partition(":")
            if not theirs or not (folder if colon else ours).startswith("/"):
                raise ValueError("each part must be /OUR_FOLDER=THEIR_FOLDER")
            if colon and server not in MEDIA_SERVERS:
                raise ValueError(f"'{server}' is none of {', '.join(MEDIA_SERVERS)}")
        return tuple(pairs)

    @field_validator(
        "jellyfin_url", "emby_url", "plex_url", "kodi_url", "radarr_url", "sonarr_url",
        mode="after",
    )  # fmt: skip
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an address such as http://name:8096")
        if parts.username or parts.password or parts.query:
            raise ValueError("must hold no password and no key: there are settings for these")
        return value.strip().rstrip("/")

    @field_validator(
        "jellyfin_token", "emby_token", "plex_token", "radarr_api_key", "sonarr_api_key",
        mode="before",
    )  # fmt: skip
    @classmethod
    def _without_blanks(cls, value: object) -> object:
        return (value.strip() or None) if isinstance(value, str) else value


def _rules(value: str) -> list[str]:
    return [part.strip() for part in value.replace("\n", ",").split(",") if part.strip()]
