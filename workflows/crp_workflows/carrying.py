"""How a job goes on in a new history without doing anything twice.

Temporal's histories must stay short. When one has become long, the job stops at its gate, lets
what is under way finish, and starts again from the top with all results that it has so far; each
effect that is asked for again is answered from them. So the path of the job stays one path, and
nothing needs to know at which of its places it was. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from functools import lru_cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

from crp.errors import CRPError
from crp.failures import packed, unpacked
from crp.models import Call, Carried, Kept

T = TypeVar("T")

NOT_KNOWN_BY = {"outputs", "hints", "critique", "draft", "origin", "seconds"}
"""Fields of a call that may differ when it is told again."""


class Results:
    """What the effects of a job gave, by what was asked."""

    def __init__(self, carried: Carried | None = None) -> None:
        self._before: dict[str, Kept] = dict(carried.results) if carried else {}
        self._given: dict[str, Kept] = {}

    def known(self, key: str) -> bool:
        """Whether an earlier history has the answer."""
        return key in self._before

    def again(self, key: str, kind: type[T]) -> T:
        """Give an answer once more, or raise the error that it was."""
        kept = self._before[key]
        if kept.error:
            raise unpacked(kept)
        answer: T = _adapter(cast(Hashable, kind)).validate_json(kept.value)
        return answer

    def keep(self, key: str, answer: Any, kind: Any) -> None:
        """Remember an answer of this history; an error is an answer as well.

        As text at once: to write all of them at the end would be a pause that Temporal takes for a
        deadlock.
        """
        self._given[key] = _kept(answer, kind)

    def all(self) -> dict[str, Kept]:
        """Everything known so far, as it is handed on."""
        return self._before | self._given


def _kept(answer: Any, kind: Any) -> Kept:
    if isinstance(answer, CRPError):
        return packed(answer)
    return Kept(value=_adapter(kind).dump_json(answer).decode())


@lru_cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Made once: to make one costs more than to use it thousands of times."""
    return TypeAdapter(kind)


def call_key(name: str, call: Call) -> str:
    """What a call is known by: the same in every history of the job, also after an upgrade.

    Not by what other steps made: they came in some order, and are the same by what stands here.
    Not by what is as always: a later release may have more fields.
    """
    told = call.model_dump_json(exclude=NOT_KNOWN_BY, exclude_defaults=True)
    about = hashlib.sha256(repr(call.draft).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{name} {told} {about}"
