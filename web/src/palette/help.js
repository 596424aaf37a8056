// What a type of node is for: its description, its sockets with their ranges, and what its pack writes about it.
import { useEffect, useState } from "preact/hooks";
import { html } from "../html.js";
import { typeText } from "../model/types.js";
import { t } from "../text/index.js";
import { Markdown } from "./markdown.js";

/** @import { App, InputSpec, NodeSpec } from "../types.d.ts" */

/** @param {InputSpec} input */
function rangeOf({ schema, default: value, required }) {
  const one = { ...schema, ...schema?.anyOf?.find((/** @type {any} */ branch) => branch.type !== "null") };
  const [least, most] = [one.minimum ?? one.exclusiveMinimum, one.maximum ?? one.exclusiveMaximum];
  const range = one.enum ? one.enum.slice(0, 12).join(", ") : least !== undefined || most !== undefined ? `${least ?? "…"} – ${most ?? "…"}` : "";
  const given = required ? t("help.required") : value === null || value === undefined || value === "" ? "" : t("help.default", { value: typeof value === "object" ? JSON.stringify(value) : String(value) });
  return [range, given].filter(Boolean).join("; ");
}

/** @param {{app: App, spec: NodeSpec}} props */
export const NodeSummary = ({ app, spec }) => html`<div class="node-summary">
  <p class="dim">${spec.category} · <code>${spec.id}</code></p>
  ${spec.deprecated && html`<p>${t("palette.deprecated")}: ${spec.deprecated}</p>`}
  ${spec.description.split(/\n\s*\n/).map((text) => html`<p>${text}</p>`)}
  ${[["help.inputs", spec.inputs], ["help.outputs", spec.outputs]].map(([key, sockets]) => sockets.length > 0 && html`<h3>${t(String(key))}</h3>
    <dl>${/** @type {InputSpec[]} */ (sockets).map((one) => html`<dt><i class=${`type-dot ${app.catalog.value.shape(one.type)}`} style=${{ "--type": app.catalog.value.color(one.type) }}></i>
      ${one.title ?? one.name} <small>${typeText(one.type)}</small></dt><dd>${one.description} <small>${key === "help.inputs" && rangeOf(one)}</small></dd>`)}</dl>`)}
</div>`;

/** @param {{app: App, spec: NodeSpec}} props */
export function NodeHelp({ app, spec }) {
  const [found, setFound] = useState(/** @type {{markdown: string, pictures: Record<string, string>} | null} */ (null));
  useEffect(() => {
    if (spec.docs) app.toasts.attempt(async () => setFound(await app.api.get(`/api/nodes/${spec.id}/documentation`)));
  }, [spec]);
  return html`<div class="node-help" tabindex="0">${found && html`<${Markdown} ...${found} />`}<${NodeSummary} app=${app} spec=${spec} /></div>`;
}
