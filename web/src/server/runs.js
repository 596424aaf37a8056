// What jobs do, as the server tells it: a state for each node of each job. Nothing here is saved or undone, and an event
// changes the signal of its own node and of the nodes it lies in, no other.
import { batch, signal } from "@preact/signals";

/** @import { Job, JobRow, NodeRun, OutputRow, Problem, Question } from "../types.d.ts" */
/** @import { Signal } from "@preact/signals" */
/** @import { Api } from "./api.js" */
/** @import { Events, Message, Preview } from "./events.js" */

/** @typedef {ReturnType<typeof createRuns>} Runs */

/** @type {NodeRun} */
export const IDLE = Object.freeze({
  state: "", done: 0, total: 0, ms: 0, bytes: null, peak: null, reason: "", problem: null, preview: "", parts: 0, finished: 0,
});
const MOST = 200;
const ENDED = ["succeeded", "failed", "cancelled"];

/** Whether nothing more comes of a node. @param {NodeRun} run */
const isThrough = (run) => run.state !== "" && run.state !== "waiting" && run.state !== "running";

/** @param {Pick<JobRow, "state">} row */
export const hasEnded = (row) => ENDED.includes(row.state);

/** The path of the node that a node lies in: `a/b[3]` lies in `a/b`, that in `a`; "" for a node of the document. @param {string} path */
export const parentOf = (path) => path.slice(0, Math.max(0, path.lastIndexOf("/"), path.endsWith("]") ? path.lastIndexOf("[") : 0));

