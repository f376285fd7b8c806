"""Keeps what was made of texts, the newest, up to a number of characters.

What a text compiles to takes up to a hundred times its length, so a number of entries bounds no
memory: a few hundred hostile templates would fill it. Safe to use from several threads.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import Any, TypeVar

Made = TypeVar("Made")

MOST = 400_000
"""Characters of texts: a shelf of templates, or 80 MB of what is hardest to compile."""


def kept(make: Callable[..., Made]) -> Callable[..., Made]:
    """Remember what a function makes of a text, and of what stands behind it in the call."""
    known: OrderedDict[Any, Made] = OrderedDict()
    lock = Lock()
    size = 0

    @wraps(make)
    def look(text: str, *more: Any, **named: Any) -> Made:
        nonlocal size
        key = (text, *more, *named.values())
        with lock:
            if key in known:
                known.move_to_end(key)
                return known[key]
        made = make(text, *more, **named)
        with lock:
            size += 0 if key in known else len(text)
            known[key] = made
            while size > MOST:
                size -= len(known.popitem(last=False)[0][0])
        return made

    return look
