"""Numbers, texts and switches."""

from __future__ import annotations

from nodegraph.importing.comfyui.draft import Draft, Rule, Unmappable


def primitive(id: str, type_: str, output: str) -> Rule:
    """A rule for a node that holds one value."""

    def rule(draft: Draft) -> None:
        made = draft.add(id, type_)
        readers = {reader.input for reader in draft.scope.wiring.readers.get(draft.node.id, ())}
        is_seed = bool(readers & {"seed", "noise_seed"})
        draft.take(f"{made}.value", "value", convert=draft.as_seed if is_seed else None)
        draft.output(0, f"{made}.{output}")
        if draft.node.title:
            draft.publish("value", draft.node.title, "value")

    return rule


def join_texts(draft: Draft) -> None:
    delimiter = draft.value("delimiter", "")
    if not isinstance(delimiter, str):
        raise Unmappable("its delimiter is no text")
    joined = draft.add("text", "core/format_text")
    draft.set(f"{joined}.template", "{a}" + delimiter.replace("{", "{{").replace("}", "}}") + "{b}")
    draft.take(f"{joined}.a", "string_a", otherwise="")
    draft.take(f"{joined}.b", "string_b", otherwise="")
    draft.output(0, f"{joined}.text")


def replace_text(draft: Draft) -> None:
    replaced = draft.add("text", "core/replace_text")
    for key, name in (("value", "string"), ("find", "find"), ("replacement", "replace")):
        draft.take(f"{replaced}.{key}", name, otherwise="")
    draft.output(0, f"{replaced}.text")


def switch(draft: Draft) -> None:
    if not (draft.linked("on_true") and draft.linked("on_false")):
        raise Unmappable("one of its two sides is not linked")
    chosen = draft.add("switch", "core/switch")
    draft.take(f"{chosen}.condition", "switch", otherwise=False)
    draft.take(f"{chosen}.yes", "on_true", value=False)
    draft.take(f"{chosen}.no", "on_false", value=False)
    draft.output(0, f"{chosen}.value")
