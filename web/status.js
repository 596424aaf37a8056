// What the server does: jobs that run, wait and are done, and the workers. It reads the API like any other client.
// Nothing from the server is ever put in as HTML: texts are text nodes.

/** @typedef {{seq: number | null, at: number, type: string, job?: string, [name: string]: any}} Message */
/** @typedef {{done: number, total: number, seen: Set<string>, finished: Set<string>, node: string}} Progress */

const SHOWN = 24; // and so many more with each "Show more"
const MOST = 480;
const running = new Map(); // id -> job
const progress = new Map(); // id -> Progress
const caught = new Set(); // ids of jobs whose earlier events were read
const previews = new Map(); // id -> object URL
const asks = new Map(); // id -> node -> its question
let last = 0;
let shown = SHOWN;
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
  /** @type {Record<string, string>} */
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

/** @param {string} text @param {boolean} [passing] It goes away by itself, once what did not work works again. */
function note(text, passing = false) {
  byId("note").hidden = !text;
  byId("note").textContent = text;
  byId("note").classList.toggle("passing", passing);
}

/** Look for what is new; what a button's error says stays meanwhile. @param {() => Promise<any>} work */
async function keepUp(work) {
  const free = () => byId("note").hidden || byId("note").classList.contains("passing");
  try {
    await work();
    if (free()) note("");
  } catch (error) {
    if (free()) note(error instanceof TypeError ? "The server does not answer." : error instanceof Error ? error.message : String(error), true);
  }
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

/** What a job asks a person: its choices, to be clicked. @param {any} job */
const questions = (job) => [...(asks.get(job.id)?.values() ?? [])].map((/** @type {Message} */ asked) =>
  make("div", { class: "question", role: "group", "aria-label": asked.text },
    make("p", {}, asked.text),
    ...asked.choices.map((/** @type {string} */ choice, /** @type {number} */ index) => {
      const digest = asked.pictures?.[index]?.digest;
      const picture = digest ? make("img", { src: `/api/artifacts/${digest}/thumbnail?size=128`, alt: "" }) : null;
      return make("button", { type: "button", onclick: () => act(() => ask("POST", `/api/jobs/${job.id}/answer`, { node: asked.node, choice: index })) },
        picture, choice);
    })));

// ---- drawing ----

/** Make a list's items those of `rows`. An item that is there stays, with its focus and a click that has begun, and is made anew
 * only where what it `shows` has changed.
 * @param {string} listId @param {any[]} rows @param {(row: any) => HTMLElement} build @param {(row: any) => any} shows
 * @param {(row: any) => string} says The words in small letters; they change often. */
function fill(listId, rows, build, shows, says) {
  const list = byId(listId);
  const there = new Map([...list.children].map((item) => [item.dataset.key, item]));
  const focus = /** @type {HTMLElement | null} */ (list.contains(document.activeElement) ? document.activeElement : null);
  const place = focus?.closest("li");
  const which = place ? [...place.querySelectorAll("button")].indexOf(/** @type {any} */ (focus)) : -1;
  rows.forEach((row, index) => {
    const key = row.id ?? row.name;
    const look = JSON.stringify(shows(row));
    let item = there.get(key);
    if (item?.dataset.look !== look) {
      const before = item;
      item = build(row);
      item.dataset.key = key;
      item.dataset.look = look;
      before?.replaceWith(item);
    }
    there.delete(key);
    const words = item.querySelector(".dim");
    if (words.textContent !== says(row)) words.textContent = says(row);
    if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null);
  });
  for (const item of there.values()) item.remove();
  if (focus && !focus.isConnected) {
    const item = [...list.children].find((one) => one.dataset.key === place?.dataset.key);
    (item?.querySelectorAll("button")[which] ?? list.querySelector("button"))?.focus();
  } else if (focus && document.activeElement !== focus) focus.focus(); // it was moved
}

/** @param {any} job @param {string} text @param {string} what @param {any} [body] */
const order = (job, text, what, body) => make("button", {
  type: "button", "aria-label": `${text}: ${nameOf(job)}`, onclick: () => act(() => ask("POST", `/api/jobs/${job.id}/${what}`, body)),
}, text);

