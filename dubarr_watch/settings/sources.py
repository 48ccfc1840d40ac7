"""Where values come from below the environment: `NAME_FILE` and `CONFIG_DIR/config.env`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

DEFAULT_CONFIG_DIR = Path("/app/config")

_INHERITED = (
    *("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"),
    *("LD_LIBRARY_PATH", "PYTHONPATH"),
)


# Nothing on a home server reports its use to anybody: onnxruntime does, unless told not to.
_QUIET = {"ORT_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}


def child_environment() -> dict[str, str]:
    """Return the variables that a model process inherits: a short list, so no secret is on it."""
    measuring = {key: value for key, value in os.environ.items() if key.startswith("COVERAGE_")}
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return _QUIET | inherited | measuring


def whole_environment() -> dict[str, str]:
    """Return all variables: for another process of this very program, which needs its settings."""
    return dict(os.environ)


def visible_devices() -> str | None:
    """Return CUDA_VISIBLE_DEVICES: the GPUs that whoever started this program lets it use."""
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def counts_by_bus() -> bool:
    """Tell whether CUDA counts GPUs as nvidia-smi does, not the fastest first."""
    return os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for the value of a file that could not be read, until every setting is checked."""

    reason: str


class NameFileSource(PydanticBaseSettingsSource):
    """Values from the files that `NAME_FILE` variables point to."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the value from one field's file, if there is such a file."""
        path = os.environ.get(f"{field_name.upper()}_FILE")
        if not path:
            return None, field_name, False
        return Path(path).read_text(encoding="utf-8").strip() or None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return all values that come from files; a failure stands in for its value."""
        found: dict[str, Any] = {}
        for name, field in self.settings_cls.model_fields.items():
            try:
                value, _, _ = self.get_field_value(field, name)
            except (OSError, UnicodeDecodeError) as error:
                value = Unreadable(_why_unreadable(error))
            if value is not None:
                found[name] = value
        return found


def config_env() -> Path:
    """Return the file that is read below the environment."""
    config_dir = os.environ.get("CONFIG_DIR") or DEFAULT_CONFIG_DIR
    return Path(config_dir).expanduser() / "config.env"


def config_env_problem() -> str:
    """Return why CONFIG_DIR/config.env cannot be read; nothing when it can or is not there."""
    try:
        config_env().read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError) as error:
        return _why_unreadable(error)
    return ""


def _why_unreadable(error: OSError | UnicodeDecodeError) -> str:
    return "it is not text" if isinstance(error, UnicodeDecodeError) else str(error.strerror)
