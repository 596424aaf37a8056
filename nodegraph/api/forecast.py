"""What running a workflow would do: what is in its session's cache, what would be computed, and what that would take."""

from __future__ import annotations

from collections.abc import Sequence

from nodegraph.api.workflow import Workflow
from nodegraph.engine.forecast import Forecast, forecast


def forecast_workflow(
    workflow: Workflow,
    *,
    wanted: Sequence[str] | None = None,
    exact: bool = True,
    allow: Sequence[str] = (),
    every: bool = False,
) -> Forecast:
    """Look, and compute nothing. `wanted`, `exact` and `allow` are those of `Workflow.run`.

    With `every`, nodes that a run would not need are looked up too, and hits say what their results take. Raises
    InvalidWorkflow as a run would.
    """
    session = workflow.session
    plan = session.compile(workflow.linked, wanted)
    engine = session._started()

    async def look() -> Forecast:
        return forecast(engine, await engine.prepare(plan, workflow._roots(allow), exact=exact), every=every)

    future = session._post(look())
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise
