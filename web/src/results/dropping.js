// Files that are dropped on the window or pasted, and pictures that are dragged out of the gallery: their workflow is opened. Whoever takes a
// drop for itself, as a file field does, stops the event.
import { importWorkflow, openFile, openOutside } from "../documents/opening.js";
import { isTyping } from "../keys.js";
import { ApiError } from "../server/api.js";
import { t } from "../text/index.js";
import { openWorkflowOf, useAsInput } from "./actions.js";
import { PICTURE_TYPE } from "./gallery.js";

/** @import { App } from "../types.d.ts" */

/** @param {App} app */
export function listenToDrops(app) {
  const veil = document.createElement("div");
  veil.className = "drop-veil";
  veil.hidden = true;
  document.body.append(veil);
  const ours = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.some((type) => type === "Files" || type === PICTURE_TYPE);
  const mayTake = (/** @type {DragEvent} */ event) => ours(event) && !event.defaultPrevented && !document.querySelector("dialog[open]")
    && !(event.target instanceof Element && event.target.closest(event.dataTransfer?.types.includes(PICTURE_TYPE) ? ".gallery, [data-takes-files]" : "[data-takes-files]"));

  // on the way down: a field that takes the drop keeps the event from coming up again
  window.addEventListener("dragover", (event) => {
    veil.hidden = !mayTake(event);
    veil.textContent = t("results.drop");
    if (ours(event)) event.preventDefault(); // otherwise the browser leaves the page for the file
  }, true);
  window.addEventListener("dragleave", (event) => void (event.relatedTarget === null && (veil.hidden = true)));
  window.addEventListener("dragend", () => void (veil.hidden = true));
  window.addEventListener("drop", (event) => {
    const take = mayTake(event);
    veil.hidden = true;
    if (!ours(event)) return;
    event.preventDefault();
    if (!take) return;
    const picture = event.dataTransfer?.getData(PICTURE_TYPE);
    if (picture) openWorkflowOf(app, JSON.parse(picture).job);
    else openDropped(app, [...(event.dataTransfer?.files ?? [])]);
  });
  window.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (event.defaultPrevented || !files.length || isTyping(event.target) || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    openDropped(app, files);
  });
}

/** @param {App} app @param {File[]} files */
async function openDropped(app, files) {
  const [file] = files;
  if (!file) return;
  if (files.length > 1) app.toasts.show(t("results.first_only", { name: file.name, count: files.length }));
  if (!file.type.startsWith("image/")) await openFile(app, file);
  else await app.toasts.attempt(() => openPicture(app, file));
}

/** The workflow that a picture carries, ours or another program's; one without may become an input. @param {App} app @param {File} file */
async function openPicture(app, file) {
  const upload = (await app.api.upload(file, file.name)).file.split("/").at(-1) ?? "";
  /** @param {unknown} error Is thrown on, unless it says that nothing of this kind is in the picture. */
  const without = (error) => {
    if (!(error instanceof ApiError) || error.status !== 422) throw error;
    return null;
  };
  const opened = await openOutside(app, { upload }).catch(without) ?? await importWorkflow(app, { upload }, file.name.replace(/\.[^.]*$/, "")).catch(without);
  if (opened) return;
  const { width, height } = await createImageBitmap(file);
  await useAsInput(app, file, file.name, t("results.no_workflow", { name: file.name, width, height }));
}
