// Commands that arrange: align and distribute, frames and notes, titles, widths, collapsing.
import { aligned, WAYS } from "../model/align.js";
import { html } from "../html.js";
import { around, isCollapsed } from "../model/geometry.js";
import { moveTo, setCollapsed, setDecoration } from "../model/edit.js";
import { freshId } from "../model/ids.js";
import { t } from "../text/index.js";
import { resized, sizeOf, withInside } from "./dragging.js";
import { retitle } from "./retitling.js";

/** @import { App, Box, Command, Graph } from "../types.d.ts" */
/** @import { Canvas } from "./canvas.js" */

const COLORS = { grey: "#8a949e", red: "#d9534f", orange: "#d98a2b", yellow: "#c9b037", green: "#4c9f5f", blue: "#3f82d0", violet: "#8d6bd0", pink: "#cf6ba9" };

/** @param {App} app */
export function installArranging(app) {
  const canvas = () => /** @type {Canvas} */ (app.canvas);
  const selected = () => [...(app.tabs.current.peek()?.selection.peek() ?? [])];
  const boxes = () => new Map(selected().flatMap((id) => /** @type {[string, Box][]} */ (canvas()?.scene.boxOf(id) ? [[id, canvas().scene.boxOf(id)]] : [])));
  const some = (/** @type {number} */ count) => () => app.canvas !== null && selected().length >= count;
  const decorations = () => selected().flatMap((id) => canvas()?.scene.decorations.get(id) ?? []);
  const nodes = () => selected().filter((id) => canvas()?.scene.items.has(id));
  /** @param {string} title @param {(graph: Graph, id: string) => Graph} recipe @param {string[]} ids */
  const each = (title, recipe, ids) => app.tabs.edit(t(title), (graph) => ids.reduce(recipe, graph));

  /** @param {string} way */
  function align(way) {
    const [from, to] = [boxes(), aligned(boxes(), way)];
    const all = new Map(to);
    for (const [id, [x, y]] of to) { // a frame takes along what lies in it
      const box = /** @type {Box} */ (from.get(id));
      for (const other of withInside(canvas().scene, [id])) {
        const inner = canvas().scene.boxOf(other);
        if (inner && !to.has(other)) all.set(other, [inner.x + x - box.x, inner.y + y - box.y]);
      }
    }
    app.tabs.edit(t(`align.${way}`), (graph) => moveTo(graph, all));
  }

  /** @param {"frames" | "notes"} part */
  function add(part) {
    const tab = app.tabs.current.peek();
    if (!tab) return;
    const id = `${part}:${freshId(8)}`;
    const view = canvas().view();
    const inside = part === "frames" ? around(boxes().values()) : null;
    const box = inside
      ? { x: inside.x - 20, y: inside.y - 52, width: inside.width + 40, height: inside.height + 72 }
      : { x: Math.round(view.x + view.width / 2 - 130), y: Math.round(view.y + view.height / 2 - 70), width: 260, height: 140 };
    app.tabs.edit(t(`canvas.add_${part}`), (graph) => setDecoration(graph, part, id, { id, title: "", text: "", ...box }));
    tab.selection.value = new Set([id]);
    retitle(canvas(), id);
  }

  async function color() {
    const ids = decorations().map((one) => one.id);
    const chosen = await app.dialogs.open(t("canvas.color"), Colors);
    if (chosen !== undefined) each("canvas.color", (graph, id) => {
      const found = canvas().scene.decorations.get(id);
      return found ? setDecoration(graph, found.part, id, { ...found.of, color: chosen || undefined }) : graph;
    }, ids);
  }

  /** @param {number} wider @param {number} higher */
  const grow = (wider, higher) => each("canvas.resize", (graph, id) => {
    const box = canvas().scene.boxOf(id);
    return box ? resized(graph, canvas().scene, id, sizeOf(canvas().scene, id, box.width + wider, box.height + higher)) : graph;
  }, [...nodes(), ...decorations().map((one) => one.id)]);

  function collapse() {
    const graph = app.tabs.current.peek()?.graph.peek();
    if (graph) app.tabs.edit(t("canvas.collapse"), (now) => setCollapsed(now, nodes(), !nodes().every((id) => isCollapsed(graph, id))));
  }

  /** To the next frame, note or corner. @param {number} step */
  function visit(step) {
    const tab = app.tabs.current.peek();
    const all = [...canvas().scene.boxes()].map(([id]) => id).filter((id) => !canvas().scene.items.has(id));
    if (!tab || !all.length) return;
    const here = all.findIndex((id) => tab.selection.peek().has(id));
    const id = all[(Math.max(here, step < 0 ? 0 : -1) + step + all.length) % all.length];
    tab.selection.value = new Set([id]);
    canvas().reveal(id);
    canvas().keep(id)?.focus({ preventScroll: true });
  }

  /** @param {string} id @param {string} title @param {string[]} keys @param {Command["group"]} group @param {() => boolean} when @param {() => unknown} run
   * @returns {Command} */
  const command = (id, title, keys, group, when, run) => ({ id, title: `canvas.${title}`, keys, context: "canvas", group, when, run });
  app.commands.add(
    command("frame.add", "add_frames", ["G"], "insert", () => app.canvas !== null, () => add("frames")),
    command("note.add", "add_notes", ["Shift+N"], "insert", () => app.canvas !== null, () => add("notes")),
    command("edit.rename", "rename", ["F2"], "edit", some(1), () => retitle(canvas(), selected()[0])),
    command("edit.color", "color", [], "edit", () => decorations().length > 0, color),
    command("node.collapse", "collapse", ["Shift+C"], "node", () => nodes().length > 0, collapse),
    command("focus.next_thing", "next_thing", ["."], "view", () => app.canvas !== null, () => visit(1)),
    command("focus.thing_before", "thing_before", [","], "view", () => app.canvas !== null, () => visit(-1)),
    command("edit.wider", "wider", ["Shift+Alt+ArrowRight"], "edit", some(1), () => grow(20, 0)),
    command("edit.narrower", "narrower", ["Shift+Alt+ArrowLeft"], "edit", some(1), () => grow(-20, 0)),
    command("edit.taller", "taller", ["Shift+Alt+ArrowDown"], "edit", () => decorations().length > 0, () => grow(0, 20)),
    command("edit.lower", "lower", ["Shift+Alt+ArrowUp"], "edit", () => decorations().length > 0, () => grow(0, -20)),
    ...Object.keys(WAYS).map((way) => /** @type {Command} */ ({
      id: `align.${way}`, title: `align.${way}`, context: "canvas", group: "edit", when: some(way === "across" || way === "down" ? 3 : 2), run: () => align(way),
    })),
  );
}

/** @param {{close(color: string): void}} props */
const Colors = ({ close }) => html`<div class="colors">${[["none", ""], ...Object.entries(COLORS)].map(([name, value]) => html`<button type="button" key=${name}
  onClick=${() => close(value)}><span class="swatch" style=${{ background: value || "var(--panel-2)" }}></span>${t(`color.${name}`)}</button>`)}</div>`;
