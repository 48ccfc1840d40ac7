"""Is everything there that a dub needs? Each check says what it found and what to do about it.

Nothing here prints: the command line and the page show the same results.
"""

from __future__ import annotations

from dubarr_watch.doctor.examination import CHECKS, examine, exit_code, without_settings
from dubarr_watch.doctor.result import CheckResult, CheckState

__all__ = ["CHECKS", "CheckResult", "CheckState", "examine", "exit_code", "without_settings"]
