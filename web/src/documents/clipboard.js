// Copy and paste through the system's clipboard, as text: between tabs, windows, programs and people.
import { copy, paste, readText } from "../model/clipboard.js";
import { remove } from "../model/edit.js";
import { isTyping } from "../keys.js";
import { html } from "../html.js";
import { t } from "../text/index.js";
import { importWorkflow, openFile, openOutside } from "./opening.js";

/** @import { App, Point, Tab } from "../types.d.ts" */

/** @param {App} app */
export function installClipboard(app) {
  let pointer = /** @type {{clientX: number, clientY: number} | null} */ (null);
  let linked = false;
  let last = ""; // where the browser lets nobody read the clipboard
  const tab = () => app.tabs.current.value;
  const some = () => (tab()?.selection.value.size ?? 0) > 0;
  const text = () => {
    const now = /** @type {Tab} */ (tab());
    return (last = JSON.stringify(copy(now.store.json.peek(), now.scope.peek(), now.selection.peek()), null, 2));
  };
  const cut = () => {
    const ids = tab()?.selection.peek() ?? new Set();
    app.tabs.edit(t("edit.cut"), (graph) => remove(graph, ids));
    /** @type {Tab} */ (tab()).selection.value = new Set();
  };
  /** Menus have no event of the browser's; keys do, and then that event follows. @param {unknown} given @param {() => unknown} work */
  const unlessKeys = (given, work) => (given instanceof KeyboardEvent ? undefined : work());
  const write = () => void navigator.clipboard?.writeText(text()).catch(() => {}); // it is remembered here at least
  const read = async () => (await navigator.clipboard?.readText().catch(() => "")) || last;

  app.commands.add(
    { id: "edit.cut", title: "edit.cut", keys: ["Ctrl+X"], native: true, context: "canvas", group: "edit", when: some, run: (given) => unlessKeys(given, () => (write(), cut())) },
    { id: "edit.copy", title: "edit.copy", keys: ["Ctrl+C"], native: true, context: "canvas", group: "edit", when: some, run: (given) => unlessKeys(given, write) },
    { id: "edit.paste", title: "edit.paste", keys: ["Ctrl+V"], native: true, context: "canvas", group: "edit", when: () => tab() !== null,
      run: (given) => ((linked = false), unlessKeys(given, async () => pasteText(app, await read(), null, false))) },
    { id: "edit.paste_linked", title: "edit.paste_linked", keys: ["Shift+Ctrl+V"], native: true, context: "canvas", group: "edit", when: () => tab() !== null,
      run: (given) => ((linked = true), unlessKeys(given, async () => pasteText(app, await read(), null, true))) },
    { id: "edit.duplicate", title: "edit.duplicate", keys: ["Ctrl+D"], context: "canvas", group: "edit", when: some, run: () => duplicate(app) },
  );

  document.addEventListener("pointermove", (event) => (pointer = event), { passive: true });
  /** @param {Event} event */
  const ours = (event) => tab() !== null && !isTyping(event.target) && !document.querySelector("dialog[open]") && String(getSelection()) === ""
    && (event.target === document.body || event.target instanceof Element && event.target.closest("[data-context~=canvas]") !== null);
  for (const kind of /** @type {const} */ (["copy", "cut"])) {
    document.addEventListener(kind, (event) => {
      if (!ours(event) || !some()) return;
      event.clipboardData?.setData("text/plain", text());
      event.preventDefault();
      if (kind === "cut") cut();
      app.announce(t("edit.copied"));
    });
  }
  document.addEventListener("paste", (event) => {
    const given = event.clipboardData;
    if (!ours(event) || !given) return;
    event.preventDefault();
    const at = pointer;
    if (given.files.length && given.files[0].type === "application/json") openFile(app, given.files[0]);
    else app.toasts.attempt(() => pasteText(app, given.getData("text/plain"), at, linked));
    linked = false;
  });
}

/** @param {App} app @param {{clientX: number, clientY: number} | null} pointer @returns {Point} */
function placeFor(app, pointer) {
  const corner = app.canvas?.host.getBoundingClientRect();
  const over = pointer && corner && pointer.clientX > corner.left && pointer.clientX < corner.right && pointer.clientY > corner.top && pointer.clientY < corner.bottom;
  if (over && app.canvas) return app.canvas.pointAt(pointer);
  const view = app.canvas?.view() ?? { x: 0, y: 0, width: 800, height: 600 };
  return [view.x + view.width / 4, view.y + view.height / 4];
}

/** @param {App} app @param {string} text @param {{clientX: number, clientY: number} | null} pointer @param {boolean} linked */
async function pasteText(app, text, pointer, linked) {
  const { kind, json } = readText(text);
  if (!kind) return app.toasts.show(t("edit.nothing_to_paste"));
  if (kind === "foreign") return importWorkflow(app, { comfyui: json }, "");
  if (kind === "workflow") {
    const answer = await app.dialogs.open(t("edit.paste_workflow"), PasteBody, { title: json.title || t("untitled") });
    if (answer === "tab") return openOutside(app, { workflow: json });
    if (answer !== "here") return;
  }
  insert(app, json, placeFor(app, pointer), linked);
}

/** @param {App} app @param {any} clip @param {Point} at @param {boolean} linked */
function insert(app, clip, at, linked) {
  const tab = app.tabs.current.peek();
  if (!tab) return;
  const { json, ids } = paste(tab.store.json.peek(), tab.scope.peek(), clip, at, { linked });
  if (!tab.store.change(t("edit.paste"), () => json, { scope: tab.scope.peek() })) return;
  tab.selection.value = ids;
  app.canvas?.host.focus({ preventScroll: true });
  app.announce(t("edit.pasted", { count: ids.size }));
}

/** @param {App} app */
function duplicate(app) {
  const tab = app.tabs.current.peek();
  if (!tab) return;
  const clip = copy(tab.store.json.peek(), tab.scope.peek(), tab.selection.peek());
  const { nodes = {}, frames = [], notes = [] } = clip.layout ?? {};
  const places = [...Object.values(nodes), ...[...frames, ...notes].map((one) => [one.x, one.y])];
  insert(app, clip, [Math.min(...places.map(([x]) => x)) + 40, Math.min(...places.map(([, y]) => y)) + 40], true);
}

/** @param {{title: string, close(answer?: "here" | "tab"): void}} props */
const PasteBody = ({ title, close }) => html`<p>${t("edit.paste_text", { title })}</p>
  <div class="actions"><button type="button" onClick=${() => close("tab")}>${t("edit.paste_tab")}</button>
  <button type="button" class="main" autofocus onClick=${() => close("here")}>${t("edit.paste_here")}</button></div>`;
