// The far view: nodes and links drawn on one canvas, what runs on a second one above it, so that progress repaints a few boxes only.

/** @import { App, Box, Camera, Job, Tab } from "../types.d.ts" */
/** @import { Item, Scene } from "./scene.js" */
import { HEADER, overlaps } from "../model/geometry.js";
import { runPath } from "../tabs.js";
import { safeColor } from "./decorations.js";

const COLORS = ["node", "panel-2", "line", "text", "accent", "running", "done", "hit", "failed"];

/** What colours are now; a canvas does not know variables, so an element tells. @param {HTMLElement} host @param {string[]} names @returns {Record<string, string>} */
export function readColors(host, names) {
  const probe = host.appendChild(document.createElement("i"));
  const read = (/** @type {string} */ name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const colors = Object.fromEntries(names.map((name) => [name, read(name)]));
  probe.remove();
  return colors;
}

/** @param {App} app @param {HTMLElement} host @param {Scene} scene */
export function createFarView(app, host, scene) {
  const [base, marks] = ["far-base", "far-marks"].map((name) => {
    const canvas = document.createElement("canvas");
    canvas.className = name;
    canvas.setAttribute("aria-hidden", "true");
    host.append(canvas);
    return canvas;
  });
  const paper = /** @type {CanvasRenderingContext2D} */ (base.getContext("2d"));
  const glass = /** @type {CanvasRenderingContext2D} */ (marks.getContext("2d"));
  let tab = /** @type {Tab | null} */ (null);
  let selection = /** @type {ReadonlySet<string>} */ (new Set());
  let drawn = /** @type {"all" | Set<string>} */ (new Set());
  let shown = "";
  /** Nodes whose marks are out of date; null: all. @type {Set<string> | null} */
  let dirty = null;
  let colors = /** @type {Record<string, string>} */ ({});
  /** The links by their colours, until the scene changes. @type {Map<string, Path2D> | null} */
  let wires = null;

  /** @param {{width: number, height: number}} size @param {number} ratio */
  function fitTo({ width, height }, ratio) {
    for (const canvas of [base, marks]) {
      if (canvas.width === Math.round(width * ratio) && canvas.height === Math.round(height * ratio)) continue;
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
  }

  /** @param {Camera} camera @param {{width: number, height: number}} size @param {"all" | Set<string>} which */
  function draw(camera, size, which) {
    const nothing = which !== "all" && which.size === 0;
    if (nothing && drawn !== "all" && drawn.size === 0) return;
    const ratio = devicePixelRatio;
    const view = { x: camera.x, y: camera.y, width: size.width / camera.zoom, height: size.height / camera.zoom };
    const now = `${camera.x} ${camera.y} ${camera.zoom} ${size.width} ${size.height} ${ratio} ${which === "all"}`;
    drawn = which;
    if (shown === now && which === "all") return drawMarks(camera, ratio, view); // what runs is all that is new
    shown = now;
    dirty = null;
    fitTo(size, ratio);
    if (!colors.node) colors = readColors(host, COLORS);
    for (const one of [paper, glass]) {
      one.setTransform(1, 0, 0, 1, 0, 0);
      one.clearRect(0, 0, base.width, base.height);
    }
    if (nothing) return;
    const k = camera.zoom * ratio;
    paper.setTransform(k, 0, 0, k, -camera.x * k, -camera.y * k);
    wires ??= curves();
    if (which === "all") {
      drawDecorations("frames", view, camera.zoom);
      paper.lineWidth = Math.max(1.5, 1 / camera.zoom);
      paper.globalAlpha = 0.7;
      for (const [color, path] of wires) {
        paper.strokeStyle = color;
        paper.stroke(path);
      }
      paper.globalAlpha = 1;
      drawDecorations("notes", view, camera.zoom);
    }
    drawNodes(which, view, camera.zoom);
    if (which === "all") drawMarks(camera, ratio, view);
  }

  function curves() {
    /** @type {Map<string, Path2D>} */
    const all = new Map();
    for (const { color, points } of scene.wires.values()) {
      let path = all.get(color);
      if (!path) all.set(color, (path = new Path2D()));
      points.forEach(([x, y], index) => (index ? path.lineTo(x, y) : path.moveTo(x, y)));
    }
    return all;
  }

  /** Boxes over boxes, one at a time: a path of all of them, or strokes around them, would cost twice as much.
   * @param {"all" | Set<string>} which @param {Box} view @param {number} zoom */
  function drawNodes(which, view, zoom) {
    const seen = [...scene.items.values()].filter(({ id, box }) => (which === "all" || which.has(id)) && overlaps(box, view));
    const edge = Math.max(2, 1 / zoom);
    const chosen = 3 / zoom;
    paper.fillStyle = colors.accent;
    for (const { id, box } of seen) if (selection.has(id)) paper.fillRect(box.x - chosen, box.y - chosen, box.width + 2 * chosen, box.height + 2 * chosen);
    paper.fillStyle = colors.line;
    for (const { box } of seen) paper.fillRect(box.x, box.y, box.width, box.height);
    paper.fillStyle = colors.node;
    for (const { box } of seen) paper.fillRect(box.x + edge, box.y + HEADER, box.width - 2 * edge, Math.max(0, box.height - HEADER - edge));
    drawTitles(seen, zoom);
  }

  /** @param {Item[]} items @param {number} zoom */
  function drawTitles(items, zoom) {
    if (zoom <= 0.3) return;
    paper.fillStyle = colors.text;
    paper.font = "600 15px system-ui, sans-serif";
    paper.textBaseline = "middle";
    for (const { title, box } of items) paper.fillText(title, box.x + 10, box.y + HEADER / 2, box.width - 20);
  }

  /** @param {"frames" | "notes"} wanted @param {Box} view @param {number} zoom */
  function drawDecorations(wanted, view, zoom) {
    const letters = Math.max(15, 11 / zoom);
    for (const { id, part, of, box } of scene.decorations.values()) {
      if (part !== wanted || !overlaps(box, view)) continue;
      const color = safeColor(of.color);
      paper.globalAlpha = color ? 0.25 : 1;
      paper.fillStyle = color || colors["panel-2"];
      paper.fillRect(box.x, box.y, box.width, box.height);
      paper.globalAlpha = 1;
      paper.strokeStyle = selection.has(id) ? colors.accent : color || colors.line;
      paper.lineWidth = (selection.has(id) ? 3 : 1) / zoom;
      paper.strokeRect(box.x, box.y, box.width, box.height);
      if (wanted === "notes" || !of.title) continue;
      paper.fillStyle = colors.text;
      paper.font = `600 ${letters}px system-ui, sans-serif`;
      paper.textBaseline = "top";
      paper.fillText(of.title, box.x + letters / 2, box.y + letters / 3, box.width - letters);
    }
  }

  /** @param {Camera} camera @param {number} ratio @param {Box} view */
  function drawMarks(camera, ratio, view) {
    const job = tab && app.runs.get(tab.job.peek());
    if (marks.hidden === Boolean(job)) marks.hidden = !job; // a layer less
    if (!job || !tab) return;
    const k = camera.zoom * ratio;
    glass.setTransform(k, 0, 0, k, -camera.x * k, -camera.y * k);
    if (!dirty) glass.clearRect(view.x, view.y, view.width, view.height);
    for (const id of dirty ?? scene.items.keys()) {
      const item = scene.items.get(id);
      if (!item || !overlaps(item.box, view)) continue;
      if (dirty) glass.clearRect(item.box.x - 1, item.box.y - 1, item.box.width + 2, item.box.height + 2);
      drawMark(item, job.node(runPath(tab, id)).peek());
    }
    dirty = new Set();
  }

  /** @param {Item} item @param {import("../types.d.ts").NodeRun} run */
  function drawMark({ box }, run) {
    const color = { running: "running", computed: "done", hit: "hit", failed: "failed" }[/** @type {string} */ (run.state)];
    if (!color) return;
    glass.fillStyle = colors[color];
    const share = run.state !== "running" ? 1 : run.parts ? run.finished / run.parts : run.total ? run.done / run.total : 1;
    glass.fillRect(box.x, box.y + 32, box.width * share, 8);
    if (run.state !== "failed" && run.state !== "running") return;
    glass.strokeStyle = colors[color];
    glass.lineWidth = 4;
    glass.strokeRect(box.x + 2, box.y + 2, box.width - 4, box.height - 4);
  }

  /** What was drawn is out of date. */
  function forget() {
    wires = null;
    shown = "";
  }

  return {
    draw,
    base,
    /** Something happened to a node of a job; whether it is drawn here. @param {Job} job @param {string} path */
    mark(job, path) {
      if (drawn !== "all" || !tab || tab.job.peek() !== job.id) return false;
      const id = path.split(/[/[]/, 1)[0];
      if (tab.path.peek().length === 0 && scene.items.has(id)) dirty?.add(id);
      else dirty = null;
      return true;
    },
    /** @param {Tab | null} next */
    setTab(next) {
      tab = next;
      forget();
    },
    /** @param {ReadonlySet<string>} next */
    select(next) {
      selection = next;
      forget();
    },
    forget,
    recolor() {
      colors = {};
    },
  };
}
