// A link in the hand: from a socket to another one. What fits lights up; what does not says why.
import { connect, disconnect } from "../model/edit.js";
import { curve, shapeOf } from "../model/geometry.js";
import { fromTo, mayConnect, typeAt } from "../model/connect.js";
import { t } from "../text/index.js";

/** @import { App, End, Point, Tab } from "../types.d.ts" */
/** @import { Canvas } from "./canvas.js" */
/** @import { Gesture } from "./gestures.js" */

/** @param {HTMLElement} socket @returns {End} */
export const endOf = (socket) => ({
  node: socket.dataset.of ?? "", socket: socket.dataset.socket ?? "", side: socket.dataset.side === "output" ? "output" : "input",
});

/** @param {App} app @param {Canvas} canvas @param {HTMLElement} socket @param {PointerEvent} start @returns {Gesture} */
export function beginWire(app, canvas, socket, start) {
  const tab = /** @type {Tab} */ (canvas.tab);
  const taken = endOf(socket);
  const index = Number(socket.dataset.index ?? 0);
  const picked = pickUp(tab, taken, index);
  const end = picked?.end ?? taken;
  const json = () => tab.store.json.peek();
  const catalog = app.catalog.peek();
  const type = typeAt(catalog, json(), tab.scope.peek(), end);
  const from = placeOf(canvas, end);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS(svg.namespaceURI, "path");
  svg.classList.add("wire-in-hand");
  path.setAttribute("stroke", type ? catalog.color(type) : "currentColor");
  svg.append(/** @type {SVGPathElement} */ (path));
  const hint = document.createElement("div");
  hint.className = "hint";
  canvas.over.append(svg, hint);
  light(true);
  if (picked) canvas.wires.path(picked.key)?.classList.add("picked");

  /** Sockets that fit light up, the others fade. @param {boolean} on */
  function light(on) {
    canvas.host.classList.toggle("wiring", on);
    for (const one of /** @type {NodeListOf<HTMLElement>} */ (canvas.nodes.layer.querySelectorAll("[data-socket]"))) {
      one.classList.toggle("fits", on && mayConnect(catalog, json(), tab.scope.peek(), end, endOf(one)).ok);
    }
  }

  /** The socket meant by a place: the one there, or the best of the node there. @param {PointerEvent} event @returns {End | null} */
  function under(event) {
    const element = document.elementFromPoint(event.clientX, event.clientY);
    const there = /** @type {HTMLElement | null} */ (element?.closest("[data-socket]") ?? null);
    if (there) return endOf(there);
    const node = /** @type {HTMLElement | null} */ (element?.closest("[data-node]"))?.dataset.node;
    const item = node && node !== end.node ? canvas.scene.items.get(node) : undefined;
    if (!node || !item) return null;
    const side = end.side === "output" ? "input" : "output";
    const names = (side === "input" ? item.spec.inputs : item.spec.outputs).map((one) => one.name);
    const ends = names.map((name) => /** @type {End} */ ({ node, socket: name, side }));
    const fitting = ends.filter((one) => mayConnect(catalog, json(), tab.scope.peek(), end, one).ok);
    const free = fitting.find((one) => side === "output" || !item.entry.links?.[one.socket]);
    return free ?? fitting[0] ?? ends[0] ?? null;
  }

  const close = () => {
    svg.remove();
    hint.remove();
    light(false);
    if (picked) canvas.wires.path(picked.key)?.classList.remove("picked");
  };
  let moved = false;
  return {
    move(event) {
      moved ||= Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) > 3;
      const corner = canvas.host.getBoundingClientRect();
      const to = /** @type {Point} */ ([event.clientX - corner.left, event.clientY - corner.top]);
      const ends = end.side === "output" ? [canvas.onScreen(from), to] : [to, canvas.onScreen(from)];
      path.setAttribute("d", curve(/** @type {Point[]} */ (ends)));
      const target = under(event);
      const verdict = target && mayConnect(catalog, json(), tab.scope.peek(), end, target);
      hint.textContent = verdict && !verdict.ok ? verdict.reason : "";
      hint.style.transform = `translate(${to[0] + 14}px, ${to[1] + 14}px)`;
    },
    end(event) {
      close();
      const target = under(event);
      if (!moved) return socket.focus();
      if (target && target.node === taken.node && target.socket === taken.socket && picked) return;
      if (target) return join(app, tab, end, target, picked ?? undefined);
      if (picked) return void app.tabs.edit(t("connect.unlink", { input: taken.socket }), (graph) => disconnect(graph, taken.node, taken.socket, picked.from));
      app.commands.run("palette.open", { at: canvas.pointAt(event), end });
    },
    cancel: close,
  };
}

/** Taking hold of a linked input takes the link off it: the other end stays in the hand. @param {Tab} tab @param {End} end @param {number} index
 * @returns {{end: End, from: string, key: string} | null} */
function pickUp(tab, end, index) {
  if (end.side === "output") return null;
  const links = tab.graph.peek().nodes?.[end.node]?.links?.[end.socket];
  const from = Array.isArray(links) ? links[index] : links;
  if (!from) return null;
  const [node, socket] = [from.slice(0, from.indexOf(".")), from.slice(from.indexOf(".") + 1)];
  return { end: { node, socket, side: "output" }, from, key: `${from}>${end.node}.${end.socket}` };
}

/** Link two ends, or say why that cannot be. `moved` is a link that goes away for it. @param {App} app @param {Tab} tab @param {End} a @param {End} b
 * @param {{from: string, key: string}} [moved] */
export function join(app, tab, a, b, moved) {
  const catalog = app.catalog.peek();
  const verdict = mayConnect(catalog, tab.store.json.peek(), tab.scope.peek(), a, b);
  const ends = fromTo(a, b);
  if (!verdict.ok || !ends) {
    app.announce(verdict.reason);
    return app.toasts.show(verdict.reason, "error");
  }
  const [from, to] = ends;
  const entry = tab.graph.peek().nodes?.[to.node];
  const many = entry ? catalog.specOf(tab.store.json.peek(), entry).inputs.find((input) => input.name === to.socket)?.many ?? false : false;
  const names = { from: `${from.node}.${from.socket}`, to: `${to.node}.${to.socket}` };
  app.tabs.edit(t("connect.link", names), (graph) => {
    if (moved) {
      const [node, input] = moved.key.slice(moved.key.indexOf(">") + 1).split(".");
      graph = disconnect(graph, node, input, moved.from);
    }
    return connect(graph, names.from, to.node, to.socket, many);
  });
  app.announce(t("connect.done", names));
}

/** Where a socket is, in the world. @param {Canvas} canvas @param {End} end @returns {Point} */
export function placeOf(canvas, end) {
  const item = canvas.scene.items.get(end.node);
  if (!item) return [0, 0];
  const shape = shapeOf(item.entry, item.spec, item.collapsed);
  const y = end.side === "output" ? shape.outputs.get(end.socket) : shape.inputs.get(end.socket)?.[0];
  return [item.box.x + (end.side === "output" ? item.box.width : 0), item.box.y + (y ?? 16)];
}