/** @param {Api} api @param {Events} events */
export function createRuns(api, events) {
  /** @type {Map<string, Job>} */
  const jobs = new Map();
  /** The jobs known here, the latest first. @type {Signal<Job[]>} */
  const all = signal([]);
  /** @type {Set<(job: Job) => void>} */
  const enders = new Set();
  /** @type {Set<(job: Job, path: string) => void>} */
  const nodeHearers = new Set();
  /** What came meanwhile of jobs whose beginning is being read. @type {Map<string, Message[]>} */
  const late = new Map();

  /** @param {string} id @param {Partial<JobRow>} row */
  function make(id, row) {
    /** @type {Map<string, Signal<NodeRun>>} */
    const nodes = new Map();
    /** @type {Job} */
    const job = {
      id,
      row: signal(/** @type {JobRow} */ ({
        id, state: "queued", title: "", workflow_id: null, inputs: {}, created: new Date().toISOString(), started: null, finished: null, reason: "",
        error: null, thumbnail: null, ...row,
      })),
      outputs: signal({}),
      questions: signal([]),
      problems: signal([]),
      progress: signal({ done: 0, total: 0 }),
      node(path) {
        let found = nodes.get(path);
        if (!found) nodes.set(path, (found = signal(IDLE)));
        return found;
      },
      paths: () => [...nodes.keys()],
    };
    jobs.set(id, job);
    all.value = [job, ...all.peek()];
    return job;
  }

  /** @param {Job} job @param {string} path @param {Partial<NodeRun>} change */
  function tell(job, path, change) {
    const run = job.node(path);
    const before = run.peek();
    run.value = { ...before, ...change };
    const [more, through] = [Number(before.state === "") - Number(run.peek().state === ""), Number(isThrough(run.peek())) - Number(isThrough(before))];
    const { done, total } = job.progress.peek();
    if (more || through) job.progress.value = { done: done + through, total: total + more };
    nodeHearers.forEach((work) => work(job, path));
  }

  /** What lies in a node shows on the node as well. @param {Job} job @param {string} path @param {(run: NodeRun) => Partial<NodeRun>} change */
  function tellAbove(job, path, change) {
    for (let above = parentOf(path); above; above = parentOf(above)) tell(job, above, change(job.node(above).peek()));
  }

  /** @param {Job} job @param {Message} message */
  function take(job, message) {
    const path = message.node ?? "";
    switch (message.type) {
      case "node_expanded":
        tell(job, path, { parts: message.into.length, finished: 0 });
        return expect(job, message.into);
      case "node_started":
        tell(job, path, { ...IDLE, state: "running", preview: job.node(path).peek().preview });
        return tellAbove(job, path, (run) => (run.state === "running" ? {} : { state: "running" }));
      case "node_progress":
        return tell(job, path, { done: message.done, total: message.total });
      case "node_finished": {
        const before = job.node(path).peek();
        const { state, reason, bytes = null, peak_bytes: peak = null } = message;
        tell(job, path, { state, reason, ms: message.ms || before.ms, bytes, peak, done: 0, total: 0 });
        const above = parentOf(path);
        if (above) tell(job, above, { finished: job.node(above).peek().finished + 1, ms: job.node(above).peek().ms + message.ms });
        return;
      }
      case "node_failed": {
        const problem = { ...message.problem, node: path, trace: message.trace };
        tell(job, path, { state: "failed", problem, reason: problem.message });
        return tellAbove(job, path, () => ({ state: "failed", problem }));
      }
      case "job_question":
        job.questions.value = [...job.questions.peek().filter((one) => one.node !== path), /** @type {Question} */ (/** @type {unknown} */ (message))];
        return;
      case "job_answered":
        job.questions.value = job.questions.peek().filter((one) => one.node !== path);
        return;
    }
    if (!message.type.startsWith("job_") || !message.state) return;
    if (message.type === "job_started") begin(job);
    job.row.value = { ...job.row.peek(), ...known(message) };
    if (message.state === "queued" || message.state === "paused") stop(job, "waiting");
    if (message.outputs) job.outputs.value = message.outputs;
    if (message.error) job.problems.value = message.error.problems ?? [];
    if (ENDED.includes(message.state)) end(job);
  }

  /** Nodes that will come; a job may have ended before its submission was answered. @param {Job} job @param {Iterable<string>} paths */
  function expect(job, paths) {
    const state = hasEnded(job.row.peek()) ? unreached(job) : "waiting";
    for (const path of paths) if (job.node(path).peek().state === "") tell(job, path, { state });
  }

  /** What nodes are that a job never came to. @param {Job} job */
  const unreached = (job) => (job.row.peek().state === "succeeded" ? "not_needed" : "");

  /** Another attempt tells everything anew. @param {Job} job */
  function begin(job) {
    job.questions.value = [];
    for (const path of job.paths()) {
      const { state } = job.node(path).peek();
      if (state !== "" && state !== "waiting") tell(job, path, { ...IDLE, state: parentOf(path) ? "" : "waiting" });
    }
  }

  /** Nothing runs in it any more. @param {Job} job @param {NodeRun["state"]} state What becomes of the nodes that ran. */
  function stop(job, state) {
    for (const path of job.paths()) if (job.node(path).peek().state === "running") tell(job, path, { state, done: 0, total: 0 });
  }

  /** Its nodes keep their last picture; the parts of a node do not. @param {Job} job */
  function end(job) {
    job.questions.value = [];
    stop(job, "");
    for (const path of job.paths()) {
      const { preview, state } = job.node(path).peek();
      if (state === "waiting") tell(job, path, { state: unreached(job) });
      if (preview && parentOf(path) && job.node(parentOf(path)).peek().preview !== preview) tell(job, path, { preview: "" });
    }
    if (!late.has(job.id)) enders.forEach((work) => work(job)); // an end that is only read about is no news
  }

  /** What a message says of the job itself. @param {Message} message @returns {Partial<JobRow>} */
  function known(message) {
    const { state, reason, title, document, workflow_id, client, error, priority } = message;
    const at = new Date(message.at * 1000).toISOString();
    const times = message.type === "job_started" ? { started: at } : ENDED.includes(state) ? { finished: at } : {};
    const given = Object.entries({ state, reason, title, document, workflow_id, client, error, priority }).filter(([, value]) => value !== undefined);
    return { ...Object.fromEntries(given), ...times };
  }

  /** @param {Preview} preview */
  function show({ job: id, node, picture }) {
    const job = jobs.get(id);
    if (!job || hasEnded(job.row.peek())) return;
    const reader = new FileReader(); // an address that holds the picture goes when nobody shows it; an object's would have to be given back
    reader.onload = () => batch(() => {
      const preview = String(reader.result);
      tell(job, node, { preview });
      tellAbove(job, node, () => ({ preview }));
    });
    reader.readAsDataURL(picture);
  }

  events.on((message) => {
    if (!message.job) return;
    const job = jobs.get(message.job) ?? (message.type === "job_queued" ? make(message.job, {}) : undefined);
    if (!job) return;
    const waiting = late.get(job.id);
    if (waiting) waiting.push(message);
    else batch(() => take(job, message));
  });
  events.on((message) => {
    if (message.type === "events_lost") for (const job of all.peek()) if (!hasEnded(job.row.peek())) read(job).catch(() => {}); // the next change tells again
  });
  events.onPreview(show);

  return {
    all,
    /** @param {string} id @returns {Job | undefined} */
    get: (id) => jobs.get(id),
    /** A job that this page did not see from its beginning: its state, and what happened so far. @param {string} id @returns {Promise<Job>} */
    async follow(id) {
      const there = jobs.get(id);
      if (there) return there;
      const row = await api.get(`/api/jobs/${id}`);
      const job = jobs.get(id) ?? make(id, row);
      await read(job, row);
      return job;
    },
    /** A job that was just submitted. @param {string} id @param {Partial<JobRow>} row */
    add: (id, row) => jobs.get(id) ?? make(id, row),
    expect,
    /** Forget old jobs that have ended, but for those that are shown. @param {Set<string>} shown */
    forget(shown) {
      const old = all.peek().slice(MOST).filter((job) => hasEnded(job.row.peek()) && !shown.has(job.id));
      old.forEach((job) => jobs.delete(job.id));
      if (old.length) all.value = all.peek().filter((job) => jobs.has(job.id));
    },
    /** @param {(job: Job, path: string) => void} work Called whenever something is told of a node. @returns {() => void} */
    onNode(work) {
      nodeHearers.add(work);
      return () => void nodeHearers.delete(work);
    },
    /** @param {(job: Job) => void} work Called whenever a job ends. @returns {() => void} */
    onEnd(work) {
      enders.add(work);
      return () => void enders.delete(work);
    },
  };

  /** What happened to a job so far; what comes meanwhile waits until that is read. @param {Job} job @param {any} [row] */
  async function read(job, row) {
    if (late.has(job.id)) return;
    /** @type {Message[]} */
    const waiting = [];
    late.set(job.id, waiting);
    let seen = 0;
    const before = job.row.peek().state;
    try {
      row ??= await api.get(`/api/jobs/${job.id}`);
      batch(() => job.paths().forEach((path) => tell(job, path, { ...IDLE, preview: job.node(path).peek().preview })));
      for (let since = 0; ;) {
        const page = await api.get(`/api/jobs/${job.id}/events?limit=5000&since=${since}`);
        batch(() => page.events.forEach((/** @type {Message} */ message) => take(job, message)));
        seen = page.events.at(-1)?.seq ?? seen;
        if (!page.next) break;
        since = page.next;
      }
      batch(() => {
        if (hasEnded(row) || !hasEnded(job.row.peek())) job.row.value = { ...job.row.peek(), ...row };
        if (hasEnded(row)) for (const [path, node] of Object.entries(row.nodes)) if (job.node(path).peek().state === "") tell(job, path, shown(node));
        job.outputs.value = hasEnded(job.row.peek()) && !hasEnded(row) ? job.outputs.peek() : /** @type {Record<string, OutputRow[]>} */ (row.outputs);
        job.questions.value = row.questions ?? [];
        job.problems.value = /** @type {Problem[]} */ (row.error?.problems ?? []);
      });
    } finally {
      late.delete(job.id);
      if (!ENDED.includes(before) && hasEnded(job.row.peek())) enders.forEach((work) => work(job));
      batch(() => waiting.forEach((message) => (message.seq === null || message.seq > seen) && take(job, message)));
    }
  }
}

/** A node of a job as the server keeps it, where its events are forgotten. @param {any} node @returns {Partial<NodeRun>} */
const shown = ({ state, reason, ms, bytes = null }) => ({ state: state === "running" ? "" : state, reason, ms, bytes });
