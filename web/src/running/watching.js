// After a change that can change a result: the server looks at the document, and it runs if a person wants that.
import { effect, untracked } from "@preact/signals";
import { missing } from "../tabs.js";
import { sameMeaning } from "./needing.js";
import { run, supersede } from "./submitting.js";

/** @import { App, Tab, Workflow } from "../types.d.ts" */
/** What was looked at and what was sent last, and the job that a change queued. @typedef {{looked?: Workflow, ran?: Workflow, job?: string}} Known */

const WAIT_MS = 400;

/** @param {App} app */
export function watch(app) {
  /** @type {WeakMap<Tab, Known>} */
  const known = new WeakMap();
  let timer = 0;

  effect(() => {
    const tab = app.tabs.current.value;
    const json = tab?.store.json.value;
    if (!tab || !json) return;
    untracked(() => {
      let at = known.get(tab);
      if (!at) known.set(tab, (at = { ran: json }));
      if (at.looked && sameMeaning(at.looked, json)) return;
      if (at.looked) tab.forecast.value = null;
      clearTimeout(timer);
      timer = setTimeout(() => look(tab, at), WAIT_MS);
    });
  });
  effect(() => {
    const tab = app.tabs.current.value;
    const at = tab && known.get(tab);
    if (tab?.job.value && at) at.ran = tab.store.json.peek(); // whoever ran it, this state did
  });

  /** @param {Tab} tab @param {Known} at */
  async function look(tab, at) {
    const json = tab.store.json.peek();
    at.looked = json;
    const found = await app.api.post("/api/workflows/validate", { workflow: json }).catch(() => null); // offline: the next change looks again
    if (!found || !sameMeaning(tab.store.json.peek(), json)) return;
    tab.problems.value = found.problems;
    tab.wants.value = found.wants;
    if (!app.settings.run_on_change.peek() || found.problems.length || missing(tab).length || (at.ran && sameMeaning(at.ran, json))) return;
    at.ran = json;
    if (at.job) await supersede(app, at.job);
    [at.job] = await run(app, { quiet: true }, tab);
  }
}
