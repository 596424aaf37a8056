"""`nodegraph run FILE --server`: the same run, computed elsewhere. Options, names and exit codes are those of a local run."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from nodegraph.api.documents import read_document
from nodegraph.api.session import Session
from nodegraph.api.workflow import Workflow
from nodegraph.artifacts import check_writable
from nodegraph.cli.answers import asker, nobody
from nodegraph.cli.consent import agree
from nodegraph.cli.interrupt import Interrupts
from nodegraph.cli.live import LiveView, Silent, view
from nodegraph.cli.migrate import tell_changes
from nodegraph.cli.remote_events import as_of_a_run
from nodegraph.cli.report import Outcome, in_order, report
from nodegraph.cli.run import RunOptions, cancelled, check_answers, configured
from nodegraph.cli.server_option import with_client
from nodegraph.cli.show import DONE, print_json, refuse, stderr
from nodegraph.client import Client, JobFailed, Refused, Untrusted
from nodegraph.client.errors import problems_of
from nodegraph.graph import Plan
from nodegraph.graph.document import SUBGRAPHS
from nodegraph.graph.uses import NO_NAME, Use, uses
from nodegraph.sdk.context import Asker, Question
from nodegraph.sdk.errors import InvalidWorkflow, NodeError, PackError, Problem
from nodegraph.sdk.socket import Artifact
from nodegraph.sdk.spec import NodeSpec, SocketSpec
from nodegraph.wire import Consent, JobAccepted
from nodegraph.wire.events import JobAsks

_LOCAL_ONLY = {
    "plan": "Say --plan without --server: it shows what would run on this machine.",
    "lock": "Run it on this machine to lock it.",
    "locked": "Compare the lock on the server's machine, with `nodegraph verify`.",
    "no_cache": "A server's cache belongs to all of its jobs.",
    "models": "A server knows the folders that its own settings name.",
}


def run_on_server(options: RunOptions) -> int:
    """Run a workflow on a server; the exit code says how it went."""
    if problems := _not_there(options):
        return refuse(problems, options.json)
    interrupts = Interrupts()

    def work(client: Client) -> int:
        try:
            with Session(options.data) as session:
                return _run(options, session, client, interrupts)
        except InvalidWorkflow as error:
            return refuse(error.problems, options.json)
        except NodeError as error:
            return refuse([error.problem("", "bad_output")], options.json)
        except PackError as error:
            return refuse([Problem("broken_pack", str(error))], options.json)

    try:
        with interrupts:
            return with_client(options.server, options.data, options.json, work)
    except KeyboardInterrupt:
        return cancelled(options, interrupts)


def _not_there(options: RunOptions) -> list[Problem]:
    """What only a run on this machine can do."""
    return [
        Problem("not_on_a_server", f"--{name.replace('_', '-')} does not go with --server.", hint=hint)
        for name, hint in _LOCAL_ONLY.items()
        if getattr(options, name)
    ]


def _run(options: RunOptions, session: Session, client: Client, interrupts: Interrupts) -> int:
    _learn_nodes(session, client, options.file)
    workflow, paths = configured(options.file, options.inputs, options.settings, session)
    check_answers(options, workflow)
    console = stderr()
    if not options.json and not options.quiet:
        tell_changes(workflow.changes, console)
    plan = session.compile(workflow.linked, options.only or None)
    if not options.detach:
        check_writable(options.out)
    workflow = _with_uploads(workflow, paths, client)
    since = client.latest_event()
    job = _submitted(options, workflow, client)
    if options.detach:
        print_json({"status": job.state, "id": job.id, "url": job.url}) if options.json else print(job.id)
        return DONE
    try:
        with view(plan, console, options.quiet or options.json) as shown:
            refusal = _looked_on(options, client, job.id, since, shown)
        return _reported(options, client, job.id, plan, refusal)
    except KeyboardInterrupt:
        client.cancel(job.id)
        return cancelled(options, interrupts)


# ---- before ----


def _learn_nodes(session: Session, client: Client, file: Path) -> None:
    """Node types that the workflow has and this machine does not, the server may know: then they have options all the same."""
    if str(file).startswith("-") or not file.is_file():
        return  # said better by whoever opens it
    document = read_document(file)
    parts = [document.nodes, *(subgraph.nodes for subgraph in document.subgraphs.values())]
    types = {node.type for nodes in parts for node in nodes.values()}
    if all(type_ in session.catalog.nodes or type_.partition("/")[0] == SUBGRAPHS.removesuffix("s") for type_ in types):
        return
    found = client.nodes()
    with suppress(LookupError, TypeError, ValueError):  # a catalog of another version: what is known here has to do
        nodes = {name: NodeSpec.from_json(item) for name, item in found["nodes"].items()}
        sockets = {name: SocketSpec(**item) for name, item in found["sockets"].items()}
        ours = session.catalog
        session.catalog = replace(ours, nodes={**nodes, **ours.nodes}, sockets={**sockets, **ours.sockets})


def _with_uploads(workflow: Workflow, paths: list[str], client: Client) -> Workflow:
    """The workflow with the files that were typed sent to the server, and named as it names them. Raises InvalidWorkflow."""
    wanted = uses(workflow.linked, workflow.session.catalog)
    problems, names = [], dict[str, str]()
    for path in dict.fromkeys(paths):
        if Use("model", path) not in wanted:
            names[path] = client.upload(path).file
        elif Path(path).exists():
            hint = "Give its name alone, as `nodegraph models list` on the server's machine shows it."
            problems.append(
                Problem("bad_model", f"{path} is a file of this machine; a server finds models by name.", hint=hint)
            )
        else:
            names[path] = os.path.relpath(path)  # as it was typed: a name with a folder in it
    if problems:
        raise InvalidWorkflow(problems)
    values = {
        f"{id_}.{key}": names[value]
        for id_, node in workflow.document.nodes.items()
        for key, value in node.inputs.items()
        if isinstance(value, str) and value in names
    }
    return workflow.with_values(values) if values else workflow


def _submitted(options: RunOptions, workflow: Workflow, client: Client) -> JobAccepted:
    """Queue it; where the server asks for consent, ask the person. Raises InvalidWorkflow, Refused."""
    accepted = {use for use in workflow.accepted() if use.needs_consent and use.name != NO_NAME}

    def submit() -> JobAccepted:
        accept = [Consent(kind=use.kind, name=use.name) for use in sorted(accepted)]  # type: ignore[arg-type]
        return client.submit(workflow.linked, outputs=options.only or None, exact=not options.batched, accept=accept)

    try:
        return submit()
    except Untrusted as refused:
        wants = {Use(want["kind"], want["name"]): want.get("node", "") for want in refused.details.wants}
        if not options.trust:
            agree(wants, None if options.json else stderr())
        workflow.accept(wants)
        accepted |= wants.keys()
        return submit()


# ---- while it runs ----


def _looked_on(options: RunOptions, client: Client, id_: str, since: int, shown: LiveView | Silent) -> Problem | None:
    """Show what happens until the job has ended. A question that nobody can answer ends it, and is why."""
    answer = asker(options.answers, stderr(), shown.paused)
    for event in client.follow(id_, since, previews=shown.listen is not None):
        if isinstance(event, JobAsks):
            try:
                choice = asyncio.run(_choice(answer, _question(event, client)))
            except NodeError as error:
                client.cancel(id_)
                return error.problem(event.node)
            with suppress(Refused):  # somebody else was faster
                client.answer(id_, event.node, choice)
        elif shown.listen is not None and (told := as_of_a_run(event)) is not None:
            shown.listen(told)
    return None


async def _choice(answer: Asker | None, question: Question) -> int:
    if answer is None:
        raise nobody(question)
    return await answer(question)


def _question(asked: JobAsks, client: Client) -> Question:
    pictures = [
        None if row is None or row.digest is None else Artifact(client.download(row.digest), row.media_type or "")
        for row in asked.pictures
    ]
    pictures += [None] * (len(asked.choices) - len(pictures))
    return Question(asked.node, asked.text, tuple(asked.choices), tuple(pictures))


# ---- afterwards ----


def _reported(options: RunOptions, client: Client, id_: str, plan: Plan, refusal: Problem | None) -> int:
    try:
        result = client.result(id_)
    except JobFailed as failed:
        result = failed.result  # type: ignore[assignment]  # a blocking client has blocking results
    job = result.job
    problems = [refusal] if refusal is not None else problems_of(job)
    outcome = Outcome(
        "failed" if refusal is not None else job.state,
        in_order(result.save(options.out), plan),
        job.inputs,
        result.nodes,
        job.seconds or 0.0,
        problems,
    )
    return report(outcome, options.json, options.explain)
