"""Exact arithmetic on the parts of an expression, held to a size. Pure.

The parser is recursive descent over tokens; `calculate.py` makes them out of what a model writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Context, Decimal
from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple, NoReturn

MOST_BITS = 2_000
"""Size of any number on the way."""
DEEPEST = 40
DIGITS = 12
"""Digits of a result that is no whole number, and most decimals that `round` keeps."""


class Unworkable(ValueError):
    """Why an expression has no value, in one sentence."""


class Hopeless(Unworkable):
    """An expression that is one, but has no value: other lines are no way out."""


def number(value: Fraction) -> int | float:
    """Give a result as data: an integer when it is whole, else to 12 digits."""
    return value.numerator if value.denominator == 1 else float(_decimal(value))


def shown(value: Fraction) -> str:
    """Give a result as text, without zeros that say nothing."""
    if value.denominator == 1:
        return str(value.numerator)
    text = format(_decimal(value), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _decimal(value: Fraction) -> Decimal:
    context = Context(prec=DIGITS)
    return context.divide(Decimal(value.numerator), Decimal(value.denominator))


class Token(NamedTuple):
    kind: str
    """`number`, `word`, `function`, or the operator or bracket itself."""
    value: Fraction = Fraction(0)
    text: str = ""


_Function = Callable[[Sequence[Fraction]], Fraction]


def _rounded(values: Sequence[Fraction]) -> Fraction:
    places = int(values[1]) if len(values) > 1 else 0
    if len(values) > 2 or abs(places) > DIGITS:
        raise Unworkable("round takes a number and how many decimals")
    scale = Fraction(10) ** places
    half_up = floor(abs(values[0]) * scale + Fraction(1, 2)) / scale
    return half_up if values[0] >= 0 else -half_up


def _one(function: Callable[[Fraction], Fraction | int]) -> _Function:
    def run(values: Sequence[Fraction]) -> Fraction:
        if len(values) != 1:
            raise Unworkable("this takes one number")
        return Fraction(function(values[0]))

    return run


FUNCTIONS: dict[str, _Function] = {
    "min": min,
    "max": max,
    "sum": lambda values: sum(values, Fraction(0)),
    "average": lambda values: sum(values, Fraction(0)) / len(values),
    "mean": lambda values: sum(values, Fraction(0)) / len(values),
    "round": _rounded,
    "abs": _one(abs),
    "floor": _one(floor),
    "ceil": _one(ceil),
}


class Parser:
    """Recursive descent; every result is held to MOST_BITS."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = [*tokens, Token("end")]
        self.at = 0
        self.depth = 0

    def value(self) -> Fraction:
        result = self._sum()
        if self._kind != "end":
            self._stuck()
        return result

    @property
    def _kind(self) -> str:
        return self.tokens[self.at].kind

    def _take(self, *kinds: str) -> str:
        kind = self._kind
        if kind not in kinds:
            return ""
        self.at += 1
        return kind

    def _sum(self) -> Fraction:
        left, is_share = self._product()
        while sign := self._take("+", "-"):
            right, share = self._product()
            # As on every pocket calculator, 80 + 15% is 15% of 80 more.
            right = left * right if share and not is_share else right
            left = _held(left + right if sign == "+" else left - right)
            is_share = is_share and share
        return left

    def _product(self) -> tuple[Fraction, bool]:
        left, share = self._signed()
        while self._kind in ("*", "/", "(", "function"):
            sign = self._take("*", "/") or "*"
            right, _ = self._signed()
            share = False
            if sign == "/" and right == 0:
                raise Hopeless("it divides by zero")
            left = _held(left * right if sign == "*" else left / right)
        return left, share

    def _signed(self) -> tuple[Fraction, bool]:
        sign = 1
        while taken := self._take("-", "+"):
            sign = -sign if taken == "-" else sign
        base = self._power()
        share = False
        while self._take("%"):
            base, share = base / 100, True
        return sign * base, share

    def _power(self) -> Fraction:
        base = self._atom()
        if not self._take("^"):
            return base
        negative = bool(self._take("-"))
        exponent = self._power()
        if exponent.denominator != 1 or exponent > MOST_BITS:
            raise Hopeless("an exponent is a small whole number")
        return _raised(base, -int(exponent) if negative else int(exponent))

    def _atom(self) -> Fraction:
        token = self.tokens[self.at]
        self.depth += 1
        if self.depth > DEEPEST:
            raise Hopeless(f"more than {DEEPEST} brackets stand inside each other")
        if self._take("number"):
            result = token.value
        elif self._take("("):
            result = self._sum()
            self._close()
        elif self._take("function"):
            result = FUNCTIONS[token.text](self._values())
        else:
            self._stuck()
        self.depth -= 1
        return result

    def _values(self) -> list[Fraction]:
        self._take("(")
        values = [self._sum()]
        while self._take(","):
            values.append(self._sum())
        self._close()
        return values

    def _close(self) -> None:
        if not self._take(")"):
            raise Unworkable("a bracket is not closed")

    def _stuck(self) -> NoReturn:
        token = self.tokens[self.at]
        what = shown(token.value) if token.kind == "number" else token.text or token.kind
        if token.kind == "end":
            raise Unworkable("the expression is not finished")
        raise Unworkable(f"{what!r} does not fit where it stands")


def _raised(base: Fraction, exponent: int) -> Fraction:
    if base == 0 and exponent < 0:
        raise Hopeless("it divides by zero")
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(base) != 1 and bits * abs(exponent) > MOST_BITS:
        raise Hopeless("the result is too large")
    return base**exponent


def _held(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MOST_BITS:
        raise Hopeless("the result is too large")
    return value
