// How far a job is, in numbers and as a bar.
import { html } from "../html.js";
import { duration } from "../node/node-run.js";
import { t } from "../text/index.js";

/** @import { Job } from "../types.d.ts" */

/** @param {{job: Job}} props */
export function Progress({ job }) {
  const { state, estimate } = job.row.value;
  const { done, total } = job.progress.value;
  const text = state === "running" && total ? t("queue.progress", { done, total }) : t(`state.${state}`);
  return html`<span class="job-progress"><small>${text}${estimate ? `, ~${duration(1000 * estimate)}` : ""}</small>
    ${state === "running" && html`<progress max=${total || 1} value=${done} aria-label=${text}></progress>`}</span>`;
}
