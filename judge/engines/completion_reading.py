"""What a completion says: probabilities of the choices, a drawn answer, a text.

`where` names the server in errors.
"""

from __future__ import annotations

import json

from judge.engines.chat_format import ChatChoice, Completion
from judge.engines.choice_reading import ChoiceReader, read_logprobs
from judge.errors import AnswerError, EngineError, quoted
from judge.types import ChoiceProbabilities, Generation

NO_LOGPROBS = (
    "take a server that gives logprobs and top_logprobs, or set engine.openai.samples, for instance to 16, to count "
    "drawn answers instead"
)


def probabilities(completion: Completion, reader: ChoiceReader, *, where: str) -> ChoiceProbabilities:
    """Raises EngineError: There are no logprobs, or none that can be read."""
    logprobs = completion.choices[0].logprobs
    if logprobs is None or not logprobs.content or not logprobs.content[0].top_logprobs:
        raise EngineError(f"{where} gave no logprobs of the likeliest tokens", hint=NO_LOGPROBS)
    try:
        return read_logprobs(reader, logprobs.content[0].top_logprobs, prompt_tokens=completion.usage.prompt_tokens)
    except EngineError as error:
        raise EngineError(f"{where}: {error.message}", hint=error.hint) from error


def drawn_text(choice: ChatChoice) -> str:
    """Empty for an answer that was withheld: it is no vote."""
    return "" if choice.finish_reason == "content_filter" else choice.message.content or ""


def generation(completion: Completion, *, where: str) -> Generation:
    """Raises AnswerError: The text was withheld, or there is none."""
    choice, usage = completion.choices[0], completion.usage
    reason, text = choice.finish_reason, choice.message.content
    if reason not in ("stop", "length"):
        raise AnswerError(f"{where} ended its text with finish_reason {reason!r}: it is withheld or no text")
    if text is None:
        raise AnswerError(
            f"{where} wrote no text (finish_reason {reason!r})",
            hint="a model that thinks first may need more tokens, or thinking switched off in extra_body",
        )
    return Generation(
        text=text.strip(),
        finish_reason="stop" if reason == "stop" else "length",
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
    )


def check_json(found: Generation, *, where: str) -> None:
    """Raises AnswerError: The text came to its end and is no JSON."""
    if found.finish_reason == "stop" and not _is_json(found.text):
        raise AnswerError(
            f"{where} was asked for JSON under a schema and wrote something else: {quoted(found.text)}",
            hint="does it have structured output? set engine.openai.structured_output to false if not",
        )


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
