// Every command, found by typing a part of its name.
import { useState } from "preact/hooks";
import { html } from "../html.js";
import { shownKeys } from "../keys.js";
import { t } from "../text/index.js";

/** @import { App, Command } from "../types.d.ts" */

/** @param {{app: App, close(id?: string): void}} props */
export function CommandPalette({ app, close }) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const found = app.commands.all.value
    .filter((command) => !command.hidden && command.id !== "help.commands" && (command.when?.() ?? true))
    .map((command) => ({ command, rank: rankOf(named(command), text) }))
    .filter((one) => one.rank > 0)
    .sort((a, b) => b.rank - a.rank);
  const chosen = found[Math.min(at, found.length - 1)];
  const move = (/** @type {number} */ by) => setAt((Math.min(at, found.length - 1) + by + found.length) % Math.max(1, found.length));
  /** @param {KeyboardEvent} event */
  function key(event) {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") move(event.key === "ArrowDown" ? 1 : -1);
    else if (event.key === "Enter" && chosen) close(chosen.command.id);
    else return;
    event.preventDefault();
  }
  return html`<div class="command-palette">
    <input type="search" role="combobox" aria-expanded="true" aria-controls="commands" aria-activedescendant=${chosen && `command-${chosen.command.id}`} autofocus
      aria-label=${t("command.search")} placeholder=${t("command.search")} onKeyDown=${key}
      onInput=${(/** @type {any} */ event) => (setText(event.target.value), setAt(0))} />
    <ul id="commands" role="listbox" aria-label=${t("command.palette")}>${found.map((one) => html`<li key=${one.command.id} id=${`command-${one.command.id}`} role="option"
      aria-selected=${one === chosen} onClick=${() => close(one.command.id)} ref=${(/** @type {HTMLElement | null} */ row) => one === chosen && row?.scrollIntoView({ block: "nearest" })}>
      <span><small>${t(`group.${one.command.group}`)}</small> ${t(one.command.title)}</span>${one.command.keys?.[0] && html`<kbd>${shownKeys(one.command.keys[0])}</kbd>`}</li>`)}</ul>
    ${found.length === 0 && html`<p class="dim">${t("command.nothing")}</p>`}
  </div>`;
}

/** @param {Command} command */
const named = (command) => `${t(command.title)} ${t(`group.${command.group}`)}`.toLowerCase();

/** How well a name fits: its letters in their order, better at the beginnings of words; 0: not. @param {string} name @param {string} text */
export function rankOf(name, text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return 1;
  const place = name.indexOf(wanted);
  if (place >= 0) return 100 - place + (place === 0 || name[place - 1] === " " ? 50 : 0);
  let [rank, from] = [1, 0];
  for (const letter of wanted.replace(/\s/g, "")) {
    const next = name.indexOf(letter, from);
    if (next < 0) return 0;
    if (next === 0 || name[next - 1] === " ") rank += 5;
    from = next + 1;
  }
  return rank;
}
