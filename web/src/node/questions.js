// What a node asks a person while it runs: at the node, and in the queue. Each answer is a button.
import { html } from "../html.js";
import { t } from "../text/index.js";

/** @import { App, Job } from "../types.d.ts" */

/** @param {{app: App, job: Job | undefined, within?: string}} props `within`: only what this node asks, or one inside it. */
export function Questions({ app, job, within }) {
  const asked = (job?.questions.value ?? []).filter(({ node }) => within === undefined || node === within || node.startsWith(`${within}/`) || node.startsWith(`${within}[`));
  if (!job || !asked.length) return null;
  return asked.map(({ node, text, choices, pictures }) => html`<fieldset key=${node} class=${`question ${within === undefined ? "" : "node-question"}`} data-control>
    <legend>${text}</legend>
    ${choices.map((choice, index) => html`<button type="button" key=${index} onClick=${() => app.toasts.attempt(() => app.api.post(`/api/jobs/${job.id}/answer`, { node, choice: index }))}>
      ${pictures[index]?.url && html`<img src=${`${pictures[index].url}/thumbnail?size=128`} alt="" />`}<span>${choice || t("question.choice", { number: index + 1 })}</span></button>`)}
  </fieldset>`);
}
