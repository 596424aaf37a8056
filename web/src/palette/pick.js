// Choosing one of many by typing: the palette of nodes, the lists to connect and to swap by. The field keeps the focus, the arrows travel.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { t } from "../text/index.js";

/** @import { App, Point, TypeExpr } from "../types.d.ts" */
/** @typedef {{key: string, title: string, about?: string, types?: TypeExpr[], text?: string, run(stays: boolean): unknown}} Choice */

const MOST = 80;

/** Offer what `choices` finds for a text, and run what is chosen. With `stays`, Shift+Enter runs it and leaves the list open.
 * @param {App} app @param {string} title @param {(text: string) => Choice[]} choices @param {{at?: Point, stays?: boolean}} [options] */
export async function pick(app, title, choices, { at, stays = false } = {}) {
  const choice = /** @type {Choice | undefined} */ (await app.dialogs.open(title, PickBody, { title, choices, stays }, { at: at ?? middleOf(app) }));
  return choice?.run(false);
}

/** @param {App} app @returns {Point} */
function middleOf(app) {
  const box = app.canvas?.host.getBoundingClientRect() ?? { left: 0, top: 0, width: innerWidth, height: innerHeight };
  return [box.left + box.width / 2 - 180, box.top + box.height / 6];
}

/** Choices whose title or text has every word. @param {Choice[]} all @returns {(text: string) => Choice[]} */
export const having = (all) => (text) => {
  const words = text.toLowerCase().split(/\s+/);
  return all.filter((one) => words.every((word) => `${one.title} ${one.about ?? ""} ${one.text ?? ""}`.toLowerCase().includes(word)));
};

/** @param {{app: App, title: string, choices: (text: string) => Choice[], stays: boolean, close(choice?: Choice): void}} props */
function PickBody({ app, title, choices, stays, close }) {
  const [text, setText] = useState("");
  const [active, setActive] = useState(0);
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  const found = useMemo(() => choices(text).slice(0, MOST), [text]);
  useEffect(() => list.current?.children[active]?.scrollIntoView({ block: "nearest" }), [active, found]);
  const chosen = found[active];
  /** @param {KeyboardEvent} event */
  function key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    if (step) setActive(Math.abs(step) === 1 ? (active + step + found.length) % (found.length || 1) : Math.max(0, Math.min(found.length - 1, active + step)));
    else if (event.key !== "Enter") return;
    else if (chosen && stays && event.shiftKey) {
      chosen.run(true);
      app.announce(t("pick.added", { title: chosen.title }));
    } else if (chosen) close(chosen);
    event.preventDefault();
  }
  return html`<div class="pick">
    <input type="text" role="combobox" autofocus autocomplete="off" aria-label=${title} placeholder=${title} aria-expanded="true" aria-controls="pick-list"
      aria-activedescendant=${chosen ? `pick-${active}` : undefined} onKeyDown=${key}
      onInput=${(/** @type {any} */ event) => (setText(event.target.value), setActive(0))} />
    <ul id="pick-list" role="listbox" aria-label=${title} ref=${list}>${found.map((one, index) => html`<li key=${one.key} id=${`pick-${index}`} role="option"
      aria-selected=${index === active} onPointerMove=${() => setActive(index)} onClick=${() => close(one)}>
      <span class="name">${one.title} ${one.about && html`<small>${one.about}</small>`}</span>${one.types && html`<${TypeDots} app=${app} types=${one.types} />`}</li>`)}</ul>
    ${found.length === 0 ? html`<p class="dim" role="status">${t("palette.nothing")}</p>` : html`<p class="dim about">${chosen?.text?.split("\n")[0]}</p>`}
  </div>`;
}

/** Types as the colours and shapes of their sockets. @param {{app: App, types: TypeExpr[]}} props */
const TypeDots = ({ app, types }) => html`<span class="type-dots" aria-hidden="true">${types.slice(0, 6).map((type) => html`<i class=${app.catalog.value.shape(type)}
  style=${{ "--type": app.catalog.value.color(type) }}></i>`)}</span>`;
