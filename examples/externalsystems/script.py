"""The scripts of the misbehaving system: what happens to the first request, to the second, and so on.

A script is `STEP,STEP,…` and a step is `ACTION[xCOUNT][:option=value]…`; `x*` means for ever. After the last step,
requests succeed.

    503, 429, …   this status, and nothing is done                        after=, effect=, wait=
    ok            done, and answered with 200                             wait=
    cut           done, then the connection is cut instead of an answer   by=, wait=
    unread        reset before the body is read; nothing is done
    truncate      done; the connection ends in the middle of the answer   wait=
    drip          done; the answer's body comes one byte at a time        every=, bytes=, wait=

`after=1` sends `Retry-After: 1`. `effect=1` does the thing and answers with the error all the same. `wait=5` does the
thing, if it is done at all, and answers five seconds later. `by=rst` (the default) resets, `by=fin` closes in order.
"""

import math
import re
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_STEP = re.compile(
    r"(?P<action>\d{3}|ok|cut|unread|truncate|drip)(?:x(?P<count>\d{1,6}|\*))?(?P<options>(?::[a-z]+=[a-z0-9.]+)*)"
)


class ScriptError(ValueError):
    """The script cannot be read; the message says what is wrong with it."""


class Step(BaseModel):
    """What happens to one request. Times in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["answer", "cut", "unread", "truncate", "drip"] = "answer"
    status: int = Field(default=200, ge=200, le=599)
    effect: bool = True
    after: float | None = None
    wait: float = 0.0
    by: Literal["rst", "fin"] = "rst"
    every: float = 0.1
    bytes: int = 100


@dataclass(frozen=True)
class Script:
    """Steps, each with how many requests it is for."""

    steps: tuple[tuple[Step, float], ...]

    def step(self, number: int) -> Step:
        """What happens to the request of this number, counted from 1."""
        for step, count in self.steps:
            if number <= count:
                return step
            number -= int(count)
        return Step()


def parse_script(text: str) -> Script:
    """Read a script.

    Raises:
        ScriptError: there is no such action or option.
    """
    return Script(tuple(_parse_step(part) for part in text.split(",")))


def _parse_step(text: str) -> tuple[Step, float]:
    match = _STEP.fullmatch(text)
    if match is None:
        raise ScriptError(f"{text!r} is no step")
    options = dict(pair.split("=") for pair in match["options"].split(":")[1:])
    try:
        step = Step.model_validate({**_action(match["action"]), **options})
    except ValidationError as error:
        first = error.errors()[0]
        raise ScriptError(f"step {text!r}, {first['loc'][0]}: {first['msg']}") from None
    return step, math.inf if match["count"] == "*" else int(match["count"] or 1)


def _action(word: str) -> dict[str, object]:
    if word.isdigit():
        return {"status": int(word), "effect": word.startswith("2")}
    return {} if word == "ok" else {"action": word, "effect": word != "unread"}
