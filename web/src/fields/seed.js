// A seed: what is shown is what is used. It is drawn anew before each run, or kept.
import { html } from "../html.js";
import { Icon } from "../icons.js";
import { inGraph, inLayout, put, setValue } from "../model/edit.js";
import { graphAt, layoutOf, nodesOf, split } from "../model/graph.js";
import { t } from "../text/index.js";
import { NumberField } from "./number.js";
import { listing, pick } from "./parts.js";

/** @import { App, Graph, Tab } from "../types.d.ts" */
/** @import { ControlProps } from "./index.js" */

const drawn = (most = 2 ** 32 - 1) => crypto.getRandomValues(new Uint32Array(1))[0] % (Math.min(most, 2 ** 32 - 1) + 1);

/** Draw the seeds that are to be new in each run, as one change of the document. Seeds that one public input sets stay the same.
 * @param {Tab} tab */
export function drawSeeds(tab) {
  tab.store.change(t("seed.draw"), (json) => ["", ...Object.keys(json.subgraphs ?? {})].reduce((all, scope) => inGraph(all, scope, withDrawn), json), { merge: "seeds" });
}

/** @param {Graph} graph @returns {Graph} */
function withDrawn(graph) {
  const wanted = new Set(Object.entries(layoutOf(graph).seeds ?? {}).filter(([, mode]) => mode === "new").map(([place]) => place));
  const groups = Object.values(graph.interface?.inputs ?? {}).map((one) => one.to).filter((to) => to.some((place) => wanted.has(place)));
  groups.flat().forEach((place) => wanted.delete(place));
  for (const group of [...groups, ...[...wanted].map((place) => [place])]) {
    const seed = drawn();
    for (const [id, name] of group.map(split)) if (nodesOf(graph)[id] && !nodesOf(graph)[id].links?.[name]) graph = setValue(graph, id, name, seed);
  }
  return graph;
}

/** Seeds that this document ran with. @param {App} app @param {Tab} tab @param {string[]} targets @returns {Promise<number | undefined>} */
export function earlierSeed(app, tab, targets) {
  const [id, name] = split(targets[0]);
  const json = tab.store.json.peek();
  const shown = Object.entries(json.interface?.inputs ?? {}).find(([, one]) => one.to.includes(targets[0]))?.[0] ?? "";
  const path = `/api/jobs?limit=30&document=${encodeURIComponent(json.id ?? "")}`;
  /** @param {any} job A job's inputs are those of the interface; other seeds are in the workflow that it ran. */
  const seedOf = (job) => (shown ? job.inputs?.[shown] : listing(app, `/api/jobs/${job.id}/workflow`).value?.nodes?.[id]?.inputs?.[name]);
  listing(app, path, true);
  const rows = () => listing(app, path).value?.jobs.map((/** @type {any} */ job) => ({ value: seedOf(job), note: new Date(job.created).toLocaleString(), picture: job.thumbnail }));
  const several = () => rows()?.filter((/** @type {any} */ one, /** @type {number} */ index, /** @type {any[]} */ all) =>
    typeof one.value === "number" && all.findIndex((other) => other.value === one.value) === index) ?? null;
  return pick(app, t("seed.history"), several);
}

/** @param {ControlProps} props */
export function Seed(props) {
  const { tab, field, change, place, targets = [place], where } = props;
  const graph = where === "form" ? graphAt(tab.store.json.value, "") : tab.graph.value;
  const anew = targets.some((target) => layoutOf(graph).seeds?.[target] === "new");
  const turn = () => tab.store.change(t("seed.new"), (json) => inGraph(json, where === "form" ? "" : tab.scope.peek(), (one) => inLayout(one, (layout) =>
    ({ ...layout, seeds: targets.reduce((seeds, target) => put(seeds, target, anew ? "keep" : "new"), layout.seeds ?? {}) }))));
  return html`<${NumberField} ...${props} /><span class="seed-buttons">
    <button type="button" aria-pressed=${anew} aria-label=${t("seed.new")} title=${t("seed.new")} onClick=${turn}><${Icon} name="retry" /></button>
    <button type="button" aria-label=${t("seed.draw")} title=${t("seed.draw")} onClick=${() => change(drawn(field.maximum))}><${Icon} name="dice" /></button></span>`;
}
