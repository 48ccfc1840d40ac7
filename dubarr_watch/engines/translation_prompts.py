"""What a translator is asked, in a form that small models follow too.

Two worked lines for the pair of languages do more for a small model than any wording: they fix the
register, the punctuation and the shape of the answer. A budget in characters or words for each
line does nothing for Qwen2.5-Coder-1.5B (21 of 24 Spanish lines within it against 23 of 24
without), so the prompt only asks for lines as short as the original.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from openai.types.chat import ChatCompletionMessageParam

from dubarr_watch.errors import UnknownLanguage
from dubarr_watch.languages import parse_language

_LINES: Mapping[str, tuple[str, str]] = {
    "en": ("I told you not to touch that, Tom!", "What are we going to do now?"),
    "de": ("Ich habe dir gesagt, fass das nicht an, Tom!", "Was machen wir jetzt?"),
    "es": ("¡Te dije que no tocaras eso, Tom!", "¿Qué vamos a hacer ahora?"),
    "fr": ("Je t'ai dit de ne pas toucher à ça, Tom !", "Qu'est-ce qu'on fait maintenant ?"),
    "it": ("Ti ho detto di non toccarlo, Tom!", "Che cosa facciamo adesso?"),
    "nl": ("Ik zei toch dat je dat niet moest aanraken, Tom!", "Wat gaan we nu doen?"),
    "pl": ("Mówiłem ci, żebyś tego nie dotykał, Tom!", "Co teraz zrobimy?"),
    "pt": ("Eu disse para você não tocar nisso, Tom!", "O que vamos fazer agora?"),
}
LENGTHS = ("shorter", "shortest")
"""What the wordings of a line are called in their keys: small models go by that, not by numbers."""

_LONG_AND_SHORTER: Mapping[str, tuple[str, str, str]] = {
    "en": (
        "I really do think that we ought to leave this place now.",
        "I really think we should leave this place.",
        "I think we should leave.",
    ),
    "de": (
        "Ich glaube wirklich, dass wir diesen Ort jetzt verlassen sollten.",
        "Ich glaube, wir sollten jetzt von hier weggehen.",
        "Wir sollten gehen.",
    ),
    "es": (
        "De verdad creo que deberíamos marcharnos ya de este lugar.",
        "Creo que deberíamos irnos ya de este lugar.",
        "Creo que debemos irnos.",
    ),
    "fr": (
        "Je crois vraiment que nous devrions quitter cet endroit.",
        "Je crois que nous devrions partir d'ici.",
        "Je crois qu'il faut partir.",
    ),
    "it": (
        "Credo davvero che dovremmo andarcene da questo posto.",
        "Credo che dovremmo andarcene da qui.",
        "Dovremmo andare via.",
    ),
    "nl": (
        "Ik denk echt dat we deze plek nu moeten verlaten.",
        "Ik denk dat we hier nu weg moeten.",
        "We moeten gaan.",
    ),
    "pl": (
        "Naprawdę uważam, że powinniśmy już opuścić to miejsce.",
        "Myślę, że powinniśmy już stąd iść.",
        "Powinniśmy już iść.",
    ),
    "pt": (
        "Eu realmente acho que devemos sair deste lugar agora.",
        "Acho que devemos sair daqui agora.",
        "Acho que devemos ir.",
    ),
}


def translation_messages(
    source: str, target: str, texts: Mapping[str, str], before: Sequence[str]
) -> list[ChatCompletionMessageParam]:
    """Return the conversation that asks for translations; all before the texts is constant.

    Args:
        source: ISO 639-1 code.
        target: ISO 639-1 code.
        texts: By key; a key that ends with one of `LENGTHS` asks for another wording.
        before: What is said just before, not to be translated.
    """
    into = language_name(target)
    system = (
        f"You are a dubbing translator. Translate each line of film dialogue from "
        f"{language_name(source)} into natural spoken {into}, about as short as the original. "
        f"Answer with JSON: the same keys, the {into} lines as values. No notes."
    )
    examples: list[tuple[str, str]] = []
    if source in _LINES and target in _LINES:
        examples = [(_json(_keyed(_LINES[source])), _json(_keyed(_LINES[target])))]
    shown = {key.split()[0]: text for key, text in texts.items()}
    if len(shown) < len(texts):
        shorter, shortest = LENGTHS
        system += (
            f' "{shorter}" is another translation of the line that leaves out a few words, '
            f'"{shortest}" one that has far fewer words.'
        )
        if source in _LONG_AND_SHORTER and target in _LONG_AND_SHORTER:
            long = {"1": _LONG_AND_SHORTER[source][0]}
            examples.append((_json(long), _json(_of_all_lengths(_LONG_AND_SHORTER[target]))))
    asked = _json(shown)
    if before:
        asked = f"Just before, as context: {' '.join(before)}\n{asked}"
    return _conversation(system, examples, asked)


def shortening_messages(target: str, texts: Mapping[str, str]) -> list[ChatCompletionMessageParam]:
    """Return the conversation that asks for shorter wordings in the same language.

    Args:
        target: ISO 639-1 code.
        texts: By key; a key ends with one of `LENGTHS`.
    """
    name = language_name(target)
    shorter, shortest = LENGTHS
    system = (
        f"You shorten film dialogue. Rewrite each {name} line in {name} twice, keeping its "
        f'meaning: "{shorter}" leaves out a few words, "{shortest}" has far fewer words. Answer '
        f"with JSON: for each key its {shorter} and its {shortest} line."
    )
    examples: list[tuple[str, str]] = []
    if target in _LONG_AND_SHORTER:
        said = _of_all_lengths(_LONG_AND_SHORTER[target])
        examples = [(_json({"1": said.pop("1")}), _json(said))]
    # Each line is shown once: what a small model sees twice it copies.
    return _conversation(
        system, examples, _json({key.split()[0]: text for key, text in texts.items()})
    )


def answer_schema(keys: Sequence[str]) -> dict[str, Any]:
    """Return the JSON schema of an answer that has every key once, and no other."""
    return {
        "type": "object",
        "properties": {key: {"type": "string"} for key in keys},
        "required": list(keys),
        "additionalProperties": False,
    }


def language_name(code: str) -> str:
    """Return the English name of a language, or the code itself when nobody knows it."""
    try:
        return parse_language(code).name
    except UnknownLanguage:
        return code


def _conversation(
    system: str, examples: Sequence[tuple[str, str]], asked: str
) -> list[ChatCompletionMessageParam]:
    messages: list[ChatCompletionMessageParam] = [{"role": "system", "content": system}]
    for question, answer in examples:
        messages.append({"role": "user", "content": question})
        messages.append({"role": "assistant", "content": answer})
    messages.append({"role": "user", "content": asked})
    return messages


def _of_all_lengths(texts: tuple[str, str, str]) -> dict[str, str]:
    long, shorter, shortest = texts
    return {"1": long, f"1 {LENGTHS[0]}": shorter, f"1 {LENGTHS[1]}": shortest}


def _keyed(lines: Sequence[str]) -> dict[str, str]:
    return {str(number): line for number, line in enumerate(lines, 1)}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
