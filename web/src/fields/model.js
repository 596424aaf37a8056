// A model by its name, chosen from those of its kinds that the server has.
import { html } from "../html.js";
import { t } from "../text/index.js";
import { listing, pick } from "./parts.js";

/** @import { App } from "../types.d.ts" */
/** @import { ControlProps } from "./index.js" */

/** All models; null until they have come. @param {App} app @returns {any[] | null} */
const modelsOf = (app) => listing(app, "/api/models").value?.models ?? null;

/** The kinds that an input reads, the first being its type's. @param {ControlProps} props @returns {string[]} */
const kindsOf = ({ input, field }) => field.schema["x-models"] ?? [/"model:([^"]+)"/.exec(JSON.stringify(input.type))?.[1] ?? ""];

/** @param {number} bytes */
const size = (bytes) => (bytes > 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.max(1, Math.round(bytes / 1e6))} MB`);

/** @param {ControlProps} props */
export function Model(props) {
  const { app, input, value, change, attrs } = props;
  const kinds = kindsOf(props);
  const models = modelsOf(app);
  const now = models?.find((one) => one.name === value || one.name === `${value}.safetensors`);
  const choose = async () => {
    listing(app, "/api/models", true);
    const found = await pick(app, input.title, () => modelsOf(app)?.filter((one) => !one.kind || !kinds[0] || kinds.includes(one.kind)).map((one) => ({
      value: one.name, note: [one.family, size(one.bytes), one.folder].filter(Boolean).join(" · "), picture: one.thumbnail && `${one.thumbnail}?size=128`, trouble: one.trouble,
    })) ?? null, value);
    if (found !== undefined) change(found);
  };
  const missing = Boolean(value) && models !== null && !now;
  return html`<button type="button" class="value-button" ...${attrs} aria-invalid=${missing ? "true" : attrs["aria-invalid"]} title=${now?.trouble} onClick=${choose}>
    ${now?.thumbnail && html`<img src=${`${now.thumbnail}?size=64`} alt="" />`}<span>${missing ? t("field.missing", { name: value }) : value || t("field.choose")}</span></button>`;
}
