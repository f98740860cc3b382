"""How the demo counts its steps and ends."""

import io
from collections.abc import Awaitable, Callable

import pytest
from rich.console import Console

from examples.demo.narration import Narrator, tell

Story = Callable[[Narrator], Awaitable[None]]


async def told(story: Story) -> tuple[int, str]:
    """The exit status and everything written."""
    page = io.StringIO()
    status = await tell(story, Narrator(Console(file=page, width=60)))
    return status, page.getvalue()


async def test_a_story_whose_steps_all_go_well_ends_with_status_0() -> None:
    async def story(narrator: Narrator) -> None:
        narrator.chapter("Calls", "What this is about.")
        with narrator.step("one"):
            narrator.expect("the account", "dev", "dev")
        with narrator.step("two"):
            narrator.expect("it holds", True)

    status, page = await told(story)

    assert (status, page.splitlines()[-1]) == (0, "demo: 2 of 2 steps as expected")
    assert "1. Calls" in page


async def test_an_expectation_that_is_not_met_says_what_was_found_and_the_story_goes_on() -> None:
    async def story(narrator: Narrator) -> None:
        with narrator.step("one"):
            narrator.expect("effects on the other side", 2, 1)
            narrator.expect("the rest", True)
        with narrator.step("two"):
            narrator.expect("the rest", True)

    status, page = await told(story)

    assert (status, page.splitlines()[-1]) == (1, "demo: 1 of 2 steps as expected")
    assert "✗ effects on the other side: expected 1, found 2" in page


async def test_a_step_that_raises_ends_the_story_and_is_counted() -> None:
    async def story(narrator: Narrator) -> None:
        with narrator.step("one"):
            raise OSError("no server there")
        with narrator.step("two"):
            pytest.fail("told after a broken step")

    status, page = await told(story)

    assert (status, page.splitlines()[-1]) == (1, "demo: 0 of 1 steps as expected")
    assert "✗ OSError: no server there" in page


async def test_a_story_without_steps_is_no_success() -> None:
    async def story(narrator: Narrator) -> None:
        narrator.chapter("Nothing")

    assert (await told(story))[0] == 1


async def test_output_is_shown_as_it_is_however_long_and_whatever_its_brackets() -> None:
    async def story(narrator: Narrator) -> None:
        with narrator.step("one"):
            narrator.command("tieline call crm GET leads")
            narrator.output("[red]no markup[/red] " + "x" * 100 + "\nsecond line\n")

    _, page = await told(story)

    assert "     $ tieline call crm GET leads\n" in page
    assert "     | [red]no markup[/red] " + "x" * 100 + "\n     | second line\n" in page
