"""A model that answers from a script, for tests and demos. Touches nothing.

It fails loudly when its script does not fit what is asked: a test that asks once too often is
wrong, and should not get an invented answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from crp.errors import ModelRefused
from crp.models import Completion
from crp_activities.providers.base import ModelRequest, estimate_tokens, one_line

Line = str | Completion | Exception
"""A text, a whole completion, or an error to raise."""

Script = Sequence[Line] | Mapping[str, Line | Sequence[Line]] | Callable[[ModelRequest], Line]


class ScriptedModel:
    """Answer from a list (in order), a mapping (by what the prompt contains) or a function.

    The first key of a mapping that stands in the prompt decides; a list behind it is used up in
    order. Raises ModelRefused when the script has no (more) answer.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self._used: dict[str, int] = {}
        self.requests: list[ModelRequest] = []

    @property
    def calls(self) -> int:
        """How often it was asked."""
        return len(self.requests)

    async def complete(self, request: ModelRequest) -> Completion:
        """Give the script's answer to this request."""
        self.requests.append(request)
        prompt = "\n\n".join(message.content for message in request.messages)
        line = self._line(request, prompt)
        if isinstance(line, Exception):
            raise line
        if isinstance(line, Completion):
            return line
        return Completion(
            text=line,
            model="scripted",
            prompt_tokens=estimate_tokens(prompt),
            completion_tokens=estimate_tokens(line),
        )

    def _line(self, request: ModelRequest, prompt: str) -> Line:
        script = self._script
        if callable(script):
            return script(request)
        if not isinstance(script, Mapping):
            return self._next("", script, prompt)
        for key, lines in script.items():
            if key in prompt:
                alone = isinstance(lines, str | Completion | Exception)
                return lines if alone else self._next(key, lines, prompt)  # type: ignore[return-value,arg-type]
        raise ModelRefused(f"the script has no answer to {one_line(prompt[-200:])!r}")

    def _next(self, key: str, lines: Sequence[Line], prompt: str) -> Line:
        if isinstance(lines, str):
            raise ModelRefused("a script is a list of answers, not one text")
        number = self._used.get(key, 0)
        if number >= len(lines):
            where = f" for {key!r}" if key else ""
            raise ModelRefused(
                f"the script has {len(lines)} answers{where}, and was asked once more: "
                f"{one_line(prompt[-200:])!r}"
            )
        self._used[key] = number + 1
        return lines[number]
