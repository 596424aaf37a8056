// What became of another program's workflow, node by node.
import { html } from "../html.js";
import { t } from "../text/index.js";

/** @param {{report: {rows: {id: string, type: string, title: string, fate: string, became: string[], reason: string, notes: string[]}[], notes: string[], closing: string},
 *   close(): void}} props */
export const ImportReport = ({ report, close }) => html`<p>${report.closing}</p>
  ${report.notes.map((note) => html`<p key=${note} class="dim">${note}</p>`)}
  <ul class="changes">${report.rows.filter((row) => row.fate !== "resolved").map((row) => html`<li key=${row.id} class=${row.fate === "placeholder" ? "removed" : "added"}>
    <b>${row.title || row.type}</b> ${row.became.length ? `→ ${row.became.join(", ")}` : t("import.no_counterpart")} <small>${[row.reason, ...row.notes].filter(Boolean).join(" ")}</small></li>`)}</ul>
  <div class="actions"><button type="button" class="main" autofocus onClick=${() => close()}>${t("ok")}</button></div>`;
