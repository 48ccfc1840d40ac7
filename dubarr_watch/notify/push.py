"""Talking to notification services through Apprise, without ever telling where they are.

The address of a service is its password. Apprise and the libraries below it log addresses, so
their loggers are silenced, and services are named by their scheme alone.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from dubarr_watch.errors import SettingsInvalid
from dubarr_watch.notify.messages import Message
from dubarr_watch.settings import NotifyEvent, Settings

CALL_TIMEOUT_S = 30
"""Time for one message to all services; Apprise itself waits 4 s for each answer."""

_LOUD = ("urllib3", "requests")
_STATUS = re.compile(r"error=(\d{3})\b")


@dataclass(frozen=True, slots=True)
class ServiceOutcome:
    """How one service took a message.

    Attributes:
        service: Its scheme, e.g. `ntfy://…`.
        ok: Whether it took it.
        detail: Plain words when it did not; never an address.
        key: Tells services apart within this process; never shown.
    """

    service: str
    ok: bool
    detail: str
    key: str


def is_configured(settings: Settings) -> bool:
    """Tell whether there is anybody to notify."""
    return bool(settings.notify_urls or settings.notify_config)


def check(settings: Settings) -> None:
    """Check that the settings name services that can be used.

    Raises:
        SettingsInvalid: An address is not understood, the configuration file cannot be read, or
            no service has one of the tags.
    """
    if is_configured(settings):
        _services(settings)


def send(settings: Settings, message: Message, only: Collection[str] = ()) -> list[ServiceOutcome]:
    """Send a message to every service, or to some of them.

    Args:
        settings: NOTIFY_URLS, NOTIFY_CONFIG and NOTIFY_TAGS.
        message: What to send.
        only: Keys of earlier outcomes; nothing: all services.

    Raises:
        SettingsInvalid: The settings cannot be used any more.
    """
    import apprise

    apobj = _services(settings)
    tag: Any = _tags(settings) or apprise.common.MATCH_ALL_TAG
    if only:
        chosen = [service for service in apobj.find(tag) if _key(service) in only]
        apobj = apprise.Apprise(asset=_asset())
        apobj.add(chosen)
        tag = apprise.common.MATCH_ALL_TAG
    kinds = {
        NotifyEvent.DONE: apprise.NotifyType.SUCCESS,
        NotifyEvent.DONE_WITH_WARNINGS: apprise.NotifyType.WARNING,
        NotifyEvent.FAILED: apprise.NotifyType.FAILURE,
        NotifyEvent.PAUSED: apprise.NotifyType.WARNING,
        NotifyEvent.WORKER_LOST: apprise.NotifyType.WARNING,
    }
    result = apobj.notify(
        body=message.body,
        title=message.title,
        notify_type=kinds[message.event],
        body_format=apprise.NotifyFormat.TEXT,
        tag=tag,
        timeout=CALL_TIMEOUT_S,
    )
    return [_outcome(one) for one in result.results]


def _services(settings: Settings) -> Any:
    """Return an Apprise object with every service that the settings name."""
    import apprise
    from apprise.config.file import ConfigFile
    from apprise.utils.parse import parse_urls

    _silence()
    asset, tags = _asset(), _tags(settings)
    apobj = apprise.Apprise(asset=asset)
    if settings.notify_urls:
        split: Any = parse_urls
        urls = split(settings.notify_urls.get_secret_value())
        for number, url in enumerate(urls, start=1):
            # Addresses given directly have no tags; they are meant whatever NOTIFY_TAGS says.
            if not apobj.add(url, tag=tags or None):
                raise SettingsInvalid(
                    f"NOTIFY_URLS: address {number} ({_scheme(url)}) is not one that Apprise "
                    "understands.",
                    hint="Compare it with Apprise's page about that service.",
                )
        if not urls:
            raise SettingsInvalid("NOTIFY_URLS: holds no address such as ntfy://topic.")
    if settings.notify_config is not None:
        path = settings.notify_config.expanduser()
        _must_be_readable(settings)
        open_config: Any = ConfigFile
        config = open_config(path=os.fspath(path), asset=asset)
        if not config.services():
            raise SettingsInvalid(
                "NOTIFY_CONFIG: the file names no service that Apprise understands.",
                hint="Check it with Apprise's own documentation of its text or YAML form.",
                path=path,
            )
        apobj.add(config)
    if tags and not any(True for _ in apobj.find(tags)):
        raise SettingsInvalid("NOTIFY_TAGS: no service has one of these tags.")
    return apobj


def _silence() -> None:
    """Let nothing that names addresses reach any log, whatever level others ask for."""
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    # Apprise's own warnings tell which status a service answered with: it may write them, and
    # hands them over with its results, but they go nowhere else.
    logger = logging.getLogger("apprise")
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def _must_be_readable(settings: Settings) -> None:
    path = settings.notify_config
    if path is None:
        return
    try:
        path.expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsInvalid(
            f"NOTIFY_CONFIG: the file cannot be read: {error.strerror}.",
            hint="Point it at a file that this user may read.",
            path=path,
        ) from None
    except UnicodeDecodeError:
        raise SettingsInvalid("NOTIFY_CONFIG: the file is not text.", path=path) from None


def _asset() -> Any:
    import apprise

    # One after the other, in the caller's own thread: nothing is left running behind it.
    return apprise.AppriseAsset(async_mode=False, app_id="dubarr-watch", app_desc="dubarr-watch")


def _tags(settings: Settings) -> list[str]:
    return [tag.strip() for tag in settings.notify_tags.split(",") if tag.strip()]


def _outcome(result: Any) -> ServiceOutcome:
    ok = bool(result)
    return ServiceOutcome(_scheme(result.url), ok, "" if ok else _why(result), _result_key(result))


def _why(result: Any) -> str:
    """Say why a service did not take a message, from what is safe to repeat."""
    if result.status.name == "TIMEOUT":
        return "did not answer in time"
    words: Iterable[str] = (str(entry.message) for entry in result.logs())
    answers = [found[1] for word in words if (found := _STATUS.search(word))]
    return f"answered with status {answers[-1]}" if answers else "could not be reached or refused"


def _key(service: Any) -> str:
    return str(service.url_id() or service.url(privacy=True))


def _result_key(result: Any) -> str:
    return str(result.url_id or result.url)


def _scheme(url: str) -> str:
    scheme = url.split("://", 1)[0] if "://" in url else ""
    return f"{scheme}://…" if re.fullmatch(r"[\w+.-]{1,20}", scheme) else "of unknown kind"
