// Which tabs a window has, so that it has them again at the next start. The documents themselves are drafts and saved workflows.
import { effect } from "@preact/signals";
import { freshId } from "../model/ids.js";
import { blankWorkflow, createTab } from "../tabs.js";
import { t } from "../text/index.js";
import { placeOfDraft, sendLeftovers } from "./drafts.js";
import { openWorkflow, placeOfWorkflow, show } from "./opening.js";

/** @import { App, Camera, Tab } from "../types.d.ts" */
/** @typedef {{key: string, file: {id: string, digest: string, shipped?: boolean} | null, path: {node: string, scope: string}[], camera: Camera,
 *   cameras: [string, Camera][], selection: string[], job: string}} Kept */
/** @typedef {{window: string, at: number, current: string, tabs: Kept[]}} Session */

const PLACE = "nodegraph.window";
const ANSWER_MS = 150;

/** @param {Storage} storage @param {string} place @returns {Session | null} */
function read(storage, place) {
  try {
    return JSON.parse(storage.getItem(place) ?? "null");
  } catch {
    return null; // not ours, or damaged: the drafts are on the server
  }
}

/** What this window had before it was loaded anew. */
const before = () => read(sessionStorage, PLACE);

/** @param {App} app */
export function createSession(app) {
  const channel = new BroadcastChannel("nodegraph");
  let id = before()?.window ?? freshId();
  const me = freshId(); // a duplicated window has the same id, but is another page
  const keys = () => app.tabs.all.peek().map((tab) => tab.key);
  /** Other windows that are there, and the tabs that they have. @type {Map<string, string[]>} */
  const others = new Map();

  channel.onmessage = ({ data }) => {
    if (data.ask) return channel.postMessage({ to: data.ask, window: id, keys: keys() });
    if (data.to !== me) return;
    others.set(data.window, data.keys);
    if (data.window === id) id = freshId();
    app.tabs.all.peek().forEach(apart);
  };

  /** A tab that another window has as well gets a key, and so a draft, of its own. @param {Tab} tab */
  function apart(tab) {
    if (![...others.values()].flat().includes(tab.key)) return;
    tab.key = freshId();
    tab.kept.value = "";
    tab.drafted = false;
  }

  function remember() {
    const tabs = app.tabs.all.peek().map((tab) => ({
      key: tab.key, file: tab.file.peek(), path: tab.path.peek(), camera: tab.camera.peek(), cameras: [...tab.cameras], selection: [...tab.selection.peek()], job: tab.job.peek(),
    }));
    const text = JSON.stringify({ window: id, at: Date.now(), current: app.tabs.current.peek()?.key ?? "", tabs });
    try {
      sessionStorage.setItem(PLACE, text);
      localStorage.setItem(`${PLACE}.${id}`, text);
    } catch {
      // no room, or a browser that keeps nothing: the drafts are on the server
    }
  }

  return {
    others,
    /** Open what was open. */
    async restore() {
      await sendLeftovers(app);
      channel.postMessage({ ask: me });
      const kept = before() ?? (await abandoned(others));
      const drafts = new Set(kept ? (await app.api.get("/api/drafts")).drafts.map((/** @type {any} */ one) => one.id) : []);
      const opened = await Promise.all((kept?.tabs ?? []).map((one) => restored(app, one, drafts).catch(() => null)));
      const tabs = opened.filter((tab) => tab !== null);
      const current = tabs.find((tab) => tab.key === kept?.current) ?? tabs.at(-1) ?? null;
      tabs.forEach(apart);
      for (const tab of tabs) app.tabs.open(tab);
      app.tabs.current.value = current;
      effect(() => {
        for (const tab of app.tabs.all.value) [tab.path.value, tab.file.value, tab.job.value];
        app.tabs.current.value;
        remember();
      });
      window.addEventListener("pagehide", remember);
      document.addEventListener("visibilitychange", remember);
    },
  };
}

