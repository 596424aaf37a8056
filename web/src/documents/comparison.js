// What differs between two documents: drawn, and as a list in words.
import { useEffect, useState } from "preact/hooks";
import { Fragment, html } from "../html.js";
import { graphAt } from "../model/graph.js";
import { words } from "../server/api.js";
import { t } from "../text/index.js";
import { Picture } from "./picture.js";

/** @import { App, Workflow } from "../types.d.ts" */
/** @import { Mark } from "./picture.js" */
/** @typedef {{kind: string, path: string[], before?: any, after?: any}} Change */

/** @param {any} value */
export const valueText = (value) => (value === undefined ? t("change.nothing") : typeof value === "string" ? value || "“”" : JSON.stringify(value)).slice(0, 300);
/** A place in a document, in words: `denoise · steps`. @param {string[]} path */
export const placeText = (path) => path.filter((part, index) => index === path.length - 1 || !["nodes", "inputs", "links", "subgraphs", "interface", "layout"].includes(part)).join(" · ");

/** @param {Change} change */
const kindOf = ({ kind, before, after }) => (before === undefined ? "added" : after === undefined ? "removed" : kind.endsWith("renamed") ? "renamed" : "changed");

/** @param {Change} change */
function sentence(change) {
  const kind = kindOf(change);
  const what = placeText(change.path);
  const node = change.path.at(-2) === "nodes";
  const [before, after] = [change.before, change.after].map((value) => valueText(node && value?.type ? value.type : value));
  return t(`change.${kind}`, { what, before, after });
}

/** What became of each node, by scope. @param {Change[]} changes @param {Change[]} layout */
function marksOf(changes, layout) {
  /** @type {Map<string, Map<string, Mark>>} */
  const marks = new Map([["", new Map()]]);
  /** @param {Change} change @param {Mark} mark */
  const set = ({ path }, mark) => {
    const scope = path[0] === "subgraphs" ? path[1] : "";
    const inside = path[0] === "subgraphs" ? path.slice(2) : path;
    const id = inside[0] === "nodes" ? inside[1] : inside[0] === "layout" && inside[1] === "nodes" ? inside[2] : "";
    if (!marks.has(scope)) marks.set(scope, new Map());
    if (id && !(marks.get(scope)?.get(id) && mark === "moved")) marks.get(scope)?.set(id, mark);
  };
  for (const change of layout) set(change, "moved");
  for (const change of changes) {
    const whole = change.path.at(-2) === "nodes";
    const kind = kindOf(change);
    set(change, whole && (kind === "added" || kind === "removed") ? kind : "changed");
  }
  return marks;
}

/** `after`, with the nodes that it lost in their old places. @param {Workflow} before @param {Workflow} after @param {string} scope @returns {Workflow} */
function both(before, after, scope) {
  const [old, now] = [graphAt(before, scope), graphAt(after, scope)];
  const graph = { ...now, nodes: { ...old.nodes, ...now.nodes }, layout: { ...now.layout, nodes: { ...old.layout?.nodes, ...now.layout?.nodes } } };
  const subgraphs = { ...before.subgraphs, ...after.subgraphs };
  return /** @type {Workflow} */ (scope ? { ...after, subgraphs: { ...subgraphs, [scope]: graph } } : { ...graph, subgraphs });
}

/** @param {{app: App, before: Workflow, after: Workflow}} props */
export function Comparison({ app, before, after }) {
  const [found, setFound] = useState(/** @type {{changes: Change[], layout: Change[]} | string | null} */ (null));
  useEffect(() => {
    let wanted = true;
    app.api.post("/api/workflows/diff", { before, after }).then((diff) => wanted && setFound(diff), (error) => wanted && setFound(words(error)));
    return () => void (wanted = false);
  }, [before, after]);
  if (!found || typeof found === "string") return html`<p role="status">${found ?? t("app.loading")}</p>`;
  const marks = marksOf(found.changes, found.layout);
  return html`<${Fragment}>
    ${[...marks].map(([scope, own]) => (scope === "" || own.size > 0) && html`<figure key=${scope}>${scope && html`<figcaption>${scope}</figcaption>`}
      <${Picture} app=${app} json=${both(before, after, scope)} scope=${scope} marks=${own} label=${t("compare.picture")} /></figure>`)}
    ${found.changes.length + found.layout.length === 0 && html`<p>${t("compare.same")}</p>`}
    <ul class="changes">${found.changes.map((change, index) => html`<li key=${index} class=${kindOf(change)}>${sentence(change)}</li>`)}</ul>
    ${found.layout.length > 0 && html`<p class="dim">${t("compare.layout", { count: found.layout.length })}</p>`}
  </${Fragment}>`;
}