/** @param {any} job */
function doing(job) {
  const known = progress.get(job.id);
  return known ? `${known.node ? `${known.node} · ` : ""}${known.finished.size} of ${known.seen.size} nodes` : "Starting";
}

function drawRunning() {
  fill("running", [...running.values()], (job) => make("li", {},
    make("span", { class: "picture" }),
    make("span", { class: "title" }, nameOf(job)),
    make("progress", { max: 1, "aria-label": `Progress of ${nameOf(job)}` }),
    make("span", { class: "dim" }),
    order(job, "Cancel", "cancel"),
    ...questions(job)), (job) => [nameOf(job), ...(asks.get(job.id)?.keys() ?? [])], doing);
  for (const item of byId("running").children) {
    const id = /** @type {any} */ (item).dataset.key;
    const known = progress.get(id);
    const bar = item.querySelector("progress");
    const share = known && known.seen.size ? known.finished.size / known.seen.size : null;
    if (bar && (share === null || share === 1)) bar.removeAttribute("value"); // nobody knows how much is to come
    else if (bar && bar.value !== share) bar.value = share;
    const picture = item.querySelector(".picture");
    const source = previews.get(id);
    if (source && picture?.getAttribute("src") !== source) {
      picture?.replaceWith(make("img", { class: "picture", src: source, alt: "Work in progress" }));
    }
  }
}

/** @param {any} job */
const waits = (job) => (job.state === "paused" ? "paused" : job.reason || `since ${ago(job.created).replace(" ago", "")}`);

/** @param {any[]} jobs */
function drawWaiting(jobs) {
  fill("waiting", jobs, (job) => make("li", {},
    make("span", { class: "title" }, nameOf(job)),
    make("span", { class: "dim" }),
    job.state === "paused" ? order(job, "Go on", "resume") : order(job, "To the front", "move", { position: "first" }),
    order(job, "Cancel", "cancel")), (job) => [nameOf(job), job.state], waits);
}

/** @param {any} job */
const ended = (job) => `${job.state}, ${ago(job.finished ?? job.created)}`;

/** @param {any[]} jobs */
function drawDone(jobs) {
  fill("done", jobs, (job) => make("li", {},
    make("button", { type: "button", onclick: () => act(() => show(job.id)) },
      job.thumbnail ? make("img", { class: "picture", src: job.thumbnail, alt: "", loading: "lazy" }) : make("span", { class: "picture" }),
      make("span", { class: "title" }, nameOf(job)),
      make("span", { class: `dim state-${job.state}` }))), (job) => [nameOf(job), job.state, job.thumbnail], ended);
}

/** @param {any} system */
function drawWorkers(system) {
  const says = (/** @type {any} */ worker) => `${worker.state} · ${worker.jobs.length} ${worker.jobs.length === 1 ? "job" : "jobs"} · ${size(worker.rss)}`;
  fill("workers", system.workers, (worker) => make("li", {},
    make("span", { class: "title" }, worker.name),
    make("span", { class: "dim" })), () => "", says);
}

