"""`nodegraph run`: from a file and options to saved pictures, with a live view or one JSON object."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from nodegraph.api.forecast import forecast_workflow
from nodegraph.api.libraries import hush_libraries
from nodegraph.api.locking import require_lock
from nodegraph.api.paths import DISK_BYTES
from nodegraph.api.session import Session
from nodegraph.api.workflow import RunFailed, Workflow, load
from nodegraph.artifacts import check_writable
from nodegraph.cli.answers import asker
from nodegraph.cli.consent import ask_for_consent
from nodegraph.cli.flags import parse_flags, typed
from nodegraph.cli.interrupt import Interrupts
from nodegraph.cli.live import view
from nodegraph.cli.migrate import tell_changes
from nodegraph.cli.plan import looking, show_plan
from nodegraph.cli.report import Outcome, in_order, report
from nodegraph.cli.show import print_json, refuse, stderr
from nodegraph.cli.sweep import Sweep, swept
from nodegraph.cli.verify import check_lock_place, digesting, lock_in_words, note_json, put_lock, show_notes
from nodegraph.graph import node_spec
from nodegraph.graph.values import describe_schema
from nodegraph.graph.verifying import Difference
from nodegraph.sdk.errors import InvalidWorkflow, NodeError, PackError, Problem, nearest


@dataclass(frozen=True)
class RunOptions:
    """The options of `nodegraph run` as typed."""

    file: Path
    inputs: list[str]
    settings: list[str]
    only: list[str]
    out: Path
    json: bool
    explain: bool
    plan: bool
    quiet: bool
    data: Path | None
    models: list[Path]
    batched: bool = False
    no_cache: bool = False
    answers: dict[str, str] = field(default_factory=dict)
    trust: bool = False
    lock: bool = False
    locked: bool = False
    server: str | None = None
    detach: bool = False
    sweep: Sweep | None = None


def run_command(options: RunOptions) -> int:
    """Run a workflow; the exit code says how it went."""
    hush_libraries()
    interrupts = Interrupts()
    try:
        with interrupts, _session(options) as session:
            try:
                return _run(options, session)
            except InvalidWorkflow as error:
                return refuse(error.problems, options.json)
            except NodeError as error:
                problem = Problem("bad_output", str(error), None, None, error.expected, error.got, error.hint)
                return refuse([problem], options.json)
            except PackError as error:
                return refuse([Problem("broken_pack", str(error))], options.json)
            except KeyboardInterrupt:
                return cancelled(options, interrupts)
    except KeyboardInterrupt:  # while the session was closing
        return interrupts.code


def _session(options: RunOptions) -> Session:
    disk_bytes = 0 if options.no_cache else DISK_BYTES
    return Session(options.data, models=options.models, disk_bytes=disk_bytes)


def cancelled(options: RunOptions, interrupts: Interrupts) -> int:
    if options.json:
        print_json({"status": "cancelled"})
    console = stderr()
    console.print("Cancelled." + (" Keeping what is finished; Ctrl-C again stops at once." if console.is_terminal else ""))
    return interrupts.code


def _run(options: RunOptions, session: Session) -> int:
    workflow, paths = configured(options.file, options.inputs, options.settings, session)
    if options.sweep is not None:
        workflow = swept(workflow, options.sweep, paths)
    check_answers(options, workflow)
    ask_for_consent(workflow, options.trust, paths, None if options.json else stderr())
    notes = _check_lock(options, workflow)
    wanted, exact = options.only or None, not options.batched
    console = stderr()
    if not options.json and not options.quiet:
        tell_changes(workflow.changes, console)
    if options.plan:
        with looking(console):
            found = forecast_workflow(workflow, wanted=wanted, exact=exact, allow=paths)
        return show_plan(found, options.json)
    plan = session.compile(workflow.linked, wanted)
    check_writable(options.out)
    with view(plan, console, options.quiet or options.json) as shown_:
        try:
            result = workflow.run(
                wanted=wanted,
                listener=shown_.listen,
                out=options.out,
                exact=exact,
                asker=asker(options.answers, console, shown_.paused),
                allow=paths,
                lock=options.lock,
                locked=options.locked,
            )
        except RunFailed as failed:
            result = failed.result
    if options.lock and result.run.status == "succeeded" and (problems := put_lock(workflow, result)):
        result = replace(result, run=replace(result.run, status="failed", problems=problems))
    problems = result.run.problems
    ok = not problems and result.run.status == "succeeded"
    locked = options.lock and ok
    outcome = Outcome(
        "succeeded" if ok else "failed",
        in_order(result.files, plan),
        result.inputs,
        result.nodes,
        result.run.seconds,
        problems,
        {**({"notes": note_json(notes)} if notes else {}), **({"locked": str(options.file)} if locked else {})},
        f"{options.file} is locked: {lock_in_words(result)}" if locked else "",
    )
    return report(outcome, options.json, options.explain)


def check_answers(options: RunOptions, workflow: Workflow) -> None:
    """Every answer is for a node of the workflow, or for one inside of it. Raises InvalidWorkflow."""
    nodes = workflow.document.nodes
    unknown = [name for name in options.answers if name.partition("/")[0].partition("[")[0] not in nodes]
    if unknown:
        message = "--answer {0}: this workflow has no node {0!r}."
        raise InvalidWorkflow(
            [Problem("bad_answer", message.format(name), hint=nearest(name, nodes, "There are")) for name in unknown]
        )


def configured(file: Path, inputs: list[str], set_: list[str], session: Session) -> tuple[Workflow, list[str]]:
    """The workflow with its own options and --set applied, and the paths that the command line allows.

    Raises InvalidWorkflow with everything that does not fit.
    """
    if str(file).startswith("-"):
        message = f"The workflow's file comes first, before {file}."
        raise InvalidWorkflow([Problem("bad_flag", message, hint="Write nodegraph run FILE --name VALUE.")])
    workflow = load(file, session)
    values, paths = parse_flags(inputs, workflow.inputs)
    workflow = workflow.with_inputs(**values) if values else workflow
    settings, problems = {}, []
    for setting in set_:
        place, equals, text = setting.partition("=")
        node, dot, key = place.partition(".")
        entry = workflow.document.nodes.get(node)
        if not equals or not dot:
            problems.append(Problem("bad_setting", f"--set {setting} sets nothing.", hint="Write --set node.input=VALUE."))
            continue
        if entry is None:
            hint = nearest(node, workflow.document.nodes, "There are")
            problems.append(Problem("bad_setting", f"--set {setting}: this workflow has no node {node!r}.", hint=hint))
            continue
        known = node_spec(workflow.linked, session.catalog, entry)
        spec = known.input_by_name.get(key) if known else None
        if known is not None and spec is None:
            hint = nearest(key, known.input_by_name, "It has")
            problems.append(Problem("bad_setting", f"{entry.type} has no input {key!r}.", node, key, hint=hint))
            continue
        try:
            settings[place] = typed(spec, text, paths) if spec else json.loads(text)
        except (ValueError, KeyError):
            expected = describe_schema(spec.schema or {}) if spec else "JSON"
            problems.append(Problem("bad_value", "This value does not fit.", node, key, expected=expected, got=repr(text)))
    if problems:
        raise InvalidWorkflow(problems)
    return (workflow.with_values(settings) if settings else workflow), paths


def _check_lock(options: RunOptions, workflow: Workflow) -> list[Difference]:
    """What is good to know before a locked run. Raises InvalidWorkflow where it may not run."""
    if options.lock:
        check_lock_place(workflow, options.file, options.plan)
    if not options.locked:
        return []
    with digesting(stderr()) as progress:
        notes = require_lock(workflow, progress).notes
    if not options.json:
        show_notes(notes)
    return notes
