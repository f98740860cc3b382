"""How the demo tells its story: chapters, steps, and what was expected of each step.

A step is as expected when all its expectations are met and nothing is raised in it. The last line counts the steps.
"""

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from textwrap import dedent, indent

from rich.console import Console
from rich.padding import Padding


class StepFailed(Exception):
    """A step raised an error, which has been told; the steps behind it have no ground to stand on."""


class Narrator:
    """Writes to a console and keeps count."""

    def __init__(self, console: Console | None = None, *, called: str = "demo") -> None:
        self._console = console or Console(highlight=False)
        self._called = called
        self._chapters = 0
        self._steps = 0
        self._as_expected = 0
        self._faults = 0

    def chapter(self, title: str, text: str = "") -> None:
        """Begin a chapter; `text` says what it is about."""
        self._chapters += 1
        self._print("")
        self._print(f"{self._chapters}. {title}", style="bold")
        self.say(text)

    def say(self, text: str) -> None:
        """A paragraph, wrapped to the console."""
        if text:
            paragraph = Padding(" ".join(dedent(text).split()), (0, 0, 0, 3))
            self._console.print(paragraph, markup=False)

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """One step.

        Raises:
            StepFailed: the body raised an error.
        """
        self._steps += 1
        faults = self._faults
        self._print(f"\n   > {title}")
        try:
            yield
        except Exception as error:
            self._fault(f"{type(error).__name__}: {error}")
            raise StepFailed(title) from error
        self._as_expected += self._faults == faults

    def command(self, line: str) -> None:
        """A command that a reader could type."""
        self._print(f"     $ {line}", style="cyan")

    def output(self, text: str) -> None:
        """What came of it, as it is."""
        self._print(indent(text.rstrip("\n"), "     | "), style="dim")

    def expect(self, what: str, found: object, wanted: object = True) -> bool:
        """Tell whether something is as it should be; inside a step."""
        if found == wanted:
            self._print(f"     ✓ {what}", style="green")
            return True
        self._fault(f"{what}: expected {wanted!r}, found {found!r}")
        return False

    def end(self) -> int:
        """Write the last line; returns the exit status."""
        self._print(f"\n{self._called}: {self._as_expected} of {self._steps} steps as expected", style="bold")
        return 0 if self._steps and self._as_expected == self._steps else 1

    def _fault(self, text: str) -> None:
        self._faults += 1
        self._print(f"     ✗ {text}", style="red")

    def _print(self, text: str, style: str | None = None) -> None:
        """Lines may be longer than the console: they can be copied whole."""
        self._console.print(text, style=style, markup=False, soft_wrap=True)


async def tell(story: Callable[[Narrator], Awaitable[None]], narrator: Narrator | None = None) -> int:
    """Tell a story to its end, or to its first broken step; returns the exit status.

    An error between two steps is raised.
    """
    narrator = narrator or Narrator()
    with contextlib.suppress(StepFailed):
        await story(narrator)
    return narrator.end()
