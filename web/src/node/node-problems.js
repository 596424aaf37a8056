// What is wrong with a node, on the node and at its sockets: what the server found in the document, and what went wrong in the run.
import { useComputed } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { copyText } from "../copying.js";
import { html } from "../html.js";
import { setValue } from "../model/edit.js";
import { nodesOf } from "../model/graph.js";
import { editGraph, runPath } from "../tabs.js";
import { t } from "../text/index.js";
import { runOf } from "./node-run.js";

/** @import { App, Problem, Tab } from "../types.d.ts" */

/** The problems of a node: each may lie in a node inside it. @param {App} app @param {Tab} tab @param {string} id @returns {Problem[]} */
export function problemsOf(app, tab, id) {
  const path = runPath(tab, id);
  const within = (/** @type {Problem} */ { node }) => node === path || node?.startsWith(`${path}/`) || node?.startsWith(`${path}[`);
  const found = tab.problems.value.filter(within);
  const { problem } = runOf(app, tab, id);
  return problem && !found.some((one) => one.message === problem.message && one.socket === problem.socket) ? [...found, problem] : found;
}

/** @param {{app: App, tab: Tab, id: string}} props */
export function NodeProblems({ app, tab, id }) {
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  const problems = useComputed(() => problemsOf(app, tab, id)).value;
  const path = runPath(tab, id);
  const own = problems.filter((problem) => problem.node === path);
  const wrong = own.map((problem) => problem.socket).join(" ");
  useEffect(() => mark(list.current?.closest(".node"), wrong.split(" ")));
  return html`<div ref=${list}>${problems.length > 0 && html`<div class="node-problems" role="alert" data-control data-scrolls><ul>
    ${problems.map((problem) => html`<${ProblemText} key=${`${problem.node} ${problem.socket} ${problem.message}`} app=${app} tab=${tab} problem=${problem} at=${path} />`)}</ul></div>`}</div>`;
}

/** Show at its sockets what is wrong with a node. @param {Element | null | undefined} node @param {string[]} sockets */
function mark(node, sockets) {
  for (const socket of node?.querySelectorAll(".socket.input") ?? []) {
    const wrong = sockets.includes(/** @type {HTMLElement} */ (socket).dataset.socket ?? "");
    socket.toggleAttribute("data-wrong", wrong);
  }
}

/** A problem in words: what, what was expected, what to do. @param {{app: App, tab: Tab, problem: Problem, at?: string}} props */
export function ProblemText({ app, tab, problem, at = "" }) {
  const { message, expected, got, hint, node, socket, trace } = problem;
  const [id, inside] = node && node !== at ? [at || node.split(/[/[]/, 1)[0], at ? node.slice(at.length).replace(/^\//, "") : node] : [at, ""];
  const own = id.split("/").at(-1) ?? "";
  const entry = nodesOf(tab.graph.value)[own];
  const text = [message, expected && `${t("problem.expected")} ${expected}`, got && `${t("problem.got")} ${got}`, hint, node && `(${[node, socket].filter(Boolean).join(".")})`, trace];
  return html`<li class="problem">
    <p><strong>${message}</strong>${inside && html` <small>${t("problem.inside", { node: inside })}</small>`}</p>
    ${expected && html`<p><span class="dim">${t("problem.expected")}</span> ${expected}</p>`}
    ${got && html`<p><span class="dim">${t("problem.got")}</span> ${got}</p>`}
    ${hint && html`<p>${hint}</p>`}
    <div class="fixes">
      ${entry && socket && (node === at || !at) && html`<button type="button" onClick=${() => goToField(app, tab, own, socket)}>${t("problem.go")}</button>
        ${entry.inputs?.[socket] !== undefined && html`<button type="button" onClick=${() => editGraph(tab, t("problem.reset"), (graph) => setValue(graph, own, socket, undefined))}>${t("problem.reset")}</button>`}`}
      <button type="button" onClick=${() => copy(app, text.filter(Boolean).join("\n"))}>${t("problem.copy")}</button>
    </div>
    ${trace && html`<details><summary>${t("problem.trace")}</summary><pre tabindex="0">${trace}</pre></details>`}
  </li>`;
}

/** @param {App} app @param {string} text */
const copy = (app, text) => copyText(app, text, t("problem.copied"));

/** Select a node and put the focus into the field of a socket. @param {App} app @param {Tab} tab @param {string} id @param {string} socket */
function goToField(app, tab, id, socket) {
  app.view.value = "graph";
  tab.selection.value = new Set([id]);
  const at = app.canvas?.host.querySelector(`[data-of="${CSS.escape(id)}"][data-socket="${CSS.escape(socket)}"][data-side="input"]`);
  const field = at?.parentElement?.querySelector("input, select, textarea, .node-row.field button") ?? at;
  /** @type {HTMLElement | null} */ (field ?? null)?.focus();
}