/** A job's details. @param {string} id */
async function show(id) {
  const job = await ask("GET", `/api/jobs/${id}`);
  byId("details-title").textContent = nameOf(job);
  const body = byId("details-body");
  const wrong = (/** @type {any} */ row) => [row.node, row.message, row.hint].filter(Boolean).join(" · ");
  const error = !job.error ? null : make("div", {},
    make("p", { class: "state-failed" }, job.error.detail || job.error.title),
    make("ul", {}, ...(job.error.problems ?? []).map((/** @type {any} */ row) => make("li", {}, wrong(row)))));
  const pictures = Object.values(job.outputs).flat().map((/** @type {any} */ row) => {
    if (!row.url) return make("p", {}, JSON.stringify(row.value ?? row.type));
    const picture = row.media_type.startsWith("image/") ? make("img", { src: row.url, alt: row.name || "A picture" }) : null;
    const link = `${row.url}?name=${encodeURIComponent(row.name)}`;
    return make("p", {}, picture, make("br"), make("a", { href: link, download: row.name }, `${row.name} (${Math.ceil(row.bytes / 1000)} kB)`));
  });
  const inputs = Object.entries(job.inputs).map(([name, value]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, value === null ? "(none)" : typeof value === "object" ? JSON.stringify(value) : String(value))));
  const nodes = Object.entries(job.nodes).map(([name, row]) => make("tr", {},
    make("th", { scope: "row" }, name), make("td", {}, row.state), make("td", { class: "number" }, row.ms ? `${row.ms.toFixed(0)} ms` : ""), make("td", {}, row.reason)));
  const again = job.state === "failed" || job.state === "cancelled"
    ? make("button", { type: "button", onclick: () => act(() => ask("POST", `/api/jobs/${id}/retry`).then(() => byId("details").close())) }, "Try again") : null;
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
    void keepUp(load);
  }, 200);
}

/** What a job did before this page heard of it. @param {string} id */
async function catchUp(id) {
  caught.add(id);
  for (let since = 0; ;) {
    const page = await ask("GET", `/api/jobs/${id}/events?limit=5000&since=${since}`);
    page.events.forEach(count);
    if (!page.next) return;
    since = page.next;
  }
}

async function load() {
  const text = byId("text").value.trim();
  const query = `state=succeeded&state=failed&state=cancelled&limit=${shown}${text ? `&text=${encodeURIComponent(text)}` : ""}`;
  const [queue, paused, done, system] = await Promise.all(
    ["/api/queue", "/api/jobs?state=paused", `/api/jobs?${query}`, "/api/system"].map((path) => ask("GET", path)));
  await Promise.all(queue.running.filter((/** @type {any} */ job) => !caught.has(job.id)).map((/** @type {any} */ job) => catchUp(job.id)));
  running.clear();
  for (const job of queue.running) running.set(job.id, job);
  for (const id of [...caught, ...progress.keys(), ...previews.keys()]) if (!running.has(id)) forget(id);
  drawRunning();
  drawWaiting([...queue.queued, ...paused.jobs]);
  drawDone(done.jobs);
  byId("none-done").textContent = text ? "Nothing found." : "Nothing yet.";
  byId("more").hidden = !done.next || shown === MOST;
  drawWorkers(system);
  byId("waiting-title").textContent = queue.paused ? "Waiting: the queue is paused" : "Waiting";
  byId("pause").textContent = queue.paused ? "Go on with the queue" : "Pause the queue";
  byId("pause").onclick = () => act(() => ask("POST", `/api/queue/${queue.paused ? "resume" : "pause"}`).then(refresh));
}

/** @param {string} id */
function forget(id) {
  caught.delete(id);
  asks.delete(id);
  progress.delete(id);
  URL.revokeObjectURL(previews.get(id));
  previews.delete(id);
}

/** An event of a node or a question. @param {Message} message */
function count(message) {
  const id = message.job ?? "";
  if (message.type === "job_question") asks.set(id, (asks.get(id) ?? new Map()).set(message.node, message));
  if (message.type === "job_answered") asks.get(id)?.delete(message.node);
  if (message.type === "job_started" || message.type === "job_queued") asks.delete(id); // another attempt asks again
  if (!message.type.startsWith("node_")) return;
  const known = progress.get(id) ?? { seen: new Set(), finished: new Set(), node: "" };
  progress.set(id, known);
  known.seen.add(message.node);
  for (const node of message.into ?? []) known.seen.add(node);
  if (message.type === "node_finished") known.finished.add(message.node);
  if (message.type === "node_started") known.node = message.node;
}

/** @param {Message} message */
function take(message) {
  if (message.seq !== null) last = message.seq;
  count(message);
  if (message.type.startsWith("node_")) {
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
byId("more").addEventListener("click", () => {
  shown = Math.min(shown + SHOWN, MOST);
  refresh();
});
setInterval(refresh, 5000); // "5 s ago", and the workers
listen();
