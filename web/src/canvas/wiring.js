// A link in the hand: from a socket to another one, dragged, or tapped at both ends. What fits lights up; what does not says why.
import { connect, disconnect } from "../model/edit.js";
import { curve, shapeOf } from "../model/geometry.js";
import { fittingOn, fromTo, mayConnect, typeAt, wayThrough } from "../model/connect.js";
import { edgeKey, split } from "../model/graph.js";
import { insertOn } from "../model/rewire.js";
import { typeText } from "../model/types.js";
import { editGraph } from "../tabs.js";
import { t } from "../text/index.js";
import { edgePan } from "./edge-pan.js";
import { linkAt } from "./link-at.js";

/** @import { App, End, Graph, Point, Tab } from "../types.d.ts" */
/** @import { Canvas } from "./canvas.js" */
/** @import { Gesture } from "./gestures.js" */

/** The socket that was tapped and waits for another one. @type {WeakMap<Canvas, {end: End, drop(): void}>} */
const waiting = new WeakMap();

/** @param {HTMLElement} socket @returns {End} */
export const endOf = (socket) => ({
  node: socket.dataset.of ?? "", socket: socket.dataset.socket ?? "", side: socket.dataset.side === "output" ? "output" : "input",
});

/** @param {App} app @param {Canvas} canvas @param {HTMLElement} socket @param {PointerEvent} start @returns {Gesture} */
export function beginWire(app, canvas, socket, start) {
  const tab = /** @type {Tab} */ (canvas.tab);
  const taken = endOf(socket);
  const picked = pickUp(tab, taken, Number(socket.dataset.index ?? 0));
  const end = picked?.end ?? taken;
  const catalog = app.catalog.peek();
  const verdictOn = (/** @type {End} */ other) => mayConnect(catalog, tab.store.json.peek(), tab.scope.peek(), end, other);
  const type = typeAt(catalog, tab.store.json.peek(), tab.scope.peek(), end);
  const from = placeOf(canvas, end);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS(svg.namespaceURI, "path");
  svg.classList.add("wire-in-hand");
  path.setAttribute("stroke", type ? catalog.color(type) : "currentColor");
  svg.append(/** @type {SVGPathElement} */ (path));
  const hint = hintOn(canvas);
  canvas.over.append(svg);
  const held = waiting.get(canvas);
  if (!held) light(app, canvas, end, true);
  if (picked) canvas.wires.path(picked.key)?.classList.add("picked");

  /** The socket meant by a place: the one there, or the best of the node there, drawn or built. @param {PointerEvent} event
   * @returns {{target?: End, reason?: string}} */
  function under(event) {
    const element = document.elementFromPoint(event.clientX, event.clientY);
    const there = /** @type {HTMLElement | null} */ (element?.closest("[data-socket]") ?? null);
    if (there) {
      const target = endOf(there);
      return { target, reason: verdictOn(target).reason };
    }
    if (!element || !canvas.host.contains(element)) return { reason: t("connect.outside") };
    const node = /** @type {HTMLElement | null} */ (element.closest("[data-node]"))?.dataset.node ?? canvas.nodeAt(canvas.pointAt(event));
    const item = node && node !== end.node ? canvas.scene.items.get(node) : undefined;
    if (!node || !item) return {};
    const [best] = fittingOn(catalog, tab.store.json.peek(), tab.scope.peek(), end, node);
    if (best) return { target: best };
    const [only, more] = end.side === "output" ? item.spec.inputs : item.spec.outputs;
    const reason = only && !more ? verdictOn({ node, socket: only.name, side: end.side === "output" ? "input" : "output" }).reason : "";
    return { reason: reason || t("connect.no_socket", { title: item.title, type: type ? typeText(type) : "" }) };
  }

  const close = () => {
    svg.remove();
    hint.remove();
    if (waiting.get(canvas) !== held || !held) light(app, canvas, end, false);
    if (picked) canvas.wires.path(picked.key)?.classList.remove("picked");
  };
  let moved = false;
  return {
    move(event) {
      moved ||= Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) > 3;
      if (!moved) return;
      if (held) waiting.get(canvas)?.drop();
      const [x, y] = place(canvas, event);
      const ends = end.side === "output" ? [canvas.onScreen(from), [x, y]] : [[x, y], canvas.onScreen(from)];
      path.setAttribute("d", curve(/** @type {Point[]} */ (ends)));
      hint.say(under(event).reason ?? "", [x, y]);
      edgePan(canvas, event);
    },
    end(event) {
      close();
      if (!moved) return tapped(app, canvas, taken, socket);
      const { target, reason } = under(event);
      if (target && target.node === taken.node && target.socket === taken.socket && picked) return;
      if (target) return void join(app, tab, end, target, picked ? { ...taken, from: picked.from } : undefined);
      if (reason) return refuse(app, reason);
      if (picked) return void editGraph(tab, t("connect.unlink", { input: taken.socket }), (graph) => disconnect(graph, taken.node, taken.socket, picked.from));
      app.commands.run("palette.open", { at: canvas.pointAt(event), end });
    },
    cancel: close,
  };
}

