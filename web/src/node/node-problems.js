// What is wrong with a node, on the node: what the server found in the document, and what went wrong in the run.
import { html } from "../html.js";
import { runOf } from "./node-run.js";

/** @import { App, Problem, Tab } from "../types.d.ts" */

/** The problems of a node. @param {App} app @param {Tab} tab @param {string} id @returns {Problem[]} */
export function problemsOf(app, tab, id) {
  const found = tab.problems.value.filter((problem) => problem.node === id);
  const { problem } = runOf(app, tab, id);
  return problem ? [...found, problem] : found;
}

/** @param {{app: App, tab: Tab, id: string}} props */
export function NodeProblems({ app, tab, id }) {
  const problems = problemsOf(app, tab, id);
  if (!problems.length) return null;
  return html`<ul class="node-problems" role="alert">${problems.map((problem) => html`<li>${problem.message}</li>`)}</ul>`;
}
