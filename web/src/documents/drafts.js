// Nothing is lost: what is not saved goes to the server as a draft, shortly after each change. Until it is there, this browser has it.
import { effect } from "@preact/signals";
import { ApiError } from "../server/api.js";

/** @import { App, Tab, Workflow } from "../types.d.ts" */

const SOON_MS = 800;
const LOCAL = "nodegraph.draft.";

/** @param {string} key */
export const placeOfDraft = (key) => `/api/drafts/${encodeURIComponent(key)}`;

/** Whether closing the page would lose something of a tab. @param {Tab} tab */
const needed = (tab) => tab.store.dirty.peek() || !tab.file.peek() && Object.keys(tab.store.json.peek().nodes ?? {}).length > 0;

/** @param {App} app */
export function keepDrafts(app) {
  /** Of each tab: the document that lies on the server, and whether something is on its way. @type {Map<Tab, {stop(): void, timer: number, busy: boolean, kept: Workflow | null}>} */
  const known = new Map();

  effect(() => {
    const open = new Set(app.tabs.all.value);
    for (const tab of open) if (!known.has(tab)) watch(tab);
    for (const [tab, { stop, timer }] of known) {
      if (open.has(tab)) continue;
      stop();
      clearTimeout(timer);
      known.delete(tab);
    }
  });

  /** @param {Tab} tab */
  function watch(tab) {
    const state = { stop: () => {}, timer: 0, busy: false, kept: tab.kept.peek() === "kept" ? tab.store.json.peek() : null };
    known.set(tab, state);
    state.stop = effect(() => {
      const json = tab.store.json.value;
      tab.store.saved.value;
      tab.file.value;
      if (needed(tab) ? json === state.kept : state.kept === null && tab.kept.peek() === "") return;
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
    const json = tab.store.json.peek();
    if (!needed(tab)) {
      state.kept = null;
      tab.kept.value = "";
      return drop(app, tab);
    }
    if (json === state.kept) return;
    state.busy = true;
    try {
      await send(app, tab, leaving ? { keepalive: true } : undefined);
      state.kept = json;
      if (!needed(tab)) await drop(app, tab); // saved meanwhile
      tab.kept.value = needed(tab) ? "kept" : "";
    } catch (error) {
      tab.kept.value = "lost";
      if (error instanceof ApiError) app.toasts.show(error.message, "error");
    } finally {
      state.busy = false;
    }
    if (tab.kept.peek() !== "lost" && tab.store.json.peek() !== json) keep(tab);
  }

  const now = (/** @type {boolean} */ leaving) => [...known.keys()].forEach((tab) => void keep(tab, leaving));
  window.addEventListener("blur", () => now(false));
  window.addEventListener("pagehide", () => now(true));
  document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && now(true));
  effect(() => {
    if (app.events.connected.value) now(false);
  });
}

/** Put a tab's work where it is found again: first here, then on the server. @param {App} app @param {Tab} tab @param {RequestInit} [more] */
export async function send(app, tab, more) {
  const file = tab.file.peek();
  const draft = { workflow: tab.store.json.peek(), ...(file ? { workflow_id: file.id, base: file.digest } : {}) };
  const place = LOCAL + tab.key;
  try {
    localStorage.setItem(place, JSON.stringify(draft));
  } catch {
    // too large, or a browser that keeps nothing: the server is the place for it
  }
  const row = await app.api.put(placeOfDraft(tab.key), draft, more);
  localStorage.removeItem(place);
  tab.drafted = true;
  return row;
}

/** @param {App} app @param {Tab} tab */
export async function drop(app, tab) {
  localStorage.removeItem(LOCAL + tab.key);
  if (tab.drafted) await app.api.delete(placeOfDraft(tab.key)).catch(() => {}); // then it will be offered again
  tab.drafted = false;
}

/** Bring drafts that never reached the server there. @param {App} app */
export async function sendLeftovers(app) {
  for (const place of Object.keys(localStorage).filter((one) => one.startsWith(LOCAL))) {
    const draft = JSON.parse(localStorage.getItem(place) ?? "null");
    await app.api.put(placeOfDraft(place.slice(LOCAL.length)), draft).then(() => localStorage.removeItem(place), () => {});
  }
}
