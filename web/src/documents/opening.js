// Opening: what is saved, what a file or a picture carries, what another program wrote. Each becomes a tab.
import { readText } from "../model/clipboard.js";
import { createTab } from "../tabs.js";
import { t } from "../text/index.js";

/** @import { App, Tab, Workflow } from "../types.d.ts" */

/** Show a tab's graph whole. @param {App} app @param {Tab} tab */
export function show(app, tab) {
  app.tabs.open(tab);
  app.view.value = innerWidth < 700 ? "form" : "graph"; // on a phone the form comes first
  fitSoon(app);
  return tab;
}

/** @param {App} app */
export function fitSoon(app) {
  if (app.canvas?.size.width) app.canvas.fit();
  else requestAnimationFrame(() => requestAnimationFrame(() => app.canvas?.fit()));
}

/** @param {string} id */
export const placeOfWorkflow = (id) => `/api/workflows/${encodeURIComponent(id)}`;

/** A saved workflow, in the tab that has it or in one of its own. @param {App} app @param {string} id @param {{again?: boolean}} [options] */
export async function openWorkflow(app, id, { again = false } = {}) {
  const open = again ? undefined : app.tabs.all.peek().find((tab) => tab.file.peek()?.id === id);
  if (open) return (app.tabs.current.value = open);
  const found = await app.api.get(placeOfWorkflow(id));
  const tab = createTab(found.workflow, { file: { id, digest: found.digest, shipped: found.shipped } });
  tab.problems.value = found.problems ?? [];
  tab.wants.value = found.wants ?? [];
  return show(app, tab);
}

/** A document that came from elsewhere: led to the versions that are installed, not trusted, not saved.
 * @param {App} app @param {{workflow: Workflow} | {upload: string} | {artifact: string}} given */
export async function openOutside(app, given) {
  const found = await app.api.post("/api/workflows/open", given);
  const tab = createTab(found.workflow, { saved: null });
  tab.problems.value = found.problems;
  tab.wants.value = found.wants;
  return show(app, tab);
}

/** Another program's workflow, with a report of what became of it. @param {App} app @param {{comfyui: any} | {upload: string}} given @param {string} title */
export async function importWorkflow(app, given, title) {
  const found = await app.api.post("/api/workflows/import", { ...given, title });
  const tab = show(app, createTab(found.workflow, { saved: null }));
  tab.problems.value = found.problems;
  const { ImportReport } = await import("./import-report.js");
  await app.dialogs.open(t("documents.imported"), ImportReport, { report: found.report });
  return tab;
}

/** Open a file as a document: a workflow of ours or of ComfyUI as JSON, or the one that a picture carries.
 * @param {App} app @param {File} file @returns {Promise<Tab | undefined>} */
export const openFile = (app, file) => app.toasts.attempt(async () => {
  const title = file.name.replace(/\.[^.]*$/, "");
  if (file.type.startsWith("image/")) {
    const upload = (await app.api.upload(file, file.name)).file.split("/").at(-1) ?? "";
    return await openOutside(app, { upload }).catch(() => importWorkflow(app, { upload }, title));
  }
  const { kind, json } = readText(await file.text());
  if (kind === "foreign") return importWorkflow(app, { comfyui: json }, title);
  if (kind) return openOutside(app, { workflow: json });
  throw new Error(t("documents.not_one", { name: file.name }));
});

/** Let a person choose a file to open. @param {App} app */
export function chooseFile(app) {
  const field = document.createElement("input");
  field.type = "file";
  field.accept = ".json,image/*";
  field.onchange = () => field.files?.[0] && openFile(app, field.files[0]);
  field.click();
}

/** Give a text to the browser to keep as a file. @param {string} name @param {string} text @param {string} type */
export function download(name, text, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
