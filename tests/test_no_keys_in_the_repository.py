"""No key of anybody is in the repository: what looks like one is visibly made up."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]

KEYS = {
    "OpenAI": r"\bsk-(?:proj-)?[A-Za-z0-9_]{40,}\b",
    "Hugging Face": r"\bhf_[A-Za-z]{34}\b",
    "GitHub": r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{60,})\b",
    "AWS": r"\bAKIA[0-9A-Z]{16}\b",
    "Google": r"\bAIza[0-9A-Za-z_-]{35}\b",
    "Slack": r"\bxox[abprs]-[0-9A-Za-z-]{20,}",
    "Telegram": r"\b\d{8,10}:AA[0-9A-Za-z_-]{33}\b",
    "ElevenLabs": r"\bsk_[0-9a-f]{48}\b",
    "a private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s+[A-Za-z0-9+/]{40}",
    "a password in an address": r"\bhttps?://[^\s/:@\"'{}<>$]+:[^\s/:@\"'{}<>$]{12,}@(?!127\.|localhost)[\w.-]+",
}  # fmt: skip


def found_in(text: str) -> list[str]:
    return [whose for whose, form in KEYS.items() if re.search(form, text)]


def test_no_file_holds_a_key() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    files = [ROOT / name for name in listed.decode().split("\0") if name]
    assert len(files) > 300
    texts = {f: f.read_text("utf-8", "ignore") for f in files if f.is_file()}
    assert {str(f): found for f, text in texts.items() if (found := found_in(text))} == {}


def test_each_kind_is_known_when_it_is_there() -> None:
    made_up = {
        "OpenAI": "sk-" + "x1" * 24,
        "Hugging Face": "hf_" + "x" * 34,
        "GitHub": "ghp_" + "x" * 36,
        "AWS": "AKIA" + "X" * 16,
        "Google": "AIza" + "x" * 35,
        "Slack": "xoxb-" + "1" * 24,
        "Telegram": "12345678:AA" + "x" * 33,
        "ElevenLabs": "sk_" + "0" * 48,
        "a private key": "-----BEGIN " + "PRIVATE KEY-----\n" + "A" * 40,
        "a password in an address": "https://me:" + "p" * 12 + "@example.org",
    }
    assert {whose: found_in(f"key = {key}\n") for whose, key in made_up.items()} == {
        whose: [whose] for whose in KEYS
    }
