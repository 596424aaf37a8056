// The menu: every command by its group, with its keys.
import { html } from "../html.js";
import { shownKeys } from "../keys.js";
import { t } from "../text/index.js";

/** @import { App } from "../types.d.ts" */

const GROUPS = ["document", "edit", "insert", "node", "run", "view", "help"];

/** @param {{app: App}} props */
export function MainMenu({ app }) {
  const commands = app.commands.all.value.filter((command) => !command.hidden);
  return html`<details class="menu" onKeyDown=${(/** @type {any} */ event) => event.key === "Escape" && shut(event.currentTarget)}
      onFocusOut=${(/** @type {any} */ event) => event.relatedTarget && !event.currentTarget.contains(event.relatedTarget) && (event.currentTarget.open = false)}>
    <summary aria-label=${t("menu.main")} title=${t("menu.main")}><img src="/icon.svg" alt="" width="20" height="20" /></summary>
    <div class="menu-body">${GROUPS.map((group) => {
      const own = commands.filter((command) => command.group === group);
      return own.length > 0 && html`<section key=${group}><h3>${t(`group.${group}`)}</h3>
        ${own.map((command) => html`<button type="button" key=${command.id} disabled=${!(command.when?.() ?? true)}
          onClick=${(/** @type {any} */ event) => (shut(event.currentTarget.closest("details")), app.commands.run(command.id))}>
          <span>${t(command.title)}</span>${command.keys?.[0] && html`<kbd>${shownKeys(command.keys[0])}</kbd>`}</button>`)}</section>`;
    })}</div>
  </details>`;
}

/** @param {HTMLDetailsElement} menu */
function shut(menu) {
  menu.open = false;
  menu.querySelector("summary")?.focus();
}
