// What can be done with a field besides setting it: back to its default, linked, in the form, an earlier seed.
import { copyText } from "../copying.js";
import { html } from "../html.js";
import { promoted, promote } from "../model/promote.js";
import { split } from "../model/graph.js";
import { setPublicInput } from "../model/edit.js";
import { editGraph } from "../tabs.js";
import { t } from "../text/index.js";
import { earlierSeed } from "./seed.js";

/** @import { App } from "../types.d.ts" */
/** @import { Field, FieldProps } from "./index.js" */

/** @param {App} app @param {FieldProps} props @param {Field} field */
export async function fieldMenu(app, props, field) {
  const { tab, input, where, place, value, set, change, targets = [place] } = props;
  const graph = tab.graph.peek();
  const [node, socket] = split(place);
  const name = where === "form" ? "" : promoted(graph, place);
  /** @type {Record<string, () => unknown>} */
  const offers = {};
  if (set) offers.reset = () => change(undefined);
  if (field.kind === "seed") offers.history = async () => {
    const seed = await earlierSeed(app, tab, targets);
    if (seed !== undefined) change(seed);
  };
  if (value !== undefined && value !== null && field.kind !== "secret") offers.copy = () => copyText(app, typeof value === "string" ? value : JSON.stringify(value), t("copy.done"));
  if (where !== "form" && app.commands.find("connect.list")) offers.link = () => app.commands.run("connect.list", { node, socket, side: "input" });
  if (where !== "form" && name) offers.withdraw = () => editGraph(tab, t("menu.withdraw"), (one) => setPublicInput(one, name, undefined));
  else if (where !== "form") offers.promote = () => editGraph(tab, t("menu.promote"), (one) => promote(one, app.catalog.peek().specOf(tab.store.json.peek(), one.nodes?.[node] ?? { type: "" }), node, input));
  const chosen = await app.dialogs.open(input.title, MenuBody, { offers: Object.keys(offers), text: input.description });
  await offers[chosen]?.();
}

/** @param {{offers: string[], text: string, close(offer: string): void}} props */
const MenuBody = ({ offers, text, close }) => html`${text && html`<p class="dim">${text}</p>`}
  <ul class="field-menu">${offers.map((one, index) => html`<li key=${one}><button type="button" class="plain" autofocus=${index === 0} onClick=${() => close(one)}>${t(`menu.${one}`)}</button></li>`)}</ul>`;
