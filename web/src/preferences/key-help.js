// The keys, by group, and what the pointer does on the canvas.
import { html } from "../html.js";
import { shownKeys } from "../keys.js";
import { t } from "../text/index.js";

/** @import { App, Command } from "../types.d.ts" */

const POINTER = ["pan", "zoom", "box", "lasso", "link", "touch"];

/** @param {{app: App}} props */
export function KeyHelp({ app }) {
  const commands = app.commands.all.value.filter((command) => command.keys?.length);
  const groups = [...new Set(commands.map((command) => command.group))];
  return html`<div class="key-help">
    ${groups.map((group) => html`<section key=${group}><h3>${t(`group.${group}`)}</h3><dl>
      ${commands.filter((command) => command.group === group).map((command) => html`<div key=${command.id}><dt>${t(command.title)}</dt>
        <dd>${shown(command).map((keys) => html`<kbd>${keys}</kbd>`)}</dd></div>`)}</dl></section>`)}
    <section><h3>${t("keys.pointer")}</h3><dl>${POINTER.map((name) => html`<div key=${name}><dt>${t(`keys.${name}`)}</dt><dd>${t(`keys.${name}.how`)}</dd></div>`)}</dl></section>
  </div>`;
}

/** @param {Command} command */
const shown = (command) => (command.keys ?? []).slice(0, 2).map(shownKeys);
