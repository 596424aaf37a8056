// The far view: nodes and links drawn on one canvas, what runs on a second one above it, so that progress repaints a few boxes only.

/** @import { App, Camera, Job, Tab } from "../types.d.ts" */
/** @import { Item, Scene } from "./scene.js" */
import { overlaps } from "../model/geometry.js";
import { runPath } from "../tabs.js";

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

  function readColors() {
    const style = getComputedStyle(host);
    colors = Object.fromEntries(["node", "node-head", "line", "text", "accent", "running", "done", "hit", "failed"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (colors = {}));
  app.settings.theme.subscribe(() => (colors = {}));
  app.settings.contrast.subscribe(() => (colors = {}));

  /** @param {{width: number, height: number}} size */
  function fitTo({ width, height }) {
    const ratio = devicePixelRatio;
    for (const canvas of [base, marks]) {
      if (canvas.width === Math.round(width * ratio) && canvas.height === Math.round(height * ratio)) continue;
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    return ratio;
  }

  /** @param {Camera} camera @param {{width: number, height: number}} size @param {"all" | Set<string>} which */
  function draw(camera, size, which) {
    const nothing = which !== "all" && which.size === 0;
    if (nothing && drawn !== "all" && drawn.size === 0) return;
    const now = `${camera.x} ${camera.y} ${camera.zoom} ${size.width} ${size.height} ${which === "all"}`;
    if (shown !== now) dirty = null;
    shown = now;
    drawn = which;
    if (!colors.node) readColors();
    const ratio = fitTo(size);
    paper.setTransform(1, 0, 0, 1, 0, 0);
    paper.clearRect(0, 0, base.width, base.height);
    if (nothing) {
      glass.setTransform(1, 0, 0, 1, 0, 0);
      glass.clearRect(0, 0, marks.width, marks.height);
      return;
    }
    const k = camera.zoom * ratio;
    const view = { x: camera.x, y: camera.y, width: size.width / camera.zoom, height: size.height / camera.zoom };
    paper.setTransform(k, 0, 0, k, -camera.x * k, -camera.y * k);
    if (which === "all") drawWires(view, camera.zoom);
    drawNodes(which, view, camera.zoom);
    if (which === "all") drawMarks(camera, ratio, view);
  }

  /** @param {import("../types.d.ts").Box} view @param {number} zoom */
  function drawWires(view, zoom) {
    /** @type {Map<string, Path2D>} */
    const byColor = new Map();
    for (const wire of scene.wires.values()) {
      if (!overlaps(wire.box, view)) continue;
      let path = byColor.get(wire.color);
      if (!path) byColor.set(wire.color, (path = new Path2D()));
      const { points } = wire;
      path.moveTo(points[0][0], points[0][1]);
      for (let index = 1; index < points.length; index++) path.lineTo(points[index][0], points[index][1]);
    }
    paper.lineWidth = Math.max(1.5, 1 / zoom);
    paper.globalAlpha = 0.7;
    for (const [color, path] of byColor) {
      paper.strokeStyle = color;
      paper.stroke(path);
    }
    paper.globalAlpha = 1;
  }

  /** @param {"all" | Set<string>} which @param {import("../types.d.ts").Box} view @param {number} zoom */
  function drawNodes(which, view, zoom) {
    const [bodies, heads, chosen] = [new Path2D(), new Path2D(), new Path2D()];
    const titled = zoom > 0.3;
    /** @type {Item[]} */
    const names = [];
    for (const item of scene.items.values()) {
      const { x, y, width, height } = item.box;
      if (which !== "all" && !which.has(item.id) || !overlaps(item.box, view)) continue;
      bodies.rect(x, y, width, height);
      heads.rect(x, y, width, 32);
      if (selection.has(item.id)) chosen.rect(x, y, width, height);
      if (titled) names.push(item);
    }
    paper.fillStyle = colors.node;
    paper.fill(bodies);
    paper.fillStyle = colors["node-head"];
    paper.fill(heads);
    paper.strokeStyle = colors.line;
    paper.lineWidth = 1 / zoom;
    paper.stroke(bodies);
    paper.strokeStyle = colors.accent;
    paper.lineWidth = 3 / zoom;
    paper.stroke(chosen);
    paper.fillStyle = colors.text;
    paper.font = "600 15px system-ui, sans-serif";
    paper.textBaseline = "middle";
    for (const item of names) paper.fillText(item.title, item.box.x + 10, item.box.y + 16, item.box.width - 20);
  }

  /** @param {Camera} camera @param {number} ratio @param {import("../types.d.ts").Box} view */
  function drawMarks(camera, ratio, view) {
    const job = tab && app.runs.get(tab.job.peek());
    const k = camera.zoom * ratio;
    glass.setTransform(k, 0, 0, k, -camera.x * k, -camera.y * k);
    if (!dirty) {
      glass.setTransform(1, 0, 0, 1, 0, 0);
      glass.clearRect(0, 0, marks.width, marks.height);
      glass.setTransform(k, 0, 0, k, -camera.x * k, -camera.y * k);
    }
    for (const id of dirty ?? scene.items.keys()) {
      const item = scene.items.get(id);
      if (!item || !overlaps(item.box, view)) continue;
      if (dirty) glass.clearRect(item.box.x - 1, item.box.y - 1, item.box.width + 2, item.box.height + 2);
      if (job && tab) drawMark(item, job.node(runPath(tab, id)).peek());
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
      dirty = null;
      shown = "";
    },
    /** @param {ReadonlySet<string>} next */
    select(next) {
      selection = next;
    },
  };
}
