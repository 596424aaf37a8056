// Forms by link: /?form=WORKFLOW&prompt=... opens a saved workflow in the form view with values set; nothing runs by itself.
import { openWorkflow } from "../documents/index.js";
import { fieldOf } from "../fields/index.js";
import { numberIn } from "../fields/number.js";
import { publicInput } from "../model/catalog.js";
import { nodeAt, own, split } from "../model/graph.js";
import { setPublic } from "../model/promote.js";
import { t } from "../text/index.js";

/** @import { App, InputSpec, Tab } from "../types.d.ts" */

/** Open what the address asks for, if it asks for a form. @param {App} app */
export async function openLink(app) {
  const asked = new URLSearchParams(location.search);
  const id = asked.get("form");
  if (!id) return;
  history.replaceState(null, "", location.pathname); // another reload goes on with what is there
  const tab = await app.toasts.attempt(() => openWorkflow(app, id, { again: true }));
  if (!tab) return;
  app.view.value = "form";
  tab.store.change(t("form.from_link"), (json) => {
    for (const [name, spec] of Object.entries(json.interface?.inputs ?? {})) {
      const text = asked.get(name);
      if (text === null) continue;
      try {
        json = /** @type {any} */ (setPublic(json, spec.to, valueIn(publicInput(app.catalog.peek(), json, json, name, spec), text)));
      } catch (error) {
        app.toasts.show(t("form.bad_value", { name: spec.title || name, reason: /** @type {Error} */ (error).message }), "error");
      }
    }
    return json;
  });
}

/** @param {InputSpec} input @param {string} text */
function valueIn(input, text) {
  const field = fieldOf(input);
  if (field.kind === "number" || field.kind === "seed") return numberIn(field, text);
  const value = field.kind === "toggle" || ["array", "object"].includes(field.schema.type) ? JSON.parse(text) : text;
  if (field.choices && !field.choices.includes(value)) throw new Error(t("form.no_choice", { choices: field.choices.join(", ") }));
  return value;
}

/** The address of a tab's form, with the values that differ from the saved ones. @param {Tab} tab */
export function linkTo(tab) {
  const url = new URL(`/?form=${encodeURIComponent(tab.file.peek()?.id ?? "")}`, location.origin);
  const [now, saved] = [tab.store.json.peek(), tab.store.saved.peek()];
  for (const [name, spec] of Object.entries(now.interface?.inputs ?? {})) {
    const [id, input] = split(spec.to[0] ?? "");
    const [value, before] = [now, saved].map((json) => own(json ? nodeAt(json, id)?.inputs : undefined, input));
    if (value !== undefined && value !== before) url.searchParams.set(name, typeof value === "string" ? value : JSON.stringify(value));
  }
  return url.href;
}
