"""One graph on its way to our nodes: what was decided for each node of the source, then every link brought to our outputs.

Nodes are decided in the order of the links, so that a rule sees what became of those before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nodegraph.graph.catalog import Catalog
from nodegraph.graph.order import in_order
from nodegraph.graph.relations import relate
from nodegraph.importing.comfyui.draft import Draft, Entry, Unmappable
from nodegraph.importing.comfyui.functions import Function, instance
from nodegraph.importing.comfyui.placeholders import placeholder
from nodegraph.importing.comfyui.rules import PARTS, RULES
from nodegraph.importing.comfyui.source import Graph, Origin, Outer, Reader, SourceNode
from nodegraph.importing.comfyui.stretches import Leftover
from nodegraph.importing.comfyui.wiring import EDITOR_ONLY, NOTES, SHOWS, Constant, Wiring
from nodegraph.importing.report import Fate, Row

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_KEPT = ("color", "bgcolor", "flags", "properties")


@dataclass(slots=True)
class Shown:
    """An output for people: an artifact of ours, or what a preview was linked to."""

    name: str
    place: str | Origin
    node: str


@dataclass(slots=True)
class Public:
    """An input for people: `reader` of the source, and what the interface calls it."""

    name: str
    title: str
    reader: Reader


@dataclass(slots=True)
class Verdict:
    """What became of a node; the entries' ids, the first being the one that carries its title."""

    fate: Fate
    became: list[str] = field(default_factory=list)
    reason: str = ""
    notes: list[str] = field(default_factory=list)


