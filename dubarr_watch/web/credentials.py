"""What opens the door: user name and password, or the API key."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from dubarr_watch.errors import NotWritable
from dubarr_watch.settings import Settings
from dubarr_watch.storage import plain_os_errors, write_atomically

_KEY_FILE = "api-key"
_KEY_BYTES = 16


class Shown(Enum):
    """What came with a request."""

    NOTHING = "nothing"
    WRONG = "wrong"
    PASSWORD = "password"  # noqa: S105
    KEY = "key"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The right ones.

    Attributes:
        user: API_USER.
        password: API_PASS.
        api_key: Sent as `X-Api-Key`.
    """

    user: str
    password: str
    api_key: str
    _hashes: tuple[bytes, bytes, bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Hash the right ones once."""
        hashes = tuple(map(_hash, (self.user, self.password, self.api_key)))
        object.__setattr__(self, "_hashes", hashes)

    @classmethod
    def load(cls, settings: Settings) -> Credentials:
        """Read the API key, made at the first start, and take the rest from the settings.

        Raises:
            NotWritable: The key cannot be kept in CONFIG_DIR.
        """
        key = _load_key(settings.config_dir / _KEY_FILE)
        return cls(settings.api_user, settings.api_pass.get_secret_value(), key)

    def check(self, headers: Mapping[str, str]) -> Shown:
        """Tell what a request's headers hold; takes the same time for any wrong one."""
        right_user, right_password, right_key = self._hashes
        key = headers.get("x-api-key")
        if key is not None:
            return Shown.KEY if _same(key, right_key) else Shown.WRONG
        authorization = headers.get("authorization")
        if authorization is None:
            return Shown.NOTHING
        user, password = _basic(authorization)
        right = _same(user, right_user) & _same(password, right_password)
        return Shown.PASSWORD if right else Shown.WRONG


def _same(given: str, right_hash: bytes) -> bool:
    # Hashed first: compare_digest takes longer for longer texts.
    return hmac.compare_digest(_hash(given), right_hash)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _basic(authorization: str) -> tuple[str, str]:
    scheme, _, code = authorization.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        text = base64.b64decode(code.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return "", ""
    user, _, password = text.partition(":")
    return user, password


def _load_key(path: Path) -> str:
    if not path.exists():
        write_atomically(path, f"{secrets.token_hex(_KEY_BYTES)}\n".encode(), mode=0o600)
    with plain_os_errors(path):
        key = path.read_text(encoding="utf-8", errors="replace").strip()
    if len(key) < _KEY_BYTES:  # shorter than any that we make, and easy to guess
        raise NotWritable(
            "The file of the API key holds none.",
            hint="Remove it: a new key is made at the next start.",
            path=path,
        )
    return key