/** What a window had that is no longer there, the latest first. @param {Map<string, string[]>} others @returns {Promise<Session | undefined>} */
async function abandoned(others) {
  const places = Object.keys(localStorage).filter((place) => place.startsWith(`${PLACE}.`));
  if (!places.length) return undefined;
  await new Promise((done) => setTimeout(done, ANSWER_MS)); // those that are there say so
  const left = places.filter((place) => !others.has(place.slice(PLACE.length + 1)));
  const found = left.map((place) => read(localStorage, place)).filter((one) => one !== null).sort((a, b) => b.at - a.at);
  for (const place of left) localStorage.removeItem(place);
  return found[0];
}

/** @param {App} app @param {Kept} kept @param {Set<string>} drafts The ids of those that are there. */
async function restored(app, kept, drafts) {
  const draft = drafts.has(kept.key) ? await app.api.get(placeOfDraft(kept.key)) : null;
  const tab = await fromDraft(app, kept.key, draft, kept.file);
  if (!tab) return null;
  const { subgraphs } = tab.store.json.peek();
  tab.path.value = kept.path.every((step) => subgraphs?.[step.scope]) ? kept.path : [];
  tab.camera.value = kept.camera;
  tab.cameras = new Map(kept.cameras);
  tab.selection.value = new Set(kept.selection);
  tab.job.value = kept.job;
  return tab;
}

/** A tab with the work of a draft on the workflow that it belongs to; without a draft, with the workflow itself. @param {App} app @param {string} key
 * @param {any} draft @param {Kept["file"]} file @returns {Promise<Tab | null>} */
async function fromDraft(app, key, draft, file) {
  const found = file && (await app.api.get(placeOfWorkflow(file.id)).catch(() => null));
  if (!draft && file && !found) return null;
  if (!draft) return createTab(found?.workflow ?? blankWorkflow(), { key, file: found && { id: found.id, digest: found.digest, shipped: found.shipped } });
  const looked = await app.api.post("/api/workflows/open", { workflow: draft.workflow }).catch(() => ({ wants: [], problems: [] }));
  const tab = createTab(draft.workflow, { key, file, saved: found?.digest === file?.digest ? found?.workflow ?? null : null });
  tab.wants.value = looked.wants;
  tab.problems.value = looked.problems;
  if (file && !found) tab.elsewhere.value = "gone";
  else if (found && found.digest !== file?.digest) tab.elsewhere.value = found.digest;
  tab.kept.value = "kept";
  tab.drafted = true;
  return tab;
}

/** The drafts that no open tab has, here or in another window of this browser. @param {App} app @param {Map<string, string[]>} others @returns {Promise<any[]>} */
export async function strayDrafts(app, others) {
  const taken = new Set([...app.tabs.all.peek().map((tab) => tab.key), ...[...others.values()].flat()]);
  const { drafts } = await app.api.get("/api/drafts");
  return drafts.filter((/** @type {any} */ draft) => !taken.has(draft.id));
}

/** Open a draft that was left behind. It gets a key of its own, so that whoever still has it elsewhere is not in the way.
 * @param {App} app @param {any} row */
export async function restoreDraft(app, row) {
  const draft = await app.api.get(placeOfDraft(row.id));
  const tab = await fromDraft(app, freshId(), draft, row.workflow_id ? { id: row.workflow_id, digest: row.base ?? "" } : null);
  if (!tab) return;
  tab.kept.value = "";
  tab.drafted = false;
  show(app, tab);
  await app.api.delete(placeOfDraft(row.id)); // it can be had for a week more
}

/** What is open at the start. @param {App} app @param {ReturnType<typeof createSession>} session */
export async function beginSession(app, session) {
  await session.restore();
  const wanted = new URLSearchParams(location.search).get("workflow");
  if (wanted) await app.toasts.attempt(() => openWorkflow(app, wanted));
  const stray = await strayDrafts(app, session.others).catch(() => []);
  if (!stray.length || !app.tabs.current.peek()) return; // without a tab, the start page lists them
  app.toasts.show(t("drafts.left", { count: stray.length }), "info", { title: t("drafts.show"), run: () => void app.commands.run("document.open") });
}