/** From the canvas' corner, in pixels. @param {Canvas} canvas @param {{clientX: number, clientY: number}} event @returns {Point} */
function place(canvas, event) {
  const corner = canvas.host.getBoundingClientRect();
  return [event.clientX - corner.left, event.clientY - corner.top];
}

/** A few words beside the pointer. @param {Canvas} canvas @param {string} [kind] */
export function hintOn(canvas, kind = "") {
  const hint = document.createElement("div");
  hint.className = `hint ${kind}`;
  canvas.over.append(hint);
  return {
    remove: () => hint.remove(),
    /** @param {string} text @param {Point} at */
    say(text, [x, y]) {
      if (hint.textContent !== text) hint.textContent = text;
      hint.style.transform = `translate(${Math.min(x + 14, canvas.size.width - 200)}px, ${y + 14}px)`;
    },
  };
}

/** Sockets that fit light up, the others fade. @param {App} app @param {Canvas} canvas @param {End} end @param {boolean} on */
function light(app, canvas, end, on) {
  const tab = canvas.tab;
  canvas.host.classList.toggle("wiring", on);
  for (const one of /** @type {NodeListOf<HTMLElement>} */ (canvas.nodes.layer.querySelectorAll("[data-socket]"))) {
    one.classList.toggle("fits", on && tab !== null && mayConnect(app.catalog.peek(), tab.store.json.peek(), tab.scope.peek(), end, endOf(one)).ok);
  }
}

/** A socket that was tapped waits for another one; Escape, or a tap elsewhere, takes it back. @param {App} app @param {Canvas} canvas @param {End} end
 * @param {HTMLElement} socket */
function tapped(app, canvas, end, socket) {
  socket.focus({ preventScroll: true });
  const held = waiting.get(canvas);
  held?.drop();
  if (held && canvas.tab) {
    const same = held.end.node === end.node && held.end.socket === end.socket && held.end.side === end.side;
    return void (same || join(app, canvas.tab, held.end, end));
  }
  const hint = hintOn(canvas, "told");
  const [x, y] = canvas.onScreen(placeOf(canvas, end));
  hint.say(t("connect.tap"), [x, y]);
  app.announce(t("connect.tap"));
  light(app, canvas, end, true);
  socket.classList.add("held");
  const away = (/** @type {Event} */ event) => {
    const leaves = event instanceof KeyboardEvent ? event.key === "Escape" : !(event.target instanceof Element && event.target.closest("[data-socket]"));
    if (leaves) waiting.get(canvas)?.drop();
  };
  const drop = () => {
    hint.remove();
    light(app, canvas, end, false);
    socket.classList.remove("held");
    waiting.delete(canvas);
    for (const name of ["pointerdown", "keydown"]) canvas.host.removeEventListener(name, away, true);
  };
  for (const name of ["pointerdown", "keydown"]) canvas.host.addEventListener(name, away, true);
  waiting.set(canvas, { end, drop });
}

/** Taking hold of a linked input takes the link off it: the other end stays in the hand. @param {Tab} tab @param {End} end @param {number} index
 * @returns {{end: End, from: string, key: string} | null} */
