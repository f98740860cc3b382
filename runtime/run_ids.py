"""Run ids as people give them: whole, or as much of the beginning as tells them apart."""

import re

from temporalio.client import Client

from runtime.runs import RunNotFound

PREFIX = "run-"
_WHOLE = re.compile(r"run-[0-9a-f]{32}")
_BEGINNING = re.compile(r"[0-9a-f]{0,32}")
_SHOWN = 5


class AmbiguousRun(Exception):
    """Several runs begin as was given."""


async def find_run_id(client: Client, given: str) -> str:
    """The id of the one run that begins as `given`, with or without `run-`; a whole id is not looked up.

    Raises:
        AmbiguousRun: several do.
        RunNotFound: none does.
    """
    wanted = PREFIX + given.strip().removeprefix(PREFIX)
    if _WHOLE.fullmatch(wanted):
        return wanted
    found = await _beginning(client, wanted) if _BEGINNING.fullmatch(wanted[len(PREFIX) :]) else []
    if not found:
        raise RunNotFound(f"there is no run {given}: tieline runs list shows those that are kept")
    if len(found) > 1:
        shown = ", ".join(found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
        raise AmbiguousRun(f"several runs begin with {given}: {shown}")
    return found[0]


async def _beginning(client: Client, wanted: str) -> list[str]:
    query = f"WorkflowType = 'tieline.run' AND WorkflowId STARTS_WITH '{wanted}'"
    return [run.id async for run in client.list_workflows(query, limit=_SHOWN + 1)]
