// What can be done with a run and its pictures: open its workflow, take over its settings, run it again, keep it, forget it.
import { show } from "../documents/opening.js";
import { publicInput } from "../model/catalog.js";
import { addNode, disconnect, freeId, setValue } from "../model/edit.js";
import { nodesOf, titleOf } from "../model/graph.js";
import { ApiError } from "../server/api.js";
import { accept, createTab, editGraph } from "../tabs.js";
import { html } from "../html.js";
import { t } from "../text/index.js";

/** @import { App, Graph, JobRow, OutputRow, Tab } from "../types.d.ts" */

/** The document of a run as it ran, in a tab of its own that shows the run. @param {App} app @param {string} id */
export const openWorkflowOf = (app, id) => app.toasts.attempt(async () => {
  const [json] = await Promise.all([app.api.get(`/api/jobs/${id}/workflow`), app.runs.follow(id)]);
  const tab = createTab(json, { saved: null });
  tab.job.value = id;
  return show(app, tab);
});

/** Set the inputs of the current document's interface to what a run used: all of its seeds or of its texts, by their names.
 * @param {App} app @param {string} id @param {"seed" | "str"} kind */
export const takeOver = (app, id, kind) => app.toasts.attempt(async () => {
  const tab = app.tabs.current.peek();
  if (!tab) return;
  const { inputs } = await app.api.get(`/api/jobs/${id}`);
  const json = tab.store.json.peek();
  const own = Object.entries(json.interface?.inputs ?? {}).filter(([name, spec]) => {
    const type = publicInput(app.catalog.peek(), json, json, name, spec).type;
    return name in inputs && "value" in type && type.value.split(":")[0] === kind;
  });
  const set = (/** @type {Graph} */ graph) => own.reduce((whole, [name, spec]) => spec.to.reduce((now, to) => {
    const [node, input] = /** @type {[string, string]} */ (to.split(/\.(.*)/s));
    return setValue(disconnect(now, node, input), node, input, inputs[name]);
  }, whole), graph);
  if (own.length) tab.store.change(t("results.taken"), (whole) => /** @type {any} */ (set(whole)));
  app.toasts.show(own.length ? t("results.took", { names: own.map(([name, spec]) => spec.title || name).join(", ") }) : t("results.no_match"), own.length ? "info" : "error");
});

/** Run it again as it was; with other seeds where it has some and `anew`. @param {App} app @param {JobRow} job @param {boolean} [anew] */
export const runAgain = (app, job, anew = false) => app.toasts.attempt(async () => {
  try {
    if (["failed", "cancelled"].includes(job.state)) await app.api.post(`/api/jobs/${job.id}/retry`);
    else {
      const json = await app.api.get(`/api/jobs/${job.id}/workflow`);
      const seeds = Object.entries(json.interface?.inputs ?? {}).filter(([name, spec]) => {
        const type = publicInput(app.catalog.peek(), json, json, name, /** @type {any} */ (spec)).type;
        return anew && "value" in type && type.value === "seed";
      });
      await app.api.post("/api/jobs", { workflow: json, inputs: Object.fromEntries(seeds.map(([name]) => [name, "random"])) });
    }
    app.announce(t("run.sent"));
  } catch (error) {
    if (!(error instanceof ApiError) || !error.wants.length) throw error;
    await openWorkflowOf(app, job.id); // it asks for consent when it is run there
  }
});

/** Forget runs and their pictures, after a question. @param {App} app @param {string[]} ids @returns {Promise<boolean>} */
export async function forget(app, ids) {
  const all = [...new Set(ids)];
  if (!(await app.dialogs.confirm(t("delete"), t("results.sure", { count: all.length }), t("delete")))) return false;
  for (const id of all) await app.toasts.attempt(() => app.api.delete(`/api/jobs/${id}`));
  return true;
}

/** Give a file to the browser to keep. @param {string} url @param {string} [name] */
export function keep(url, name = "") {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
}

/** @param {OutputRow} row */
export const downloadRow = (row) => keep(row.name ? `${row.url}?name=${encodeURIComponent(row.name)}` : row.url ?? "", row.name);

/** @param {string} url @returns {Promise<Blob>} */
export const bytesOf = async (url) => (await fetch(url)).blob();

/** A picture on the clipboard; browsers take only PNG there. @param {App} app @param {OutputRow} row */
export const copyPicture = (app, row) => app.toasts.attempt(async () => {
  if (!navigator.clipboard) throw new Error(t("copy.not_here"));
  const picture = await createImageBitmap(await bytesOf(row.url ?? ""));
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d")).drawImage(picture, 0, 0);
  await navigator.clipboard.write([new ClipboardItem({ "image/png": canvas.convertToBlob() })]);
  app.toasts.show(t("results.copied"));
});

/** Make a picture the value of a file input of the current document; a person chooses which. @param {App} app @param {Blob} picture
 * @param {string} name @param {string} text Said above the choice. */
export const useAsInput = (app, picture, name, text = "") => app.toasts.attempt(async () => {
  const tab = app.tabs.current.peek();
  if (!tab) return;
  const chosen = await app.dialogs.open(t("results.use"), ChooseInput, { text, inputs: fileInputs(app, tab) });
  if (!chosen) return;
  const { file } = await app.api.upload(picture, name);
  accept(tab, { kind: "file", name: file });
  const { x, y, zoom } = tab.camera.peek();
  editGraph(tab, t("results.use"), (graph) => {
    if (chosen.id) return setValue(disconnect(graph, chosen.id, chosen.input), chosen.id, chosen.input, file);
    return addNode(graph, freeId(graph, "load_image"), { type: LOAD, inputs: { path: file } }, [x + 60 / zoom, y + 60 / zoom]);
  });
  app.view.value = "graph";
  app.toasts.show(t("results.used", { name: chosen.title }));
});

const LOAD = "image/load_image";

/** @param {App} app @param {Tab} tab */
function fileInputs(app, tab) {
  const [json, graph, catalog] = [tab.store.json.peek(), tab.graph.peek(), app.catalog.peek()];
  const there = Object.entries(nodesOf(graph)).flatMap(([id, entry]) => {
    const spec = catalog.specOf(json, entry);
    return spec.inputs.filter((input) => input.file === "file").map((input) => ({ id, input: input.name, title: `${titleOf(graph, id, spec)} · ${input.title}` }));
  });
  return [...there, { id: "", input: "", title: t("results.new_node", { title: catalog.nodes[LOAD]?.title ?? LOAD }) }];
}

/** @param {{text: string, inputs: {title: string}[], close(answer?: any): void}} props */
const ChooseInput = ({ text, inputs, close }) => html`<p>${text}</p><ul class="choose">${inputs.map((one, index) => html`<li key=${index}>
  <button type="button" autofocus=${!index} onClick=${() => close(one)}>${one.title}</button></li>`)}</ul>`;
