"""How much a model is asked at a time."""

from __future__ import annotations

from dataclasses import dataclass

_CHARS_PER_TOKEN = 2.5  # of JSON with dialogue in it; English has 4, other scripts 1 to 3
_RULES_TOKENS = 650


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is asked at a time.

    Attributes:
        batch: Texts in one request.
        batch_chars: Characters of source text in one request.
        before: Texts before a batch that go with it as context.
        after: Texts after a batch that go with it.
        analysis_chars: Characters of film in one request of its analysis.
        analysis_tokens: Length of that request's answer.
    """

    batch: int = 16
    batch_chars: int = 2400
    before: int = 6
    after: int = 3
    analysis_chars: int = 60_000
    analysis_tokens: int = 6000


LARGE = Sizes()
"""For models whose context is no concern."""


def sizes_for(context_tokens: int) -> Sizes:
    """Return what fits a model's context, rules and answer included.

    What is too much after all is asked again in smaller parts.

    Args:
        context_tokens: Tokens that one request and its answer may have.
    """
    room = max(256, context_tokens - _RULES_TOKENS)
    answer, most = min(LARGE.analysis_tokens, room // 3), LARGE
    return Sizes(
        batch=max(1, min(most.batch, room // 110)),
        # A third is the lines, a third their translation, a third what is known of the film.
        batch_chars=max(200, min(most.batch_chars, round(room / 3 * _CHARS_PER_TOKEN))),
        before=min(most.before, room // 400),
        after=min(most.after, room // 600),
        analysis_chars=min(most.analysis_chars, round((room - answer) * 0.8 * _CHARS_PER_TOKEN)),
        analysis_tokens=answer,
    )
