// The menu at the pointer: the commands that apply to what is there, from the one registry.
import { useEffect, useRef } from "preact/hooks";
import { currentNode } from "../canvas/focus.js";
import { endOf } from "../canvas/wiring.js";
import { linkAt } from "../canvas/link-at.js";
import { html } from "../html.js";
import { shownKeys } from "../keys.js";
import { typeAt } from "../model/connect.js";
import { typeText } from "../model/types.js";
import { t } from "../text/index.js";

/** @import { App, Command, Edge, End, Point, Tab } from "../types.d.ts" */
/** What a menu is about. `at`: the point of the world. @typedef {{kind: string, at?: Point, node?: string, end?: End, edge?: Edge, part?: number}} Target */

const GROUPS = /** @type {Record<string, string[]>} */ ({ node: ["node", "edit"], link: ["link"], socket: ["socket"], frame: ["edit", "insert"], canvas: ["insert", "edit"] });
const ELSEWHERE = /^(edit\.(undo|redo|paste.*)|select\..*)$/; // not about a node

/** What lies under a pointer, or has the focus. @param {App} app @param {MouseEvent | null} event @returns {Target} */
function targetOf(app, event) {
  const { canvas } = app;
  const element = /** @type {HTMLElement | null} */ (event ? event.target : document.activeElement);
  const at = canvas && event ? canvas.pointAt(event) : undefined;
  const socket = /** @type {HTMLElement | null | undefined} */ (element?.closest("[data-socket]"));
  if (socket) return { kind: "socket", at, end: endOf(socket) };
  const own = /** @type {HTMLElement | null | undefined} */ (element?.closest("[data-node]"))?.dataset.node;
  const node = own || at && canvas?.nodeAt(at) || (!event && currentNode(app));
  if (node) return { kind: "node", at, node };
  const link = at && canvas && linkAt(canvas, at);
  if (link) return { kind: "link", at, edge: link.edge, part: link.part };
  const thing = at && canvas?.thingAt(at);
  return thing ? { kind: "frame", at, node: thing } : { kind: "canvas", at };
}

/** Open the menu for what a pointer is at, else for what has the focus. @param {App} app @param {MouseEvent | null} event */
export async function openMenu(app, event) {
  const tab = app.tabs.current.peek();
  if (!tab) return;
  const target = targetOf(app, event);
  if (target.node && !tab.selection.peek().has(target.node)) tab.selection.value = new Set([target.node]);
  const own = target.edge || target.end; // the commands about links and sockets are listed nowhere else
  const commands = GROUPS[target.kind].flatMap((group) => app.commands.all.peek().filter((one) => one.group === group && (own || !one.hidden)
    && !(target.node && ELSEWHERE.test(one.id)) && (one.when?.(target) ?? true)));
  const box = (document.activeElement ?? document.body).getBoundingClientRect();
  const at = /** @type {Point} */ (event ? [event.clientX, event.clientY] : [box.left + Math.min(24, box.width / 2), box.top + Math.min(32, box.height / 2)]);
  const command = /** @type {Command | undefined} */ (await app.dialogs.open(t("menu.context"), MenuBody, { commands, target, about: aboutOf(app, tab, target) }, { at }));
  return command?.run(target);
}

/** What a link or socket carries, in words. @param {App} app @param {Tab} tab @param {Target} target */
function aboutOf(app, tab, { end, edge }) {
  const one = edge ? /** @type {End} */ ({ node: edge.source, socket: edge.output, side: "output" }) : end;
  const type = one && typeAt(app.catalog.peek(), tab.store.json.peek(), tab.scope.peek(), one);
  if (!one || !type) return "";
  return `${typeText(type)} · ${one.node}.${one.socket}${edge ? ` → ${edge.target}.${edge.input}` : ""}`;
}

/** @param {{commands: Command[], target: Target, about: string, close(command?: Command): void}} props */
function MenuBody({ commands, target, about, close }) {
  const menu = useRef(/** @type {HTMLElement | null} */ (null));
  const items = () => /** @type {HTMLElement[]} */ ([...(menu.current?.querySelectorAll("[role=menuitem]") ?? [])]);
  useEffect(() => items()[0]?.focus(), []);
  /** @param {KeyboardEvent} event */
  function key(event) {
    const all = items();
    const now = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const letter = event.key.length === 1 ? [...all.slice(now + 1), ...all].find((one) => one.textContent?.trim().toLowerCase().startsWith(event.key.toLowerCase())) : undefined;
    const next = { ArrowDown: all[(now + 1) % all.length], ArrowUp: all[(now - 1 + all.length) % all.length], Home: all[0], End: all.at(-1) }[event.key] ?? letter;
    if (!next || event.key === " ") return;
    next.focus();
    event.preventDefault();
  }
  return html`${about && html`<p class="dim">${about}</p>`}<div class="menu-list" role="menu" aria-label=${t("menu.context")} ref=${menu} onKeyDown=${key}>
    ${commands.map((one, index) => html`${index > 0 && one.group !== commands[index - 1].group && html`<hr role="separator" />`}<button type="button" role="menuitem" tabindex="-1" key=${one.id} onClick=${() => close(one)}>
      <span>${t(one.title)}${one.about?.(target) && html`<small>${one.about(target)}</small>`}</span>${one.keys?.[0] && html`<kbd>${shownKeys(one.keys[0])}</kbd>`}</button>`)}
    ${commands.length === 0 && html`<button type="button" role="menuitem" tabindex="-1" onClick=${() => close()}>${t("close")}</button>`}
  </div>`;
}
