// What the server does: jobs that run, wait and are done, and the workers. It reads the API like any other client.
// Nothing from the server is ever put in as HTML: texts are text nodes.

/** @typedef {{seq: number | null, at: number, type: string, job?: string, [name: string]: any}} Message */
/** @typedef {{done: number, total: number, seen: Set<string>, finished: Set<string>, node: string}} Progress */

const SHOWN = 24;
const running = new Map(); // id -> job
const progress = new Map(); // id -> Progress
const previews = new Map(); // id -> object URL
let last = 0;
let cursor = null;
let retry = 500;

/** @param {string} id */
const byId = (id) => /** @type {any} */ (document.getElementById(id));

/** An element with attributes, listeners (`onclick`) and children.
 * @param {string} tag @param {Record<string, any>} [attributes] @param {...(Node | string | null)} children */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** @param {string} method @param {string} path @param {any} [body] */
async function ask(method, path, body) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  if (answer.status === 401) location.reload();
  const found = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw new Error(found.detail || found.title);
  return found;
}

/** Do something that a button asked for, and say so where it does not work. @param {() => Promise<any>} work */
async function act(work) {
  try {
    await work();
    note("");
  } catch (error) {
    note(error instanceof Error ? error.message : String(error));
  }
}

/** @param {string} text */
function note(text) {
  byId("note").hidden = !text;
  byId("note").textContent = text;
}

