"""One plugin that makes any Temporal client, worker or replayer a Tieline one."""

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from pydantic import ValidationError
from temporalio.client import Interceptor as ClientInterceptor
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes, ExternalStorage
from temporalio.plugin import SimplePlugin
from temporalio.worker import Interceptor as WorkerInterceptor
from temporalio.worker import WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from auth.keys import KekProvider
from runtime.codec import EncryptionCodec
from runtime.payload_store import THRESHOLD_BYTES, PayloadStore
from workflows.refresh_sweep import RefreshSweepWorkflow
from workflows.run import RunWorkflow

WORKFLOWS: tuple[type, ...] = (RunWorkflow, RefreshSweepWorkflow)

ROOMS_PASSED_THROUGH = ("workflows", "definitions", "activities", "auth", "net", "storage")
"""Imported once instead of once per run: the import was a fifth of what a run costs a worker.

The sandbox then cannot refuse what our workflows call, so tests replay them once more without this for `workflows`.
"""


def data_converter(keys: KekProvider, payloads: PayloadStore) -> DataConverter:
    """Pydantic models; encrypted payloads and failures; large payloads beside the history."""
    return dataclasses.replace(
        pydantic_data_converter,
        payload_codec=EncryptionCodec(keys),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
        external_storage=ExternalStorage(drivers=[payloads], payload_size_threshold=THRESHOLD_BYTES),
    )


def tieline_plugin(
    converter: DataConverter,
    *,
    activities: Sequence[Callable[..., Any]] = (),
    interceptors: Sequence[ClientInterceptor | WorkerInterceptor] = (),
    run_context: Callable[[], AbstractAsyncContextManager[None]] | None = None,
) -> SimplePlugin:
    """The plugin for a client; a worker made from that client inherits it."""
    return SimplePlugin(
        "tieline",
        data_converter=converter,
        interceptors=interceptors,
        activities=activities,
        workflows=WORKFLOWS,
        workflow_runner=_with_rooms_passed_through,
        workflow_failure_exception_types=[ValidationError],
        run_context=run_context,
    )


def _with_rooms_passed_through(runner: WorkflowRunner | None) -> WorkflowRunner:
    if not isinstance(runner, SandboxedWorkflowRunner):
        raise TypeError("Tieline's workflows run in Temporal's sandbox")
    restrictions = runner.restrictions.with_passthrough_modules(*ROOMS_PASSED_THROUGH, "opentelemetry")
    return dataclasses.replace(runner, restrictions=restrictions)
