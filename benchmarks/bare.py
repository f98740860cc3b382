"""The least that Temporal can be asked for: a workflow of one activity, nothing around it.

Imports Temporal alone: the sandbox imports this module anew for every run, and what else stood here would slow down the
side that Tieline is compared with.
"""

from datetime import timedelta
from typing import Any

from temporalio import workflow


@workflow.defn(name="bench.bare")
class BareWorkflow:
    """Runs the activity of this name."""

    @workflow.run
    async def run(self, activity: str) -> Any:
        return await workflow.execute_activity(activity, start_to_close_timeout=timedelta(seconds=30))
