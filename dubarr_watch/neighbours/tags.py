"""Tags of a film or series that choose languages: `dub-de-fr`, `dub`, `nodub`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dubarr_watch.errors import UnknownLanguage
from dubarr_watch.languages import Language, parse_language

_TAGS, _TAG_CHARS = 200, 100


@dataclass(frozen=True, slots=True)
class Tagged:
    """What tags ask for.

    Attributes:
        dub: Whether a tag asks for a dub at all.
        languages: Codes, in the tags' order; none means TARGET_LANGS.
        never: Whether it must not be dubbed; stronger than every other tag. `nodub-de` says so,
            too: rather no dub than one that somebody does not want.
        unclear: Words of these tags that name no language.
    """

    dub: bool = False
    languages: tuple[str, ...] = ()
    never: bool = False
    unclear: tuple[str, ...] = ()


def read_tags(tags: Iterable[str], target_langs: Iterable[Language]) -> Tagged:
    """Return what tags ask for; every other tag is somebody else's.

    Args:
        tags: In lower case, as Radarr and Sonarr keep them.
        target_langs: TARGET_LANGS, which `dub` stands for beside `dub-de`.
    """
    ours = [tag[:_TAG_CHARS] for tag in list(tags)[:_TAGS] if tag.split("-")[0] in ("dub", "nodub")]
    codes: dict[str, None] = {}
    unclear: list[str] = []
    for tag in ours:
        if tag.startswith("nodub"):
            continue
        for word in tag.split("-")[1:]:
            try:
                codes[parse_language(word).code] = None
            except UnknownLanguage:
                unclear.append(word)
    if "dub" in ours and codes:
        codes = dict.fromkeys((*(language.code for language in target_langs), *codes))
    never = any(tag.startswith("nodub") for tag in ours)
    return Tagged(bool(codes) or "dub" in ours, tuple(codes), never, tuple(unclear))
