// A document that is edited: one immutable JSON value, and the history of its changes.
// Parts that a change leaves alone stay the same objects, so undo is exact, comparing is cheap, and a state costs what was changed.
import { computed, signal } from "@preact/signals";

/** @import { HistoryEntry, Store, Workflow } from "../types.d.ts" */

const MOST = 500;
const MERGE_MS = 1500;

/** @param {Workflow} initial @param {Workflow | null} [saved] @returns {Store} */
export function createStore(initial, saved = initial) {
  const json = signal(initial);
  const savedAs = signal(saved);
  const history = signal({ undo: /** @type {HistoryEntry[]} */ ([]), redo: /** @type {HistoryEntry[]} */ ([]) });
  return {
    json,
    saved: savedAs,
    dirty: computed(() => json.value !== savedAs.value),
    history,

    change(label, recipe, { merge = "", scope = "" } = {}) {
      const before = json.peek();
      const after = recipe(before);
      if (after === before) return false;
      const { undo } = history.peek();
      const last = undo.at(-1);
      const now = Date.now();
      const joins = merge && last?.merge === merge && last.scope === scope && last.after === before && before !== savedAs.peek() && now - last.at < MERGE_MS;
      const entry = { label, before: joins ? last.before : before, after, merge, at: now, scope };
      history.value = { undo: [...(joins ? undo.slice(0, -1) : undo.slice(-MOST + 1)), entry], redo: [] };
      json.value = after;
      return true;
    },

    undo() {
      const { undo, redo } = history.peek();
      const entry = undo.at(-1);
      if (!entry) return null;
      history.value = { undo: undo.slice(0, -1), redo: [...redo, entry] };
      json.value = entry.before;
      return entry;
    },

    redo() {
      const { undo, redo } = history.peek();
      const entry = redo.at(-1);
      if (!entry) return null;
      history.value = { undo: [...undo, entry], redo: redo.slice(0, -1) };
      json.value = entry.after;
      return entry;
    },
  };
}
