"""The voices of XTTS v2: those it was published with, and the one that is cloned."""

from __future__ import annotations

from collections.abc import Iterable

from tts_sidecar.engines.base import Gender, Voice

CLONE = "clone"

# Names in speakers_xtts.pth of the published model. Coqui published no genders; these are as
# listeners have listed them. Ige Behringer, whom lists disagree on, goes by the name's bearers.
_FEMALE = """
    Claribel Dervla, Daisy Studious, Gracie Wise, Tammie Ema, Alison Dietlinde, Ana Florence,
    Annmarie Nele, Asya Anara, Brenda Stern, Gitta Nikolina, Henriette Usha, Sofia Hellen,
    Tammy Grit, Tanja Adelina, Vjollca Johnnie, Nova Hogarth, Maja Ruoho, Uta Obando,
    Lidiya Szekeres, Chandra MacFarland, Szofi Granger, Camilla Holmström, Lilya Stainthorpe,
    Zofija Kendrick, Narelle Moon, Barbora MacLean, Alexandra Hisakawa, Alma María,
    Rosemary Okafor
"""
_MALE = """
    Andrew Chipper, Badr Odhiambo, Dionisio Schuyler, Royston Min, Viktor Eka, Abrahan Mack,
    Adde Michal, Baldur Sanjin, Craig Gutsy, Damien Black, Gilberto Mathias, Ilkin Urbano,
    Kazuhiko Atallah, Ludvig Milivoj, Suad Qasim, Torcull Diarmuid, Viktor Menelaos,
    Zacharie Aimilios, Ige Behringer, Filip Traverse, Damjan Chapman, Wulf Carlevaro,
    Aaron Dreschner, Kumar Dahl, Eugenio Mataracı, Ferran Simen, Xavier Hayasaka, Luis Moray,
    Marcos Rudaski
"""


def _names(listed: str) -> list[str]:
    return [" ".join(name.split()) for name in listed.split(",")]


GENDERS: dict[str, Gender] = {
    **dict.fromkeys(_names(_FEMALE), "female"),
    **dict.fromkeys(_names(_MALE), "male"),
}


def voices_of(language: str, speakers: Iterable[str]) -> list[Voice]:
    """Return a language's voices: the built-in ones, and at the end the one to be cloned.

    Every built-in voice speaks every language. One whose gender nobody knows counts as female, as
    does the cloned one, where it means nothing.

    Args:
        language: One of `xtts_text.LANGUAGES`.
        speakers: Names in speakers_xtts.pth.
    """
    known = [Voice(name, language, GENDERS.get(name, "female"), "xtts") for name in speakers]
    # Published names first: a caller that looks at genders should meet those that are known.
    known.sort(key=lambda voice: voice.id not in GENDERS)
    return [*known, Voice(CLONE, language, "female", "xtts", cloned=True)]