/** @param {string} text */
const ago = (text) => {
  const seconds = Math.max(0, (Date.now() - Date.parse(text)) / 1000);
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 129600 ? `${Math.round(seconds / 3600)} h ago` : new Date(text).toLocaleDateString();
};
/** @param {number} bytes */
const size = (bytes) => (bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`);
/** @param {any} job */
const nameOf = (job) => job.inputs?.prompt || job.title || job.workflow_id || "workflow";

// ---- drawing ----

function drawRunning() {
  const list = byId("running");
  const cards = [...running.values()].map((job) => {
    const known = progress.get(job.id);
    const share = known && known.seen.size ? known.finished.size / known.seen.size : null;
    const bar = make("progress", { max: 1, "aria-label": "Progress" });
    if (share !== null) bar.setAttribute("value", String(share));
    const picture = previews.get(job.id);
    return make("li", {},
      picture ? make("img", { class: "picture", src: picture, alt: "Work in progress" }) : make("span", { class: "picture" }),
      make("span", { class: "title" }, nameOf(job)),
      bar,
      make("span", { class: "dim" }, known?.node ? `${known.node} · ${known.finished.size} of ${known.seen.size} nodes` : "Starting"),
      make("button", { type: "button", onclick: () => act(() => ask("POST", `/api/jobs/${job.id}/cancel`)) }, "Cancel"));
  });
  list.replaceChildren(...cards);
}

/** @param {any[]} jobs */
function drawWaiting(jobs) {
  byId("waiting").replaceChildren(...jobs.map((job) => make("li", {},
    make("span", { class: "title" }, nameOf(job)),
    make("span", { class: "dim" }, job.reason || `since ${ago(job.created).replace(" ago", "")}`),
    make("button", { type: "button", onclick: () => act(() => ask("POST", `/api/jobs/${job.id}/move`, { position: "first" })) }, "To the front"),
    make("button", { type: "button", onclick: () => act(() => ask("POST", `/api/jobs/${job.id}/cancel`)) }, "Cancel"))));
}

/** @param {any[]} jobs */
function doneItems(jobs) {
  return jobs.map((job) => make("li", {},
    make("button", { type: "button", onclick: () => act(() => show(job.id)) },
      job.thumbnail ? make("img", { class: "picture", src: job.thumbnail, alt: "", loading: "lazy" }) : make("span", { class: "picture" }),
      make("span", { class: "title" }, nameOf(job)),
      make("span", { class: `dim state-${job.state}` }, `${job.state}, ${ago(job.finished ?? job.created)}`))));
}

/** @param {any} system */
function drawWorkers(system) {
  byId("workers").replaceChildren(...system.workers.map((/** @type {any} */ worker) => make("li", {},
    make("span", { class: "title" }, worker.name),
    make("span", { class: "dim" }, `${worker.state} · ${worker.jobs.length} jobs · ${size(worker.rss)}`))));
}

/** A job's details. @param {string} id */
async function show(id) {
  const job = await ask("GET", `/api/jobs/${id}`);
  byId("details-title").textContent = nameOf(job);
  const body = byId("details-body");
  const error = job.error ? make("p", { class: "state-failed" }, job.error.detail || job.error.title) : null;
  const pictures = Object.values(job.outputs).flat().map((/** @type {any} */ row) => {
    if (!row.url) return make("p", {}, JSON.stringify(row.value ?? row.type));
    const picture = row.media_type.startsWith("image/") ? make("img", { src: row.url, alt: "" }) : null;
    const link = `${row.url}?name=${encodeURIComponent(row.name)}`;
    return make("p", {}, picture, make("br"), make("a", { href: link, download: row.name }, `${row.name} (${Math.ceil(row.bytes / 1000)} kB)`));
  });
  const inputs = Object.entries(job.inputs).map(([name, value]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, String(value))));
  const nodes = Object.entries(job.nodes).map(([name, row]) => make("tr", {},
    make("th", { scope: "row" }, name), make("td", {}, row.state), make("td", { class: "number" }, row.ms ? `${row.ms.toFixed(0)} ms` : ""), make("td", {}, row.reason)));
  const again = job.state === "failed" || job.state === "cancelled"
    ? make("button", { type: "button", onclick: () => act(() => ask("POST", `/api/jobs/${id}/retry`)) }, "Try again") : null;
  body.replaceChildren(...[error, ...pictures, again, make("table", {}, ...inputs),
    make("details", {}, make("summary", {}, "Nodes"), make("table", {}, ...nodes))].filter((child) => child !== null));
  byId("details").showModal();
}

// ---- keeping up ----

let asked = false;
/** Look at the state anew, at most a few times a second. */
function refresh() {
  if (asked) return;
  asked = true;
  setTimeout(() => {
    asked = false;
    void act(load);
  }, 200);
}

async function load() {
  const text = byId("text").value.trim();
  const query = `state=succeeded&state=failed&state=cancelled&limit=${SHOWN}${text ? `&text=${encodeURIComponent(text)}` : ""}`;
  const [queue, done, system] = await Promise.all([ask("GET", "/api/queue"), ask("GET", `/api/jobs?${query}`), ask("GET", "/api/system")]);
  running.clear();
  for (const job of queue.running) running.set(job.id, job);
  for (const id of [...progress.keys(), ...previews.keys()]) if (!running.has(id)) forget(id);
  drawRunning();
  drawWaiting(queue.queued);
  byId("done").replaceChildren(...doneItems(done.jobs));
  cursor = done.next ?? null;
  byId("more").hidden = cursor === null;
  drawWorkers(system);
  byId("pause").textContent = queue.paused ? "Go on with the queue" : "Pause the queue";
  byId("pause").onclick = () => act(() => ask("POST", `/api/queue/${queue.paused ? "resume" : "pause"}`).then(refresh));
}

/** @param {string} id */
function forget(id) {
  progress.delete(id);
  URL.revokeObjectURL(previews.get(id));
  previews.delete(id);
}

/** @param {Message} message */
function take(message) {
  if (message.seq !== null) last = message.seq;
  const id = message.job ?? "";
  if (message.type.startsWith("node_")) {
    const known = progress.get(id) ?? { seen: new Set(), finished: new Set(), node: "" };
    progress.set(id, known);
    known.seen.add(message.node);
    for (const node of message.into ?? []) known.seen.add(node);
    if (message.type === "node_finished") known.finished.add(message.node);
    if (message.type === "node_started") known.node = message.node;
    drawSoon();
  } else {
    refresh();
  }
}

let drawing = false;
function drawSoon() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    drawRunning();
  });
}

/** A preview: 4 bytes of length, a JSON header, a picture. @param {ArrayBuffer} data */
function takePreview(data) {
  const length = new DataView(data).getUint32(0);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  URL.revokeObjectURL(previews.get(header.job));
  previews.set(header.job, URL.createObjectURL(new Blob([new Uint8Array(data, 4 + length)], { type: "image/png" })));
  drawSoon();
}

function listen() {
  const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/api/events${last ? `?since=${last}` : ""}`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    retry = 500;
    byId("connection").textContent = "Connected";
    refresh();
  };
  socket.onmessage = (event) => (typeof event.data === "string" ? take(JSON.parse(event.data)) : takePreview(event.data));
  socket.onclose = () => {
    byId("connection").textContent = "Not connected; trying again";
    setTimeout(listen, retry);
    retry = Math.min(2 * retry, 10000);
  };
}

byId("search").addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
byId("text").addEventListener("input", refresh);
byId("more").addEventListener("click", () => act(async () => {
  const more = await ask("GET", `/api/jobs?state=succeeded&state=failed&state=cancelled&limit=${SHOWN}&cursor=${cursor}`);
  byId("done").append(...doneItems(more.jobs));
  cursor = more.next ?? null;
  byId("more").hidden = cursor === null;
}));
setInterval(() => act(async () => drawWorkers(await ask("GET", "/api/system"))), 5000);
listen();
