// What a document wants beyond computing, and what is wrong with it: both are shown to a person before anything runs.
import { useState } from "preact/hooks";
import { html } from "../html.js";
import { ProblemText } from "../node/node-problems.js";
import { accept } from "../tabs.js";
import { t } from "../text/index.js";

/** @import { App, Tab } from "../types.d.ts" */
/** @import { Want } from "../tabs.js" */

/** @param {App} app @param {Tab} tab @param {Want[]} wants @returns {Promise<boolean>} Whether a person accepted all of it. */
export async function askFor(app, tab, wants) {
  const answer = await app.dialogs.open(t("consent.title"), WantsBody, { wants, file: tab.file.peek() });
  if (!answer) return false;
  accept(tab, ...wants);
  const file = tab.file.peek();
  if (answer === "always" && file) await app.toasts.attempt(() => app.api.post(`/api/workflows/${encodeURIComponent(file.id)}/accept`, { wants }));
  return true;
}

/** @param {{wants: Want[], file: {id: string} | null, close(answer?: string): void}} props */
function WantsBody({ wants, file, close }) {
  const [always, setAlways] = useState(false);
  return html`<p>${t("consent.text")}</p>
    <ul class="wants">${wants.map(({ kind, name }) => html`<li key=${kind + name}>${t(`consent.${kind}`, { name })}</li>`)}</ul>
    ${file && html`<label><input type="checkbox" checked=${always} onChange=${() => setAlways(!always)} /> ${t("consent.always")}</label>`}
    <div class="actions"><button type="button" autofocus onClick=${() => close()}>${t("cancel")}</button>
      <button type="button" class="main" onClick=${() => close(always ? "always" : "once")}>${t("consent.accept")}</button></div>`;
}

/** @param {App} app */
export function showProblems(app) {
  const tab = app.tabs.current.peek();
  if (tab) app.dialogs.open(t("run.problems"), ProblemsBody, { tab });
}

/** @param {{app: App, tab: Tab, close(): void}} props */
const ProblemsBody = ({ app, tab, close }) => html`<ul class="problems" onClick=${(/** @type {any} */ event) => event.target.closest(".fixes button:not(:last-child)") && close()}>
  ${tab.problems.value.map((problem) => html`<${ProblemText} key=${`${problem.node} ${problem.socket} ${problem.message}`} app=${app} tab=${tab} problem=${problem} />`)}</ul>`;
