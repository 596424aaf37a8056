// The one place where keys become commands.

/** @import { App, Command } from "./types.d.ts" */

const MAC = /Mac|iPhone|iPad/.test(navigator.platform);

/** What was pressed, written as commands write it: "Shift+Ctrl+Z". @param {KeyboardEvent} event */
export function pressed(event) {
  const main = MAC ? event.metaKey : event.ctrlKey;
  const key = event.key.length === 1 ? event.key.toUpperCase() : event.key;
  const shift = event.shiftKey && (event.key.length > 1 || event.key.toUpperCase() !== event.key.toLowerCase()); // "?" is itself
  return [shift && "Shift", main && "Ctrl", event.altKey && "Alt", key].filter(Boolean).join("+");
}

/** A key as people read it. @param {string} keys */
export const shownKeys = (keys) => (MAC ? keys.replace("Ctrl", "⌘").replace("Alt", "⌥").replace("Shift", "⇧") : keys)
  .replace("ArrowUp", "↑").replace("ArrowDown", "↓").replace("ArrowLeft", "←").replace("ArrowRight", "→");

/** Whether keys go into a text here. @param {EventTarget | null} target */
export const isTyping = (target) =>
  target instanceof HTMLElement && (target.isContentEditable || target.matches("textarea, select, input:not([type=checkbox]):not([type=radio]):not([type=range]):not([type=button])"));

/** @param {App} app */
export function listenToKeys(app) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing) return;
    const keys = pressed(event);
    const command = app.commands.all.peek().find((one) => one.keys?.includes(keys) && counts(one, event) && (one.when?.() ?? true));
    if (!command) return;
    if (!command.native) event.preventDefault();
    command.run(event);
  });

  /** @param {Command} command @param {KeyboardEvent} event */
  function counts(command, event) {
    if (document.querySelector("dialog[open]")) return false;
    const target = /** @type {HTMLElement | null} */ (event.target instanceof HTMLElement ? event.target : null);
    const bare = !event.ctrlKey && !event.metaKey && !/^F\d+$/.test(event.key);
    if (isTyping(target) && (bare || /^(Shift\+)?Ctrl\+[ACVXYZ]$|^Ctrl\+Arrow/.test(pressed(event)))) return false; // a text keeps its own
    if (/^(Enter| )$/.test(pressed(event)) && target?.closest("button, summary, a, select")) return false; // so does a control
    if ((command.context ?? "page") === "page") return true;
    return target === document.body || Boolean(target?.closest("[data-context~=canvas]"));
  }
}
