"""The voices of Kokoro 1.0, as their authors published them.

The first letter of a name is the language the voice was made for, the second its gender. Grades
are the overall ones of the model card's VOICES page; Spanish and Portuguese have none there.
"""

from __future__ import annotations

from tts_sidecar.engines.base import Gender, Voice

# Japanese (j) and Chinese (z) voices need phonemizers that the sidecar does not have.
_LANGUAGES = {"a": "en", "b": "en", "e": "es", "f": "fr", "h": "hi", "i": "it", "p": "pt"}
LANGUAGES = sorted(set(_LANGUAGES.values()))

_GRADES: dict[str, str | None] = {
    "af_heart": "A",
    "af_bella": "A-",
    "af_nicole": "B-",
    "af_aoede": "C+",
    "af_kore": "C+",
    "af_sarah": "C+",
    "af_alloy": "C",
    "af_nova": "C",
    "af_sky": "C-",
    "af_jessica": "D",
    "af_river": "D",
    "am_fenrir": "C+",
    "am_michael": "C+",
    "am_puck": "C+",
    "am_echo": "D",
    "am_eric": "D",
    "am_liam": "D",
    "am_onyx": "D",
    "am_santa": "D-",
    "am_adam": "F+",
    "bf_emma": "B-",
    "bf_isabella": "C",
    "bf_alice": "D",
    "bf_lily": "D",
    "bm_fable": "C",
    "bm_george": "C",
    "bm_lewis": "D+",
    "bm_daniel": "D",
    "ef_dora": None,
    "em_alex": None,
    "em_santa": None,
    "ff_siwis": "B-",
    "hf_alpha": "C",
    "hf_beta": "C",
    "hm_omega": "C",
    "hm_psi": "C",
    "if_sara": "C",
    "im_nicola": "C",
    "pf_dora": None,
    "pm_alex": None,
    "pm_santa": None,
}

# The Romance languages have one to three voices each, French no male one, so they help each other
# out: best understood first (character errors of Whisper base, measured: at most 3 %, for French
# if_sara 1 %, ef_dora 0 %, em_alex 4 %, pm_alex 5 %, pf_dora 7 %, im_nicola 9 %).
_HELPERS = {
    "es": ("if_sara", "im_nicola", "pm_alex", "pf_dora", "ff_siwis"),
    "fr": ("if_sara", "ef_dora", "em_alex", "pm_alex", "pf_dora", "im_nicola"),
    "it": ("ef_dora", "em_alex", "pf_dora", "pm_alex", "ff_siwis"),
    "pt": ("ef_dora", "em_alex", "if_sara", "im_nicola", "ff_siwis"),
}
_BEST_FIRST = ["A", "A-", "B", "B-", "C+", "C", "C-", "D+", "D", "D-", "F+", "F", None]


def voices_of(language: str) -> list[Voice]:
    """Return the voices for a language: its own, best grade first, then its neighbours'."""
    own = [name for name in _GRADES if _LANGUAGES[name[0]] == language]
    own.sort(key=lambda name: _BEST_FIRST.index(_GRADES[name]))
    helpers = _HELPERS.get(language, ())
    return [_voice(name, language, native=True) for name in own] + [
        _voice(name, language, native=False) for name in helpers
    ]


def _voice(name: str, language: str, *, native: bool) -> Voice:
    gender: Gender = "female" if name[1] == "f" else "male"
    return Voice(name, language, gender, "kokoro", _GRADES[name], native)