function pickUp(tab, end, index) {
  const links = end.side === "input" && tab.graph.peek().nodes?.[end.node]?.links?.[end.socket];
  const from = Array.isArray(links) ? links[index] : links;
  if (!from) return null;
  const [node, socket] = split(from);
  return { end: { node, socket, side: "output" }, from, key: edgeKey(from, `${end.node}.${end.socket}`) };
}

/** @param {App} app @param {string} reason */
function refuse(app, reason) {
  app.announce(reason);
  app.toasts.show(reason, "error");
}

/** Link two ends, or say why that cannot be. `moved` is the input that a link is taken from for it. @param {App} app @param {Tab} tab @param {End} a
 * @param {End} b @param {{node: string, socket: string, from: string}} [moved] */
export function join(app, tab, a, b, moved) {
  const verdict = mayConnect(app.catalog.peek(), tab.store.json.peek(), tab.scope.peek(), a, b);
  const ends = fromTo(a, b);
  if (!verdict.ok || !ends) return refuse(app, verdict.reason);
  const [from, to] = ends;
  const names = { from: `${from.node}.${from.socket}`, to: `${to.node}.${to.socket}` };
  editGraph(tab, t("connect.link", names), (graph) => linked(app, tab, moved ? disconnect(graph, moved.node, moved.socket, moved.from) : graph, from, to));
  app.announce(t(verdict.replaces ? "connect.replaced" : "connect.done", { ...names, old: verdict.replaces ?? "" }));
}

/** The graph with a link; what led into an input that takes one only goes. @param {App} app @param {Tab} tab @param {Graph} graph @param {End} from
 * @param {End} to @returns {Graph} */
export function linked(app, tab, graph, from, to) {
  const entry = graph.nodes?.[to.node];
  const many = entry && app.catalog.peek().specOf(tab.store.json.peek(), entry).inputs.find((input) => input.name === to.socket)?.many;
  const now = entry?.links?.[to.socket];
  const cleared = typeof now === "string" && !many ? disconnect(graph, to.node, to.socket, now) : graph;
  return connect(cleared, `${from.node}.${from.socket}`, to.node, to.socket, many);
}

/** A node without links that is dragged over one goes into it where the types fit. @param {App} app @param {Canvas} canvas @param {string} id */
export function splicing(app, canvas, id) {
  const tab = canvas.tab;
  const item = canvas.scene.items.get(id);
  const free = tab !== null && item && canvas.scene.wiresAt(id).size === 0;
  let found = /** @type {{edge: import("../types.d.ts").Edge, way: {input: string, output: string}} | null} */ (null);
  const mark = (/** @type {boolean} */ on) => found && canvas.wires.path(found.edge.key)?.classList.toggle("hot", on);
  return {
    /** @param {PointerEvent} event */
    move(event) {
      if (!free) return;
      const edge = linkAt(canvas, canvas.pointAt(event), { pixels: 14, without: id })?.edge;
      if (edge?.key === found?.edge.key) return;
      mark(false);
      const way = edge && wayThrough(app.catalog.peek(), tab.store.json.peek(), tab.scope.peek(), edge, item.spec);
      found = edge && way ? { edge, way } : null;
      mark(true);
    },
    /** The graph, with the node in the link that it was dropped on. @param {Graph} graph */
    end(graph) {
      mark(false);
      if (!found || !item) return graph;
      app.announce(t("link.inserted", { title: item.title }));
      return insertOn(graph, found.edge, id, found.way, item.spec);
    },
    cancel: () => void mark(false),
  };
}

/** Where a socket is, in the world. @param {Canvas} canvas @param {End} end @returns {Point} */
export function placeOf(canvas, end) {
  const item = canvas.scene.items.get(end.node);
  if (!item) return [0, 0];
  const shape = shapeOf(item.entry, item.spec, item.collapsed);
  const y = end.side === "output" ? shape.outputs.get(end.socket) : shape.inputs.get(end.socket)?.[0];
  return [item.box.x + (end.side === "output" ? item.box.width : 0), item.box.y + (y ?? 16)];
}
