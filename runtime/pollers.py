"""Does anybody work on the runs of a task queue?"""

from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

POLLED_WITHIN = timedelta(minutes=2)
"""A long poll lasts a minute: a worker that lives has asked for work since."""

_KINDS = (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)


async def is_polled(client: Client, task_queue: str) -> bool:
    """Whether workers have asked this queue for work lately; one that was killed counts for two minutes more."""
    return all([await _polled(client, task_queue, kind) for kind in _KINDS])


async def _polled(client: Client, task_queue: str, kind: "TaskQueueType.ValueType") -> bool:
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace, task_queue=TaskQueue(name=task_queue), task_queue_type=kind
        )
    )
    since = datetime.now(UTC) - POLLED_WITHIN
    return any(poller.last_access_time.ToDatetime(tzinfo=UTC) >= since for poller in answer.pollers)
