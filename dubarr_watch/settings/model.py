"""All settings and how each is checked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from dubarr_watch.errors import UnknownLanguage
from dubarr_watch.languages import Language, parse_language, parse_languages
from dubarr_watch.settings.choices import (
    LogFormat,
    LogLevel,
    NotifyEvent,
    OutputMode,
    Profile,
    WatchMode,
)
from dubarr_watch.settings.cluster import ClusterSettings
from dubarr_watch.settings.full_profile import FullProfileSettings
from dubarr_watch.settings.neighbours import NeighbourSettings
from dubarr_watch.settings.quality import QualitySettings
from dubarr_watch.settings.sources import (
    DEFAULT_CONFIG_DIR,
    NameFileSource,
    Unreadable,
    config_env,
    config_env_problem,
)
from dubarr_watch.settings.web import WebSettings


class Settings(
    ClusterSettings, WebSettings, QualitySettings, NeighbourSettings, FullProfileSettings
):
    """All settings, validated; build with `load_settings` to get errors a user can read."""

    model_config = SettingsConfigDict(
        extra="ignore", env_ignore_empty=True, case_sensitive=False, frozen=True
    )

    profile: Profile = Field(
        Profile.AUTO,
        description="auto, full or embedded; auto is full when all that full needs is set, else "
        "embedded",
    )
    target_langs: Annotated[tuple[Language, ...], NoDecode] = Field(
        (parse_language("pl"),),
        description="languages to dub into when nothing else asks, separated by commas",
    )
    source_lang: Annotated[Language | None, NoDecode] = Field(
        None, description="language spoken in the videos; unset: recognised for each video"
    )

    videos_dir: Path = Field(Path("/app/videos"), description="the library that is watched")
    models_dir: Path = Field(Path("/app/models"), description="where models are kept")
    config_dir: Path = Field(
        DEFAULT_CONFIG_DIR, description="holds dubarr.db, reports/, work/ and config.env"
    )
    work_dir: Path = Field(
        None,
        validate_default=True,
        description="intermediate files of jobs; a folder that all machines of a cluster share "
        "spares sending them; unset: CONFIG_DIR/work",
    )
    database_url: SecretStr | None = Field(
        None,
        description="postgresql://user:password@host/name: a database that several machines "
        "share; unset: dubarr.db in CONFIG_DIR",
    )
    database_on_network: bool = Field(
        False,
        description="true: start although CONFIG_DIR is on a network mount, where the database "
        "can be damaged",
    )
    output_mode: OutputMode = Field(
        OutputMode.SIDECAR,
        description="sidecar (Film.Dubarr.<lang>.mka beside it), mux (into the video) or both",
    )
    subtitles: bool = Field(True, description="also write Film.Dubarr.<lang>.srt")

    settle_seconds: float = Field(
        10, ge=0, le=86400, description="a video is ready when unchanged for this many seconds"
    )
    scan_interval: float = Field(
        300, ge=1, le=86400, description="seconds between full scans of the library"
    )
    watch_mode: WatchMode = Field(
        WatchMode.AUTO,
        description="auto, events or poll; auto polls network mounts, which send no events",
    )
    follow_links: bool = Field(
        False,
        description="true: symbolic links in the library may lead out of it; folders behind links "
        "are scanned, not watched",
    )
    process_existing: bool = Field(
        False, description="also dub what was in the library before the first start"
    )

    max_speedup: float = Field(
        1.25, ge=1, le=2, description="a take is never spoken faster than this"
    )
    stall_seconds: float = Field(
        600, ge=5, le=86400, description="a stage that makes no progress for this long is ended"
    )
    max_attempts: int = Field(
        3, ge=1, le=20, description="times a job is tried before it counts as failed"
    )

    tts_port: int = Field(
        5050,
        ge=0,
        le=65535,
        description="port of the speech process on 127.0.0.1; when it is taken, any free one",
    )
    threads: int = Field(
        0, ge=0, le=256, description="threads for each engine; 0: every core that may be used"
    )

    notify_urls: SecretStr | None = Field(
        None, description="Apprise URLs, separated by spaces, for push messages"
    )
    notify_config: Path | None = Field(None, description="Apprise configuration file")
    notify_tags: str = Field(
        "", description="Apprise tags to notify: a comma means or; empty: every service"
    )
    notify_on: Annotated[tuple[NotifyEvent, ...], NoDecode] = Field(
        tuple(NotifyEvent), description="events to send, separated by commas"
    )
    notify_digest_seconds: float = Field(
        60, ge=0, le=86400, description="jobs that end this close together share one message"
    )

    log_level: LogLevel = Field(LogLevel.INFO, description="debug, info, warning or error")
    log_format: LogFormat = Field(LogFormat.AUTO, description="auto, console or json")
    debug_mode: bool = Field(
        False, description="keep intermediate files of every job in CONFIG_DIR/work/<job>/"
    )
    mock_mode: bool = Field(
        False, description="replace every model by a fast fake, to try the daemon itself"
    )

    @field_validator("*", mode="before")
    @classmethod
    def _as_written(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, Unreadable):
            raise ValueError(
                f"the file that {str(info.field_name).upper()}_FILE names cannot be read: "
                f"{value.reason}. It must be a text file that holds nothing but the value."
            )
        return value

    @field_validator(
        "profile", "tts_model", "whisper_model", "device", "output_mode", "watch_mode",
        "llm_backend", "separation", "log_level", "log_format", "qa", "mix_style",
        "loudness", "executor", mode="before",
    )  # fmt: skip
    @classmethod
    def _in_any_case(cls, value: object) -> object:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator(
        "openai_api_key", "hf_token", "elevenlabs_api_key", "notify_urls", "database_url",
        mode="before",
    )  # fmt: skip
    @classmethod
    def _without_blanks(cls, value: object) -> object:
        # A blank in front or a Windows line end behind is pasted easily, and seen by nobody.
        return (value.strip() or None) if isinstance(value, str) else value

    @field_validator("target_langs", mode="before")
    @classmethod
    def _target_langs(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        languages = tuple(_as_value_error(parse_languages, value))
        if not languages:
            raise ValueError("names no language")
        return languages

    @field_validator("source_lang", mode="before")
    @classmethod
    def _source_lang(cls, value: object) -> object:
        return _as_value_error(parse_language, value) if isinstance(value, str) else value

    @field_validator("notify_on", mode="before")
    @classmethod
    def _notify_on(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(word.strip().lower() for word in value.split(",") if word.strip())

    @field_validator("work_dir", mode="before")
    @classmethod
    def _work_dir(cls, value: object, info: ValidationInfo) -> object:
        return info.data.get("config_dir", DEFAULT_CONFIG_DIR) / "work" if value is None else value

    @field_validator("videos_dir", "models_dir", "config_dir", "work_dir", mode="after")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("database_url", mode="after")
    @classmethod
    def _on_postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith("postgresql://"):
            raise ValueError("must be postgresql://user:password@host/name.")
        return value

    @property
    def database(self) -> Path | SecretStr:
        """Where everything is kept: see `Store.open`."""
        return self.database_url or self.database_path

    @property
    def database_path(self) -> Path:
        """The SQLite database."""
        return self.config_dir / "dubarr.db"

    @property
    def reports_dir(self) -> Path:
        """Quality reports, one JSON file for each job and language."""
        return self.config_dir / "reports"

    def secrets(self) -> list[str]:
        """Return every secret value that is set, so that logs can blot them out."""
        values = (getattr(self, name) for name in type(self).model_fields)
        secret = [v.get_secret_value() for v in values if isinstance(v, SecretStr)]
        words = [word for value in secret for word in (value, *value.split())]
        if self.notify_urls is not None:
            words += _url_parts(self.notify_urls.get_secret_value())
        if self.database_url is not None:
            password = urlsplit(self.database_url.get_secret_value()).password or ""
            words += [password, unquote(password)]
        # A shorter word would blot out innocent text everywhere, and guards nothing anyway.
        return sorted({word for word in words if len(word) > 5}, key=len, reverse=True)

    def without_secrets(self, text: str) -> str:
        """Return a text that others will read, with `***` for every secret in it."""
        for secret in self.secrets():
            text = text.replace(secret, "***")
        return text

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Add `NAME_FILE` and `CONFIG_DIR/config.env` below the environment."""
        file = None if config_env_problem() else config_env()
        below = DotEnvSettingsSource(settings_cls, env_file=file, env_ignore_empty=True)
        return init_settings, env_settings, NameFileSource(settings_cls), below


def _url_parts(urls: str) -> list[str]:
    # A service's own URL carries a part of the Apprise URL: the token, but never its scheme.
    parts = [re.split(r"[/:@?&=,#]+", url.partition("://")[2]) for url in urls.split()]
    raw = [part for found in parts for part in found]
    return raw + [unquote(part) for part in raw]


def _as_value_error(parse: Any, value: str) -> Any:
    try:
        return parse(value)
    except UnknownLanguage as error:
        raise ValueError(str(error)) from None
