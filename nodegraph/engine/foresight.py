"""Walking back from what is wanted as a run would, computing nothing: what is in the cache, what would have to run.

Works on copies of a prepared plan. Composites whose numbers are known are expanded, lists whose length is known divided;
what only a run can find out is "unknown", and so is what only that would ask for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Literal

from nodegraph.engine.access import FileAccess
from nodegraph.engine.expand import Parts, expand, map_over
from nodegraph.engine.gather import linked, values_of_composite
from nodegraph.engine.keys import list_token, ref_token
from nodegraph.engine.library import Library
from nodegraph.engine.prepare import Prepared, extend_static_keys, own_files, picked, value_tokens
from nodegraph.engine.structure import counted_link, followed
from nodegraph.graph.iteration import COUNT
from nodegraph.graph.plan import PlanLink, PlanNode
from nodegraph.sdk.errors import InvalidWorkflow, NodeError, PackError
from nodegraph.store import Result

Tier = Literal["memory", "disk"]
Outlook = Literal["not_needed", "hit", "would_run", "unknown"]
Find = Callable[[str, PlanNode], tuple[Tier, Result] | None]
"""What a key of a node leads to: in which tier, and the result; hollow where its values are not at hand."""


class Foresight:
    """What would become of every node, in arrays by node index; `why` says more where there is more to say."""

    def __init__(self, prepared: Prepared, find: Find, library: Library) -> None:
        self.nodes: list[PlanNode] = list(prepared.plan.nodes)
        self.static, self.moving = list(prepared.static), list(prepared.moving)
        size = len(self.nodes)
        self.outlook: list[Outlook] = ["not_needed"] * size
        self.tier: list[Tier | None] = [None] * size
        self.key = list(self.static)
        self.why: dict[int, str] = {}
        self.inside: dict[int, range] = {}
        self.parts: dict[int, Parts] = {}
        self._result: list[Result | None] = [None] * size
        self._files: FileAccess = prepared.files
        self._find, self._hasher, self._library = find, prepared.hasher, library
        self._perhaps: deque[tuple[int, str]] = deque()  # (index, why that is not certain)
        self._wanted = {wanted.source for wanted in prepared.plan.wanted}
        self._asked: set[tuple[int, int]] = set()  # (mapped node, source whose structure it has asked for)
        self._walk([wanted.source for wanted in reversed(prepared.plan.wanted)])
        while self._perhaps:
            i, doubt = self._perhaps.popleft()
            self._walk([i], doubt)
        for i in sorted(self.parts, reverse=True):
            if self.outlook[i] == "not_needed":
                self._sum_up(i)

    def look_up_rest(self) -> None:
        """Look up what a run would not need, too: what is not there would have to run, if it were."""
        for i, outlook in enumerate(self.outlook):
            if outlook == "not_needed" and not self._is_there(i, self.static[i], ""):
                self.outlook[i] = "would_run"

    def _walk(self, roots: Iterable[int], doubt: str = "") -> None:
        """Depth first with a stack of its own (chains may be as long as they like): a node, its sources, again the node, its
        parts, again the node. Of a list that is only mapped over the structure alone is wanted, and its items one by one."""
        stack = [(i, "enter") for i in roots]
        while stack:
            i, step = stack.pop()
            node = self.nodes[i]
            if step == "structure" and (i in self._wanted or not (node.mapped or node.spec.composite)):
                step = "enter"
            if step == "enter" and i not in self.parts:
                if self.outlook[i] == "not_needed" and not self._is_there(i, self.static[i], ""):
                    self.outlook[i], self.why[i] = "unknown" if doubt else "would_run", doubt
                    stack.append((i, "resolve"))
                    stack.extend(reversed(self._awaited(i)))
            elif step == "structure":
                if i not in self.parts and self.outlook[i] == "not_needed":
                    stack.append((i, "divide"))
                    stack.extend(reversed(self._awaited(i)))
            elif step in ("resolve", "divide") and self._lists(node) and (deeper := self._deeper(i)):
                stack.append((i, step))
                stack.extend(reversed(deeper))
            elif step == "divide":
                self._resolve(i)
            elif step == "resolve" or (step == "enter" and self.outlook[i] == "not_needed"):
                if step == "resolve":
                    self._resolve(i)
                else:  # so far only its structure was wanted
                    self.outlook[i], self.why[i] = "unknown" if doubt else "would_run", doubt
                if i in self.parts:
                    stack.append((i, "assemble"))
                    stack.extend((target, "enter") for target in reversed(self._targets(i)))
            elif step == "assemble":
                self._assemble(i)

    def _awaited(self, i: int) -> list[tuple[int, str]]:
        """What a run would want before this node's key, or its parts, can be known; what was asked for already left out."""
        node = self.nodes[i]
        if node.mapped:
            return self._deeper(i)
        links = values_of_composite(node) if node.spec.composite else [link for link in node.links if not link.lazy]
        return [*((source, "enter") for source in dict.fromkeys(link.source for link in links)), *self._deeper(i)]

    def _lists(self, node: PlanNode) -> list[PlanLink]:
        """The links that bring a node the lists that it goes over."""
        if node.mapped:
            return [link for link in node.links if link.mode == "map"]
        items = counted_link(node)
        return [] if items is None else [items]

    def _deeper(self, i: int) -> list[tuple[int, str]]:
        """The sources whose structure is to be known next, those that were asked for already left out."""
        unknown = (link for link in self._lists(self.nodes[i]) if self._length(link) is None)
        sources = dict.fromkeys(self._followed(link).source for link in unknown)
        new = [source for source in sources if (i, source) not in self._asked]
        self._asked.update((i, source) for source in new)
        return [(source, "structure") for source in new]

    def _targets(self, i: int) -> list[int]:
        return list(dict.fromkeys(link.source for link in self.parts[i].links()))

    def _followed(self, link: PlanLink) -> PlanLink:
        return followed(self, link)  # type: ignore[arg-type]  # it looks at parts alone

    def _is_there(self, i: int, key: str, how: str) -> bool:
        found = None if self.moving[i] or self.nodes[i].spec.cache == "never" else self._find(key, self.nodes[i])
        if found is None:
            return False
        self.outlook[i], self.key[i] = "hit", key
        self.tier[i], self._result[i] = found
        self.why[i] = ("in memory" if found[0] == "memory" else "on disk") + how
        return True

    # ---- a node whose sources have been looked at ----

    def _resolve(self, i: int) -> None:
        """Take a node that has no result under its static key further: divide it, or look under the key that counts."""
        node = self.nodes[i]
        self.moving[i] = self.moving[i] or any(self.moving[link.source] for link in node.links if not link.lazy)
        try:
            if node.mapped or node.spec.composite:
                self._divide(i)
            else:
                self._look_again(i)
        except (NodeError, InvalidWorkflow, PackError) as error:
            self.why[i] = f"would fail: {error}"
        except Exception as error:  # a composite's own code
            self.why[i] = f"would fail: {type(error).__name__}: {error}"

    def _look_again(self, i: int) -> None:
        """A node's key follows from what its sources gave, where all of that is known: look under this key too."""
        node = self.nodes[i]
        for link in node.links:
            if link.lazy:
                self._perhaps.append((link.source, f"only if {node.id} asks for it"))
        if any(link.lazy or not self._knows(link) for link in node.links):
            return
        tokens = value_tokens(node, self._files)
        for link in node.links:
            if link.by_value:
                token = linked(self.nodes, self._result, node, link, self._files).token
            else:
                source = self._result[link.source]
                assert source is not None
                token = ref_token(picked(source.ref(link.output), link))
                token = list_token([token]) if link.mode == "wrap" else token
            tokens[link.input] = f"{tokens[link.input]},{token}" if link.many and link.input in tokens else token
        key = self._hasher.key(node.spec, tokens)
        if key != self.static[i]:
            self._is_there(i, key, ", inputs came out the same")

    def _divide(self, i: int) -> None:
        node, base = self.nodes[i], len(self.nodes)
        parts = self._items(node, base) if node.mapped else self._inside(node, base)
        if parts is None:
            first = next(link.source for link in node.links if self._decides(node, link))
            doubt = f"known when {self.nodes[first].id} has run"
            self.outlook[i], self.why[i] = "unknown", doubt
            self._perhaps.extend((link.source, doubt) for link in node.links)
            return
        self.nodes.extend(parts.nodes)
        known = {link.source for link in values_of_composite(node)} if node.spec.composite and not node.mapped else ()
        own = own_files(node)
        extend_static_keys(self.nodes, self.static, self.moving, self._hasher, self._files, self._result, known, own)
        more = len(parts.nodes)
        self.outlook.extend(["not_needed"] * more)
        self.tier.extend([None] * more)
        self._result.extend([None] * more)
        self.key.extend(self.static[base:])
        self.parts[i], self.inside[i] = parts, range(base, len(self.nodes))

    def _inside(self, node: PlanNode, base: int) -> Parts | None:
        values: dict[str, Any] = dict(node.values)
        for link in values_of_composite(node):
            if not self._knows(link):
                return None
            value = linked(self.nodes, self._result, node, link, self._files).value
            values[link.input] = [*values.get(link.input, ()), value] if link.many else value
        items = counted_link(node)
        if items is not None:
            values[COUNT] = self._length(items)
            if values[COUNT] is None:
                return None
        parts = expand(node, values, self._library, base)
        for part in parts.nodes if node.iteration is not None else ():
            part.links = tuple(self._followed(link) if link.item else link for link in part.links)
        return parts

    def _items(self, node: PlanNode, base: int) -> Parts | None:
        lengths = {}
        for link in node.links:
            if link.mode in ("map", "one"):
                length = 1 if link.mode == "one" else self._length(link)
                if length is None:
                    return None
                lengths[link] = length
        parts = map_over(node, lengths, base)
        for part in parts.nodes:
            part.links = tuple(self._followed(link) if link.item else link for link in part.links)
        return parts

    def _length(self, link: PlanLink) -> int | None:
        """How many items a link brings: from the list itself, or from the parts that will make it."""
        link = self._followed(link)
        parts = self.parts.get(link.source)
        if parts is not None and not link.item:
            made = parts.outputs[link.output]
            return len(made) if isinstance(made, list) else 1 if made.mode == "wrap" else None
        source = self._result[link.source]
        if source is None:
            return None
        value = source.values[link.output] if link.output in source.values else source.ref(link.output)
        for k in link.item:
            value = value[k] if type(value) is list else None
        return len(value) if type(value) is list else None

    def _assemble(self, i: int) -> None:
        """A node that consists of others is there when they are."""
        targets = self._targets(i)
        if self.inside[i] and all(self.outlook[target] == "hit" for target in targets):
            self.outlook[i], self.why[i] = "hit", "its parts are in the cache"
            self.tier[i] = "disk" if any(self.tier[target] == "disk" for target in targets) else "memory"

    def _sum_up(self, i: int) -> None:
        """Of a list that nobody wanted whole: what becomes of its items."""
        found = {self.outlook[target] for target in self._targets(i)} if self.inside[i] else {"would_run"}
        self.outlook[i] = next((one for one in ("would_run", "unknown", "hit") if one in found), "not_needed")
        self._assemble(i)

    def _knows(self, link: PlanLink) -> bool:
        """Whether a link's value (or, where only that matters, its place) is known without running anything."""
        source = self._result[link.source]
        return source is not None and (not link.by_value or link.output in source.values)

    def _decides(self, node: PlanNode, link: PlanLink) -> bool:
        """Whether this link is why a node's parts are not known."""
        if link in self._lists(node):
            return self._length(link) is None
        return not node.mapped and link in values_of_composite(node) and not self._knows(link)
