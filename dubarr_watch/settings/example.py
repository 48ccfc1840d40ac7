"""config.example.env: every setting with its default and one line of help."""

from __future__ import annotations

from pydantic import SecretStr

from dubarr_watch.languages import Language
from dubarr_watch.settings.cluster import ClusterSettings
from dubarr_watch.settings.full_profile import FullProfileSettings
from dubarr_watch.settings.model import Settings
from dubarr_watch.settings.neighbours import NeighbourSettings
from dubarr_watch.settings.quality import QualitySettings
from dubarr_watch.settings.web import WebSettings


def example_env() -> str:
    """Return config.example.env: every setting with its default and one line of help."""
    blocks = [
        "# Every setting of dubarr-watch with its default. Set them in the environment, or copy\n"
        "# this file to CONFIG_DIR/config.env. Each can also be given as NAME_FILE, the path of a\n"
        "# file that holds the value.\n"
    ]
    rooms = (
        WebSettings,
        QualitySettings,
        NeighbourSettings,
        FullProfileSettings,
        ClusterSettings,
    )
    special = {name: it for room in rooms for name, it in room.model_fields.items()}
    common = {name: it for name, it in Settings.model_fields.items() if name not in special}
    for name, field in {**common, **special}.items():
        blocks.append(f"# {field.description}\n#{name.upper()}={as_written(field.default)}\n")
    return "\n".join(blocks)


def as_written(default: object) -> str:
    """Return a value as somebody would write it into a file of settings."""
    if default is None:
        return ""
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return ",".join(item.code if isinstance(item, Language) else str(item) for item in default)
    if isinstance(default, dict):
        return ",".join(f"{key}={value}" for key, value in default.items())
    return str(default)
