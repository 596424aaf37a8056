// A graph drawn small: its boxes and links as SVG, from the document alone. A mark says what became of a node.
import { html } from "../html.js";
import { edgesOf, graphAt, nodesOf, titleOf } from "../model/graph.js";
import { around, boxOf, curve, endsOf, shapeOf, isCollapsed } from "../model/geometry.js";

/** @import { App, Scope, Workflow } from "../types.d.ts" */
/** @typedef {"added" | "removed" | "changed" | "moved"} Mark */

const SIGNS = { added: "+", removed: "−", changed: "~", moved: "↔" };

/** @param {{app: App, json: Workflow, scope?: Scope, marks?: Map<string, Mark>, label: string}} props */
export function Picture({ app, json, scope = "", marks = new Map(), label }) {
  const graph = graphAt(json, scope);
  const items = new Map(Object.entries(nodesOf(graph)).map(([id, entry]) => {
    const spec = app.catalog.value.specOf(json, entry);
    return [id, { id, spec, box: boxOf(graph, id, spec), shape: shapeOf(entry, spec, isCollapsed(graph, id)) }];
  }));
  const all = around([...items.values()].map((item) => item.box));
  if (!all) return html`<svg class="graph-picture" role="img" aria-label=${label} viewBox="0 0 400 200"></svg>`;
  const size = Math.max(16, all.width / 60);
  return html`<svg class="graph-picture" role="img" aria-label=${label} viewBox=${`${all.x - 40} ${all.y - 40} ${all.width + 80} ${all.height + 80}`}>
    ${edgesOf(graph).map((edge) => {
      const [from, to] = [items.get(edge.source), items.get(edge.target)];
      return from && to && html`<path key=${`${edge.key} ${edge.index}`} d=${curve(endsOf(from.box, from.shape, to.box, to.shape, edge))} />`;
    })}
    ${[...items.values()].map(({ id, spec, box }) => {
      const mark = /** @type {Mark | undefined} */ (marks.get(id));
      return html`<g key=${id} class=${mark ?? ""}><rect x=${box.x} y=${box.y} width=${box.width} height=${box.height} rx="8" />
        <text x=${box.x + 8} y=${box.y + size * 1.2} font-size=${size}>${mark ? `${SIGNS[mark]} ` : ""}${titleOf(graph, id, spec).slice(0, Math.floor((box.width / size) * 1.6))}</text></g>`;
    })}
  </svg>`;
}