class Scope:
    """The conversion of one graph. `convert` does it; then the fields hold what came of it."""

    def __init__(self, graph: Graph, catalog: Catalog, functions: Mapping[str, Function]) -> None:
        self.graph, self.catalog, self.functions = graph, catalog, functions
        self.wiring = Wiring(graph)
        self.entries: dict[str, Entry] = {}
        self.reached: dict[str, int] = {}
        self.outputs: dict[Origin, str] = {}
        self.targets: dict[Reader, list[str]] = {}
        self.outer: dict[str, list[str]] = {}
        self.absorbed: dict[str, set[Reader]] = {}
        self.part_of: dict[str, list[str]] = {}
        self.used: set[Reader] = set()
        self.leftovers: dict[str, Leftover] = {}
        self.shown: list[Shown] = []
        self.public: list[Public] = []
        self.verdicts: dict[str, Verdict] = {}

    def constant(self, node: SourceNode, name: str) -> Any:
        """A value where it is known here; None where a link brings it."""
        place = self.wiring.place(node, name)
        if isinstance(place, Constant):
            return place.value
        return None if isinstance(place, Origin | Outer) else node.values.get(name)

    # ---- deciding ----

    def convert(self) -> None:
        order = self._order()
        for node in order:
            if node.type not in PARTS:
                self._decide(node)
        for node in reversed(order):
            if node.type in PARTS:
                self._decide_part(node)
        self._switch_off()
        for name, entry in self.entries.items():
            self._resolve_links(name, entry)
        self._keep_the_rest()

    def _order(self) -> list[SourceNode]:
        reads = {
            node.id: [place.node for slot in node.inputs if isinstance(place := self.wiring.effective(slot.link), Origin)]
            for node in self.graph.nodes.values()
        }
        order, circles = in_order(reads, reads.__getitem__)
        found = dict.fromkeys(order) | dict.fromkeys(name for circle in circles for name in circle) | dict.fromkeys(reads)
        return [self.graph.nodes[name] for name in found]

    def _decide(self, node: SourceNode) -> None:
        if node.type in NOTES:
            self.verdicts[node.id] = Verdict("resolved", reason="a note of the layout")
            self.used |= {Reader(node.id, name) for name in node.values}
        elif node.type in EDITOR_ONLY:
            self.verdicts[node.id] = Verdict("resolved", reason="its links lead on by themselves")
        elif node.type in SHOWS and self._show(node):
            pass
        elif node.type in self.functions:
            self._commit(instance(Draft(node, self), self.functions[node.type]))
        else:
            self._try(node)

    def _try(self, node: SourceNode) -> None:
        rule = RULES.get(node.type)
        if rule is None:
            lost = "its subgraph's definition is missing, or contains itself" if _UUID.fullmatch(node.type) else ""
            self._keep(node, lost or "no counterpart yet")
            return
        draft = Draft(node, self)
        try:
            rule(draft)
        except Unmappable as why:
            self._keep(node, str(why))
        else:
            self._commit(draft)

    def _decide_part(self, node: SourceNode) -> None:
        readers = set(self.wiring.readers.get(node.id, ()))
        live = {reader for reader in readers if self._runs(reader.node)} or readers
        mine = {reader for reader in self.absorbed.get(node.id, ()) if self._took(reader)}
        if mine and live <= mine and node.id not in self.wiring.leaves:
            became = list(dict.fromkeys(self.part_of[node.id]))
            self.verdicts[node.id] = Verdict("mapped", [], f"part of {', '.join(became)}")
            return
        kept = "no counterpart of its own" if mine else "no sampler here took it in"
        self._keep(node, f"{kept}: something else reads it" if readers else "nothing reads it")

    def _took(self, reader: Reader) -> bool:
        """Whether the reader is gone into our nodes, so that its link needs no end."""
        return self.graph.nodes[reader.node].type not in PARTS or self.verdicts[reader.node].fate == "mapped"

    def _runs(self, node: str) -> bool:
        return self.graph.nodes[node].mode == "active" and node not in self.wiring.off

    def _show(self, node: SourceNode) -> bool:
        """A preview becomes an output of the interface; one that something reads stays a node."""
        if any(self.wiring.place(self.graph.nodes[r.node], r.input) is not None for r in self.wiring.readers.get(node.id, ())):
            return False
        linked = [name for name in SHOWS[node.type] if isinstance(self.wiring.effective(node.link(name)), Origin)]
        outer = [name for name in SHOWS[node.type] if isinstance(self.wiring.effective(node.link(name)), Outer)]
        if outer and not linked:
            self.verdicts[node.id] = Verdict("resolved", reason="it shows what comes in from outside")
        elif not linked:
            self.verdicts[node.id] = Verdict("resolved", reason="nothing is linked to it")
        else:
            for name in linked:
                place = self.wiring.place(node, name)
                assert isinstance(place, Origin)
                self.shown.append(Shown("preview" if len(linked) == 1 else name, place, node.id))
            self.verdicts[node.id] = Verdict("resolved", reason="an output of the interface")
        return True

    def _keep(self, node: SourceNode, reason: str) -> None:
        draft = placeholder(Draft(node, self))
        self._commit(draft, Verdict("placeholder", list(draft.entries), reason, draft.notes))

    def _commit(self, draft: Draft, verdict: Verdict | None = None) -> None:
        node = draft.node
        became = sorted(draft.entries, key=lambda name: name != draft.main)
        if verdict is None and not became:  # it passes on what it reads
            verdict = Verdict("resolved", [], "it changes nothing here", draft.notes)
        self.verdicts[node.id] = verdict or Verdict("mapped", became, "", draft.notes)
        self.entries |= draft.entries
        self.outputs |= {Origin(node.id, slot): place for slot, place in draft.outputs.items()}
        for reader, places in draft.targets.items():
            self.targets.setdefault(reader, []).extend(places)
        for name, places in draft.outer.items():
            self.outer.setdefault(name, []).extend(places)
        for part, reader in draft.absorbed:
            self.absorbed.setdefault(part, set()).add(reader)
            self.part_of.setdefault(part, []).append(became[0])
        self.used |= draft.used
        self.shown += [Shown(name, place, node.id) for name, place in draft.shown]
        self.public += [Public(*item) for item in draft.public]

    # ---- switching off, and links ----

    def _switch_off(self) -> None:
        for id, verdict in self.verdicts.items():
            node, muted = self.graph.nodes[id], self.wiring.off.get(id)
            if node.mode == "active" and muted is None:
                continue
            for name in verdict.became:
                self.entries[name].disabled = True
            if muted == id:
                verdict.notes.append("muted in ComfyUI: switched off here, and all that cannot do without it")
            elif muted is not None:
                verdict.notes.append(f"switched off: it cannot do without node {muted}, which is muted")
            else:
                verdict.notes.append("bypassed in ComfyUI: switched off here, and what it reads goes around it")

    def _resolve_links(self, name: str, entry: Entry) -> None:
        for key, link in list(entry.links.items()):
            many = isinstance(link, list)
            links = link if isinstance(link, list) else [link]
            found = [self.resolve(one, entry.disabled) if isinstance(one, Origin) else one for one in links]
            places: list[str | Origin] = [place for place in found if place is not None]
            if places:
                entry.links[key] = places if many else places[0]
            else:
                del entry.links[key]
            if len(places) == len(links):
                continue
            for verdict in self.verdicts.values():
                if name in verdict.became:
                    verdict.notes.append(f"the link into {name}.{key} leads to what is switched off, and was left out")

    def resolve(self, origin: Origin, off: bool = False) -> str | None:
        """The output of ours that an output of the source became, around bypassed nodes; None where there is none."""
        if self.graph.nodes[origin.node].mode == "bypassed":
            around = self.wiring.effective(origin)
            place = self.outputs.get(around) if isinstance(around, Origin) else None
            return self.outputs[origin] if self._passes_alike(origin, place) else place
        if origin.node in self.wiring.off and not off:
            return None
        return self.outputs.get(origin)

    def _passes_alike(self, origin: Origin, wanted: str | None) -> bool:
        """Whether switching our node off leads the same value around it as ComfyUI's bypass does: then the link may stay."""
        place = self.outputs.get(origin)
        if place is None or wanted is None:
            return False
        id, _, output = place.partition(".")
        entry = self.entries[id]
        spec = self.catalog.nodes.get(entry.type)
        if spec is None or output not in spec.output_by_name:
            return False
        for item in spec.inputs:
            link = entry.links.get(item.name)
            relation = relate(item.type.item if item.type.kind == "optional" else item.type, spec.output_by_name[output].type)
            if link is not None and relation is not None and relation.how == "direct":
                return link == wanted or (isinstance(link, Origin) and self.outputs.get(link) == wanted)
        return False

    # ---- what has no place elsewhere ----

    def _keep_the_rest(self) -> None:
        """Titles, values and looks that no node of ours has a place for, so that nothing is lost."""
        for id, verdict in self.verdicts.items():
            node = self.graph.nodes[id]
            rest = {name: value for name, value in node.values.items() if Reader(id, name) not in self.used}
            if verdict.fate == "placeholder":
                continue
            if not verdict.became and verdict.fate == "resolved":
                verdict.notes += [f"its {name} was {value!r}" for name, value in rest.items() if value is not None]
                continue
            kept = {key: node.raw[key] for key in _KEPT if node.raw.get(key)}
            looks = {"class": node.type, **({"values": rest} if rest else {}), **kept}
            if not verdict.became:
                parts = self.entries[self.part_of[id][0]].extra.setdefault("comfyui", {}).setdefault("parts", {})
                parts[id] = looks | ({"title": node.title} if node.title else {})
                continue
            extra = self.entries[verdict.became[0]].extra
            if node.title:
                extra["title"] = node.title
            extra["comfyui"] = extra.get("comfyui", {}) | looks | {"id": id}

    def rows(self, prefix: str = "") -> Iterable[Row]:
        """What became of each node, in the order of the file."""
        for id, node in self.graph.nodes.items():
            verdict = self.verdicts[id]
            became = tuple(f"{name} ({self.entries[name].type})" for name in verdict.became)
            type_ = self.functions[node.type].title if node.type in self.functions else node.type
            pack = node.pack if node.pack != "comfy-core" else ""
            yield Row(*(f"{prefix}{id}", type_, node.title, verdict.fate, became, verdict.reason, tuple(verdict.notes), pack))
