"""`nodegraph run`: from a file and options to saved pictures, with a live view or one JSON object."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from nodegraph.api import Result, RunFailed, Session, Workflow, load
from nodegraph.artifacts import check_writable
from nodegraph.cli.flags import OWN_OPTIONS, parse_flags, typed
from nodegraph.cli.live import duration, view
from nodegraph.cli.show import CANCELLED, DONE, FAILED, print_json, print_problems, refuse, stderr, stdout
from nodegraph.graph import Plan, public_inputs
from nodegraph.graph.values import describe_schema, shown
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


def run_command(options: RunOptions) -> int:
    """Run a workflow; the exit code says how it went."""
    _hush_libraries()
    with Session(options.data, models=options.models) as session:
        try:
            return _run(options, session)
        except InvalidWorkflow as error:
            return refuse(error.problems, options.json)
        except NodeError as error:
            return refuse([Problem("bad_output", str(error), None, None, error.expected, error.got, error.hint)], options.json)
        except PackError as error:
            return refuse([Problem("broken_pack", str(error))], options.json)
        except KeyboardInterrupt:
            if options.json:
                print_json({"status": "cancelled"})
            stderr().print("Cancelled.")
            return CANCELLED


def _run(options: RunOptions, session: Session) -> int:
    workflow, paths = _configured(options, session)
    plan = session.compile(workflow.document, options.only or None)
    if options.plan:
        return _show_plan(plan, options.json)
    check_writable(options.out)
    console = stderr()
    with view(plan, console, options.quiet or options.json) as shown_:
        try:
            result = workflow.run(wanted=options.only or None, listener=shown_.listen, allow=paths)
        except RunFailed as failed:
            result = failed.result
    saved: dict[str, list[dict[str, Any]]] = {}
    problems = list(result.run.problems)
    try:
        saved = result.save(options.out)
    except NodeError as error:
        problems.append(Problem("bad_output", str(error), None, None, error.expected, error.got, error.hint))
    return _report(options, result, saved, problems)


def _configured(options: RunOptions, session: Session) -> tuple[Workflow, list[str]]:
    """The workflow with options and --set applied, and the paths that the command line allows."""
    if str(options.file).startswith("-"):
        message = f"The workflow's file comes first, before {options.file}."
        raise InvalidWorkflow([Problem("bad_flag", message, hint="Write nodegraph run FILE --name VALUE.")])
    workflow = load(options.file, session)
    values, paths = parse_flags(options.inputs, workflow.inputs)
    workflow = workflow.with_inputs(**values) if values else workflow
    settings, problems = {}, []
    for setting in options.settings:
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
        known = session.catalog.nodes.get(entry.type)
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


def _report(options: RunOptions, result: Result, saved: dict[str, list[dict[str, Any]]], problems: list[Problem]) -> int:
    ok = not problems and result.run.status == "succeeded"
    nodes = result.nodes
    if options.json:
        report: dict[str, Any] = {
            "status": "succeeded" if ok else "failed",
            "outputs": saved,
            "inputs": result.inputs,
            "nodes": nodes,
        }
        report["seconds"] = round(result.run.seconds, 3)
        if problems:
            report["problems"] = [problem.to_json() for problem in problems]
        print_json(report)
        return DONE if ok else FAILED
    if options.explain:
        _explain(nodes)
    if problems:
        print_problems(problems, "The run did not succeed.")
    for name, rows in saved.items():
        for row in rows:
            print(_line(name, row))
    if ok:
        computed = sum(node["state"] == "computed" for node in nodes.values())
        stderr().print(Text(f"{duration(result.run.seconds * 1e3)}, {computed} nodes computed", style="dim"))
    return DONE if ok else FAILED


def _line(name: str, row: dict[str, Any]) -> str:
    """One output as a line: the path of a file, else what it is."""
    if "path" in row:
        return str(row["path"])
    return f"{name}: {shown(row['value'])}" if "value" in row else f"{name}: {row['type']}"


def _explain(nodes: dict[str, dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("node", "state", "ms", "why"):
        table.add_column(title, justify="right" if title == "ms" else "left", no_wrap=title != "why")
    styles = {"computed": "green", "hit": "blue", "failed": "red", "skipped": "red"}
    for name, row in nodes.items():
        ms = f"{row['ms']:.1f}" if row["ms"] else ""
        table.add_row(name, Text(row["state"], style=styles.get(row["state"], "dim")), ms, row["reason"])
    stdout().print(table)


def _show_plan(plan: Plan, as_json: bool) -> int:
    needed: set[int] = set()
    asked = [wanted.source for wanted in plan.wanted]
    while asked:
        i = asked.pop()
        if i not in needed:
            needed.add(i)
            asked += [link.source for link in plan.nodes[i].links]
    nodes = [node for i, node in enumerate(plan.nodes) if i in needed]
    rows = [
        {
            "node": node.id,
            "type": node.spec.id,
            "lane": node.spec.lane,
            "after": sorted({plan.nodes[link.source].id for link in node.links}),
        }
        for node in nodes
    ]
    if as_json:
        print_json({"nodes": rows, "outputs": [wanted.name for wanted in plan.wanted], "disabled": list(plan.disabled)})
        return DONE
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("node", "type", "lane", "after"):
        table.add_column(title)
    for node, row in zip(nodes, rows, strict=True):
        lane = "composite" if node.spec.composite else node.spec.lane
        table.add_row(node.id, node.spec.id, lane, ", ".join(row["after"]))
    stdout().print(table)
    return DONE


def show_inputs(file: Path, data: Path | None) -> int:
    """The workflow's own options, for `nodegraph run FILE --help`."""
    try:
        with Session(data) as session:
            workflow = load(file, session)
            inputs = public_inputs(workflow.document, session.catalog)
    except InvalidWorkflow as error:
        return refuse(error.problems, False)
    except PackError as error:
        return refuse([Problem("broken_pack", str(error))], False)
    console = stdout()
    if not inputs:
        console.print(f"{file} has no inputs of its own.")
        return DONE
    console.print(f"Inputs of {workflow.document.title or file}:")
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 2))
    for name, item in inputs.items():
        takes = describe_schema(item.spec.schema or {}) + (", or random" if item.spec.type.name == "seed" else "")
        about = f"{item.description or item.title} ({takes}; now {shown(item.value)})"
        flag = f"--set {item.to[0]}=" if name.replace("_", "-") in OWN_OPTIONS else f"--{name.replace('_', '-')}"
        table.add_row(flag, about)
    console.print(table)
    return DONE


def _hush_libraries() -> None:
    """Libraries' warnings are not for the people who run workflows; setting the libraries' own variables brings them back."""
    import os

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    warnings.simplefilter("ignore")
