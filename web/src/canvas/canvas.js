// The canvas: a camera over the scene, two layers of nodes and wires, one frame loop. What is near is built as elements, what is far is
// drawn. Whatever changes says so; at rest nothing runs.
import { effect } from "@preact/signals";
import { graphAt } from "../model/graph.js";
import { around, fitting, holds, overlaps, toWorld, zoomed } from "../model/geometry.js";
import { createNearDecorations } from "./decorations.js";
import { createFarView } from "./far.js";
import { createGrid } from "./grid.js";
import { createNearNodes } from "./nodes.js";
import { createScene } from "./scene.js";
import { createNearWires } from "./wires.js";

/** @import { App, Box, Camera, Point, Tab } from "../types.d.ts" */
/** What is out of date in a frame. @typedef {{camera: boolean, scene: boolean}} Stale */
/** @typedef {ReturnType<typeof createCanvas>} Canvas */

const MOST_BUILT = 60; // nodes in view; more of them are drawn
const FAR_ZOOM = 0.22;
const BACK = 0.85; // the way back to what is built is a little longer, so that nothing flickers at the border

/** @param {App} app @param {HTMLElement} host An empty element that the canvas fills. */
export function createCanvas(app, host) {
  const scene = createScene();
  const world = part("div", "world");
  const far = createFarView(app, host, scene);
  const grid = createGrid(app, world);
  const [below, dots] = [part("div", "below"), part("div", "dots")];
  world.append(below);
  const wires = createNearWires(world, scene);
  world.append(dots);
  const decorations = createNearDecorations(scene, below, dots);
  const nodes = createNearNodes(app, world, scene);
  const over = part("div", "over"); // what lies on the screen above all nodes: link in hand, selection box, hints
  host.append(world, over);

  let tab = /** @type {Tab | null} */ (null);
  let size = { width: host.clientWidth, height: host.clientHeight };
  let frame = 0;
  let wasFar = false;
  let held = /** @type {{has(id: string): boolean}} */ (new Set());
  /** @type {Stale} */
  const stale = { camera: true, scene: true };
  /** @type {Set<(stale: Stale) => void>} */
  const painters = new Set();

  /** @param {string} name @param {string} className */
  function part(name, className) {
    const element = document.createElement(name);
    element.className = className;
    return element;
  }

  /** Have the next frame drawn. @param {keyof typeof stale} [what] */
  function invalidate(what) {
    if (what) stale[what] = true;
    frame ||= requestAnimationFrame(draw);
  }

  function draw() {
    frame = 0;
    if (!tab) return;
    const camera = tab.camera.peek();
    const view = viewOf(camera);
    if (stale.camera) {
      const moved = `translate(${-camera.x * camera.zoom}px, ${-camera.y * camera.zoom}px) scale(${camera.zoom})`;
      if (world.style.transform !== moved) world.style.transform = moved;
    }
    const seen = [];
    for (const item of scene.items.values()) if (overlaps(item.box, view)) seen.push(item.id);
    const isFar = seen.length > MOST_BUILT * (wasFar ? BACK : 1) || camera.zoom < FAR_ZOOM / (wasFar ? BACK : 1);
    if (isFar !== wasFar) host.classList.toggle("far", (wasFar = isFar));
    const missing = nodes.show(isFar ? [] : seen, held);
    if (stale.camera || stale.scene) {
      wires.show(isFar ? null : view);
      decorations.show(isFar ? null : view, held);
      grid.draw(isFar ? null : view, camera.zoom);
    }
    if (stale.scene) far.forget();
    far.draw(camera, size, isFar ? "all" : missing);
    const now = { ...stale };
    stale.camera = stale.scene = false;
    painters.forEach((paint) => paint(now));
    if (missing.size) invalidate();
  }

  /** What of the world is seen. @param {Camera} camera @returns {Box} */
  const viewOf = (camera) => ({ x: camera.x, y: camera.y, width: size.width / camera.zoom, height: size.height / camera.zoom });

  function look() {
    if (!tab) return;
    const json = tab.store.json.value;
    const changes = scene.update(app.catalog.value, json, graphAt(json, tab.scope.value));
    nodes.update(changes);
    wires.update(changes);
    invalidate("scene");
  }

  /** @param {ReadonlyMap<string, Point>} places */
  function shift(places) {
    wires.move(scene.shift(places));
    nodes.move(places.keys());
    decorations.move(places.keys());
    if (wasFar) invalidate("scene");
  }

  const stops = [
    effect(() => {
      const next = app.tabs.current.value;
      if (next !== tab) {
        tab = next;
        nodes.clear();
        wires.clear();
        decorations.clear();
        nodes.setTab(tab);
        far.setTab(tab);
      }
      if (tab) {
        tab.scope.value;
        look();
      }
    }),
    effect(() => {
      app.tabs.current.value?.camera.value;
      invalidate("camera");
    }),
    effect(() => {
      const selection = app.tabs.current.value?.selection.value ?? new Set();
      nodes.select(selection);
      decorations.select(selection);
      far.select(selection);
      invalidate();
    }),
    effect(() => {
      void [app.settings.theme.value, app.settings.contrast.value, app.settings.grid.value];
      far.recolor();
      invalidate("scene");
    }),
    app.runs.onNode((job, path) => far.mark(job, path) && invalidate()),
  ];
  const life = new AbortController();
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const recolor = () => (far.recolor(), invalidate("scene"));
  scheme.addEventListener("change", recolor, life);
  const observer = new ResizeObserver(() => {
    size = { width: host.clientWidth, height: host.clientHeight };
    invalidate("camera");
  });
  observer.observe(host);

  /** The world's point under the pointer. @param {{clientX: number, clientY: number}} event @returns {Point} */
  function pointAt({ clientX, clientY }) {
    const corner = host.getBoundingClientRect();
    return toWorld(tab?.camera.peek() ?? { x: 0, y: 0, zoom: 1 }, clientX - corner.left, clientY - corner.top);
  }

  /** A world point on the canvas, in pixels from its corner. @param {Point} point @returns {Point} */
  function onScreen([x, y]) {
    const camera = tab?.camera.peek() ?? { x: 0, y: 0, zoom: 1 };
    return [(x - camera.x) * camera.zoom, (y - camera.y) * camera.zoom];
  }

  return {
    host,
    /** For listeners outside the canvas: they end with it. @type {{signal: AbortSignal}} */
    life,
    world,
    over,
    scene,
    nodes,
    wires,
    invalidate,
    shift,
    /** The frame in which the canvas pans next because something was dragged to its border. */
    edgeFrame: 0,
    /** Ids of what a gesture has in hand: it stays in the page wherever it goes. @param {{has(id: string): boolean}} things */
    hold(things) {
      held = things;
    },
    /** Make something larger or smaller for now. @param {string} id @param {Partial<Box>} size */
    resize(id, size) {
      wires.move(scene.resize(id, size));
      nodes.move([id]);
      decorations.move([id]);
    },
    /** The element of a node, a frame, a note or a corner, if it is built. @param {string} id */
    element: (id) => nodes.element(id) ?? decorations.element(id),
    /** The same, built if need be: for one that is to have the focus. @param {string} id */
    keep: (id) => (scene.items.has(id) ? nodes.keep(id) : decorations.keep(id)),
    pointAt,
    onScreen,
    get tab() {
      return tab;
    },
    get size() {
      return size;
    },
    get isFar() {
      return wasFar;
    },
    view: () => viewOf(tab?.camera.peek() ?? { x: 0, y: 0, zoom: 1 }),
    /** Work to be done in every frame that is drawn anyway. @param {(stale: Stale) => void} paint @returns {() => void} Ends it. */
    onFrame(paint) {
      painters.add(paint);
      return () => void painters.delete(paint);
    },
    /** The uppermost node at a point of the world. @param {Point} point */
    nodeAt([x, y]) {
      let found = "";
      for (const item of scene.items.values()) if (holds(item.box, x, y)) found = item.id;
      return found;
    },
    /** What a pointer takes at a point of the world where nothing is built: a node, a note, or the title of a frame. @param {Point} point */
    thingAt(point) {
      let found = this.nodeAt(point);
      if (!found && wasFar) for (const { id, part, box } of scene.decorations.values()) {
        if (holds(part === "notes" ? box : { ...box, height: Math.max(32, 18 / (tab?.camera.peek().zoom ?? 1)) }, ...point)) found = id;
      }
      return found;
    },
    /** @param {number} dx @param {number} dy In pixels of the screen. */
    pan(dx, dy) {
      if (!tab) return;
      const camera = tab.camera.peek();
      tab.camera.value = { ...camera, x: camera.x - dx / camera.zoom, y: camera.y - dy / camera.zoom };
    },
    /** @param {number} factor @param {{clientX: number, clientY: number}} [around] Without it, the middle stays. */
    zoom(factor, around) {
      if (!tab) return;
      const corner = host.getBoundingClientRect();
      const [x, y] = around ? [around.clientX - corner.left, around.clientY - corner.top] : [size.width / 2, size.height / 2];
      tab.camera.value = zoomed(tab.camera.peek(), factor, x, y);
    },
    /** Show these nodes whole, or everything. @param {Iterable<string>} [ids] */
    fit(ids) {
      const box = around(ids ? [...ids].flatMap((id) => scene.boxOf(id) ?? []) : [...scene.boxes()].map(([, one]) => one));
      if (tab && box && size.width) tab.camera.value = fitting(box, size.width, size.height);
    },
    /** Bring a node into view, if it is not there. @param {string} id */
    reveal(id) {
      const box = scene.boxOf(id);
      if (!tab || !box) return;
      const view = viewOf(tab.camera.peek());
      const inside = box.x >= view.x && box.y >= view.y && box.x + box.width <= view.x + view.width && box.y + box.height <= view.y + view.height;
      if (inside) return;
      const { zoom } = tab.camera.peek();
      tab.camera.value = { x: box.x + box.width / 2 - view.width / 2, y: box.y + Math.min(box.height, view.height) / 2 - view.height / 2, zoom };
    },
    destroy() {
      stops.forEach((stop) => stop());
      observer.disconnect();
      life.abort();
      cancelAnimationFrame(frame);
      nodes.clear();
      host.replaceChildren();
    },
  };
}
