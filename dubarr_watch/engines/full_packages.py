"""Which packages of the full profile are not installed, found without importing one of them.

They are an extra of pyproject.toml, because they take 8 GB: `make full` installs them.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence

from dubarr_watch.errors import ToolMissing
from dubarr_watch.settings import Settings, TtsModel

# What the engines import: of each extra requirement, the module that it is for.
_MODULES = {
    "torch": "torch",
    "torchaudio": "torchaudio",
    "pyannote.audio": "pyannote.audio",
    "demucs": "demucs",
    "elevenlabs": "elevenlabs",
}
_ON_LINUX = {"nvidia-cublas-cu12": "nvidia.cublas"}


def full_packages_missing(packages: Sequence[str] | None = None) -> list[str]:
    """Return the packages that the full profile needs and that are not installed.

    Args:
        packages: The ones to look for, as pyproject.toml names them; all of them unless told.
    """
    known = _MODULES | (_ON_LINUX if sys.platform == "linux" else {})
    wanted = list(known) if packages is None else packages
    return [name for name in wanted if name in known and not _is_there(known[name])]


def require_full_packages(settings: Settings) -> None:
    """Do nothing when the packages are there that the settings make use of.

    Raises:
        ToolMissing: One or more are not; the hint says how to install them.
    """
    missing = full_packages_missing()
    if settings.tts_model is not TtsModel.ELEVENLABS:
        missing = [name for name in missing if name != "elevenlabs"]
    if missing == ["elevenlabs"]:
        raise ToolMissing(
            "TTS_MODEL=elevenlabs needs the package elevenlabs, which is not installed.",
            hint="Install it: make full. Or choose another TTS_MODEL.",
        )
    if missing:
        raise ToolMissing(
            f"The full profile needs packages that are not installed: {', '.join(missing)}.",
            hint="Install them: make full (4 GB to fetch). Or set PROFILE=embedded.",
        )


def _is_there(module: str) -> bool:
    # Looking a submodule up would import its parents; those are empty namespaces or small here.
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
