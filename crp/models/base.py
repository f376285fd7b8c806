"""What all models are made of: the frozen base class, and numbers and levels with names."""

from __future__ import annotations

import json
from enum import IntEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from crp.errors import ConfigError

Quality = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
"""0 to 1. NaN and values outside are refused."""


Capability = Annotated[int, Field(ge=0, le=3)]


Complexity = Annotated[int, Field(ge=1, le=5)]


def _sayable(inputs: dict[str, JsonValue]) -> dict[str, JsonValue]:
    try:
        json.dumps(inputs, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise ValueError("an input has half a character in it (a lone surrogate)") from None
    except ValueError:
        raise ValueError("an input has a number that JSON can not say") from None
    return inputs


Inputs = Annotated[dict[str, JsonValue], AfterValidator(_sayable)]
"""What a template is filled in with, by name: everything that JSON and UTF-8 can say."""


class Wire(BaseModel):
    # As JSON, NaN is NaN: whoever must not have it can tell; as null it would be no number at all.
    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="constants")


class Level(IntEnum):
    """How much help a prompt gets (spec, section 5)."""

    NONE = 0
    LIGHT = 1
    MEDIUM = 2
    HEAVY = 3

    @property
    def word(self) -> str:
        return self.name.lower()

    @property
    def help(self) -> str:
        """How people are told: `no help`, `light help`."""
        return f"{'no' if self is Level.NONE else self.word} help"

    @classmethod
    def named(cls, word: str) -> Level:
        return cls[word.upper()]

    def heavier(self) -> Level:
        return Level(min(self + 1, Level.HEAVY))


LevelWord = Literal["auto", "none", "light", "medium", "heavy"]


class Pressure(IntEnum):
    """How scarce the machine's resources are (spec, section 2)."""

    NONE = 0
    LOW = 1
    MODERATE = 2
    HIGH = 3
    CRITICAL = 4

    @classmethod
    def named(cls, word: str | Pressure) -> Pressure:
        """Read a pressure by its name, in any case; `medium` means MODERATE."""
        if isinstance(word, Pressure):
            return word
        name = str(word).strip().upper()
        try:
            return cls["MODERATE" if name == "MEDIUM" else name]
        except KeyError:
            names = ", ".join(p.name for p in cls)
            raise ConfigError(f"no resource pressure {word!r}: it is one of {names}") from None
