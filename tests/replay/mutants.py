"""Workflows under the product's name that schedule their commands differently: the corpus must refuse each."""

from datetime import datetime, timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from definitions.run import AnyCall, Failure, RunResult, RunState
    from definitions.sweep import Batch, Sweep, Tally

from workflows.refresh_sweep import RefreshSweepWorkflow
from workflows.run import RunWorkflow


@workflow.defn(name="tieline.run")
class WaitsBeforeItCalls(RunWorkflow):
    @workflow.run
    async def run(self, call: AnyCall) -> RunResult:
        await workflow.sleep(1)
        return await super().run(call)


@workflow.defn(name="tieline.run")
class CallsTwice(RunWorkflow):
    @workflow.run
    async def run(self, call: AnyCall) -> RunResult:
        return await super().run(call)

    async def _call(self, call: AnyCall, time_left: timedelta) -> RunResult | Failure:
        await super()._call(call, time_left)
        return await super()._call(call, time_left)


@workflow.defn(name="tieline.run")
class AsksWithoutShowing(RunWorkflow):
    @workflow.run
    async def run(self, call: AnyCall) -> RunResult:
        return await super().run(call)

    def _show(self, state: RunState, because: Failure) -> None:
        pass


@workflow.defn(name="tieline.run")
class LooksAtTheClock(RunWorkflow):
    @workflow.run
    async def run(self, call: AnyCall) -> RunResult:
        datetime.now()
        return await super().run(call)


@workflow.defn(name="tieline.refresh_sweep")
class WaitsBeforeItRenews(RefreshSweepWorkflow):
    @workflow.run
    async def run(self, sweep: Sweep) -> Tally:
        return await super().run(sweep)

    async def _renew(self, batch: Batch) -> Tally:
        await workflow.sleep(1)
        return await super()._renew(batch)
