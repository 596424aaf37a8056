// Nothing is lost: what is not saved goes to the server as a draft, shortly after each change. Until it is there, this browser has it.
import { effect } from "@preact/signals";
import { ApiError } from "../server/api.js";

/** @import { App, Tab, Workflow } from "../types.d.ts" */

const SOON_MS = 800;
const LOCAL = "nodegraph.draft.";
const MOST_WHILE_LEAVING = 60_000; // browsers let a page that goes away send 64 kB

/** Drafts on their way. @type {WeakMap<Tab, Promise<any>>} */
const sending = new WeakMap();
/** Tabs whose work is nowhere but in this page. @type {Set<Tab>} */
const onlyHere = new Set();

/** @param {string} key */
export const placeOfDraft = (key) => `/api/drafts/${encodeURIComponent(key)}`;

/** Whether closing the page would lose something of a tab. @param {Tab} tab */
const needed = (tab) => tab.store.dirty.peek() || !tab.file.peek() && Object.keys(tab.store.json.peek().nodes ?? {}).length > 0;

/** What a draft says: the document, and as what it is kept. @typedef {{json: Workflow, file: Tab["file"]["value"], key: string}} Said */
/** @param {Tab} tab @returns {Said} */
const saidBy = (tab) => ({ json: tab.store.json.peek(), file: tab.file.peek(), key: tab.key });

/** @param {App} app */
export function keepDrafts(app) {
  /** Of each tab: what lies on the server, and whether something is on its way. @type {Map<Tab, {stop(): void, timer: number, busy: boolean, kept: Said | null}>} */
  const known = new Map();
  const isKept = (/** @type {Tab} */ tab, /** @type {Said | null | undefined} */ kept) =>
    kept?.json === tab.store.json.peek() && kept.file === tab.file.peek() && kept.key === tab.key;

  effect(() => {
    const open = new Set(app.tabs.all.value);
    for (const tab of open) if (!known.has(tab)) watch(tab);
    for (const [tab, { stop, timer }] of known) {
      if (open.has(tab)) continue;
      stop();
      clearTimeout(timer);
      known.delete(tab);
      onlyHere.delete(tab);
    }
  });

  /** @param {Tab} tab */
  function watch(tab) {
    const state = { stop: () => {}, timer: 0, busy: false, kept: tab.kept.peek() === "kept" ? saidBy(tab) : null };
    known.set(tab, state);
    state.stop = effect(() => {
      void [tab.store.json.value, tab.store.saved.value, tab.file.value];
      if (needed(tab) ? isKept(tab, state.kept) : state.kept === null && tab.kept.peek() === "") return;
      if (needed(tab)) tab.kept.value = "saving";
      clearTimeout(state.timer);
      state.timer = setTimeout(() => keep(tab), SOON_MS);
    });
  }

  /** @param {Tab} tab @param {boolean} [leaving] The page may go at any time. */
  async function keep(tab, leaving = false) {
    const state = known.get(tab);
    if (!state || state.busy && !leaving) return;
    clearTimeout(state.timer);
    const said = saidBy(tab);
    if (!needed(tab)) {
      state.kept = null;
      tab.kept.value = "";
      return drop(app, tab);
    }
    if (isKept(tab, state.kept)) return;
    state.busy = true;
    try {
      await send(app, tab, leaving);
      state.kept = said;
      if (!needed(tab)) await drop(app, tab); // saved meanwhile
      tab.kept.value = needed(tab) ? "kept" : "";
    } catch (error) {
      tab.kept.value = "lost";
      if (error instanceof ApiError) app.toasts.show(error.message, "error");
    } finally {
      state.busy = false;
    }
    if (tab.kept.peek() !== "lost" && !isKept(tab, said)) keep(tab);
  }

  const now = (/** @type {boolean} */ leaving) => [...known.keys()].forEach((tab) => void keep(tab, leaving));
  window.addEventListener("blur", () => now(false));
  window.addEventListener("pagehide", () => now(true));
  window.addEventListener("beforeunload", (event) => onlyHere.size > 0 && event.preventDefault());
  document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && now(true));
  effect(() => {
    if (app.events.connected.value) now(false);
  });
}

/** Put a tab's work where it is found again: first here, then on the server. @param {App} app @param {Tab} tab @param {boolean} [leaving] The page may go. */
export async function send(app, tab, leaving = false) {
  const file = tab.file.peek();
  const draft = { workflow: tab.store.json.peek(), ...(file ? { workflow_id: file.id, base: file.digest } : {}) };
  const [place, text] = [LOCAL + tab.key, JSON.stringify(draft)];
  try {
    localStorage.setItem(place, text);
    onlyHere.delete(tab);
  } catch {
    onlyHere.add(tab); // too large, or a browser that keeps nothing: the server is the place for it
  }
  const request = app.api.put(placeOfDraft(tab.key), draft, { keepalive: leaving && text.length < MOST_WHILE_LEAVING });
  sending.set(tab, request);
  const row = await request;
  onlyHere.delete(tab);
  if (localStorage.getItem(place) === text) localStorage.removeItem(place); // what was typed meanwhile stays until it is there
  tab.drafted = true;
  return row;
}

/** @param {App} app @param {Tab} tab */
export async function drop(app, tab) {
  await sending.get(tab)?.catch(() => {}); // else it would arrive after it was thrown away
  localStorage.removeItem(LOCAL + tab.key);
  onlyHere.delete(tab);
  if (tab.drafted) await app.api.delete(placeOfDraft(tab.key)).catch(() => {}); // then it will be offered again
  tab.drafted = false;
}

/** Bring drafts that never reached the server there. @param {App} app */
export async function sendLeftovers(app) {
  for (const place of Object.keys(localStorage).filter((one) => one.startsWith(LOCAL))) {
    try {
      await app.api.put(placeOfDraft(place.slice(LOCAL.length)), JSON.parse(localStorage.getItem(place) ?? "null"));
      localStorage.removeItem(place);
    } catch {
      // it stays here, for the next start
    }
  }
}
