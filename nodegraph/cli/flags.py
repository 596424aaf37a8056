"""A workflow's inputs as command-line options: `--prompt "..." --seed 7 --steps=30`."""

from __future__ import annotations

import json
import math
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nodegraph.graph import PublicInput
from nodegraph.graph.values import BadValue, accept
from nodegraph.sdk.errors import InvalidWorkflow, Problem, nearest
from nodegraph.sdk.spec import InputSpec
from nodegraph.sdk.typeexpr import TypeExpr
from nodegraph.sdk.values import MAX_SEED

OWN_OPTIONS = frozenset(
    {
        "set",
        "only",
        "out",
        "json",
        "explain",
        "plan",
        "quiet",
        "batched",
        "no-cache",
        "answer",
        "data",
        "models",
        "help",
        "lock",
        "locked",
        "trust",
        "server",
        "detach",
    }
)
"""What `run` itself takes. A workflow's input of such a name is set with --set."""


def flag(name: str) -> str:
    """The option that sets an input: `--guidance-scale` for `guidance_scale`."""
    return f"--{name.replace('_', '-')}"


def parse_flags(arguments: Sequence[str], inputs: Mapping[str, PublicInput]) -> tuple[dict[str, Any], list[str]]:
    """Values for the workflow's inputs, and the paths among them, which may lie anywhere.

    `--no-NAME` is false, `--seed random` draws one. Raises InvalidWorkflow with every argument that does not fit.
    """
    values: dict[str, Any] = {}
    paths: list[str] = []
    problems: list[Problem] = []
    left = list(arguments)
    known = {name.replace("-", "_"): item for name, item in inputs.items()}
    while left:
        argument = left.pop(0)
        name, given, text = argument.removeprefix("--").partition("=")
        name = name.replace("-", "_")
        if not argument.startswith("--"):
            hint = "Options look like --name VALUE; a value with spaces needs quotes."
            problems.append(Problem("bad_flag", f"{argument!r} belongs to no option.", hint=hint))
            continue
        negated = name.startswith("no_") and name not in known and name[3:] in known
        found = known.get(name[3:] if negated else name)
        if found is None:
            hint = nearest(argument.partition("=")[0], map(flag, inputs), "It has") or "It has no inputs of its own."
            problems.append(Problem("no_such_input", f"This workflow has no option {argument.partition('=')[0]}.", hint=hint))
            if not given and left and not left[0].startswith("--"):
                left.pop(0)
            continue
        is_bool = _bare(found.spec.type).name == "bool"
        if negated or (is_bool and not given and (not left or left[0].startswith("--"))):
            values[found.name] = not negated
            continue
        if not given:
            if not left or left[0].startswith("--"):
                got = left[0] if left else "nothing"
                advice = f"Write {argument}=VALUE for a value that begins with --." if left else None
                problems.append(Problem("bad_flag", f"{argument} needs a value.", None, None, found.takes, got, advice))
                continue
            text = left.pop(0)
        try:
            values[found.name] = accept(found.spec, typed(found.spec, text, paths))
        except (ValueError, KeyError, BadValue) as error:
            bad = error if isinstance(error, BadValue) else BadValue(found.takes, repr(text))
            message = f"{flag(name)} does not take this value."
            problems.append(Problem("bad_value", message, expected=bad.expected, got=bad.got))
    if problems:
        raise InvalidWorkflow(problems)
    return values, paths


def parse_answers(texts: Sequence[str]) -> tuple[dict[str, str], list[Problem]]:
    """`NODE=VALUE` as given with --answer, by node; and what is wrong with them."""
    answers, problems = {}, []
    for text in texts:
        node, equals, value = text.partition("=")
        if node and equals:
            answers[node] = value
        else:
            problems.append(Problem("bad_answer", f"--answer {text} answers nothing.", hint="Write --answer NODE=VALUE."))
    return answers, problems


def typed(spec: InputSpec, text: str, paths: list[str]) -> Any:
    """Command-line text as the JSON value that an input wants. Raises ValueError where it cannot be one."""
    expr = _bare(spec.type)
    if spec.type.kind == "optional" and text.lower() in ("none", "null", *([""] if spec.file else [])):
        return None
    if spec.file:
        return _path(text, spec.file, paths)
    match expr.name:
        case "seed" if text.lower() == "random":
            return secrets.randbelow(MAX_SEED + 1)
        case "int" | "seed":
            return int(text)
        case "float":
            return _finite(text)
        case "bool":
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()]
        case "enum":
            return next((choice for choice in _choices(spec.schema or {}) if str(choice) == text), text)
        case "str" | "color" | "secret":
            text.encode()  # bytes that are no UTF-8 come in as half characters: a ValueError
            return text
    try:
        return json.loads(text, parse_constant=_finite, parse_float=_finite)
    except ValueError:
        if expr.kind == "union" and any(member.name == "str" for member in expr.args):
            return text
        raise


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number


def _choices(schema: dict[str, Any]) -> list[Any]:
    """What an enum allows, also where it may be null besides."""
    inner = [choice for member in schema.get("anyOf", ()) for choice in _choices(member)]
    return [*schema.get("enum", ()), *inner]


def _path(text: str, kind: str, paths: list[str]) -> str:
    """A file typed on the command line may be anywhere; a model's bare name is looked up in the model folders."""
    path = Path(text).expanduser()
    if kind in ("file", "folder") or os.sep in text or (path.suffix in (".safetensors", ".gguf") and path.exists()):
        paths.append(str(path.absolute()))
        return paths[-1]
    return text


def _bare(expr: TypeExpr) -> TypeExpr:
    return expr.item if expr.kind == "optional" else expr
