// Choosing by name: a secret (its value is given to the server and never shown), or a subgraph of the document.
import { html } from "../html.js";
import { accept } from "../tabs.js";
import { t } from "../text/index.js";
import { listing, on } from "./parts.js";

/** @import { App } from "../types.d.ts" */
/** @import { ControlProps } from "./index.js" */

/** @param {ControlProps & {names: string[]}} props */
const Names = ({ names, value, change, attrs }) => html`<select ...${attrs} value=${value ?? ""} onChange=${on((event) => change(event.target.value || undefined))}>
    ${["", ...new Set([...names, ...(value ? [value] : [])])].map((name) => html`<option key=${name} value=${name}>${!name ? t("field.unset") : names.includes(name) ? name : t("field.missing", { name })}</option>`)}
  </select>`;

/** @param {ControlProps} props */
export const Subgraph = (props) => html`<${Names} ...${props} names=${Object.keys(props.tab.store.json.value.subgraphs ?? {})} />`;

/** @param {ControlProps} props */
export function Secret(props) {
  const { app } = props;
  const names = listing(app, "/api/secrets").value?.secrets.map((/** @type {any} */ one) => one.name) ?? (props.value ? [props.value] : []);
  const take = (/** @type {string | undefined} */ name) => {
    if (name) accept(props.tab, { kind: "secret", name }); // whoever chooses it by hand means it to be used
    props.change(name);
  };
  const add = async () => {
    const name = await app.dialogs.open(t("secret.add"), SecretBody, { name: props.value ?? "" });
    listing(app, "/api/secrets", true);
    if (name) take(name);
  };
  return html`<${Names} ...${props} names=${names} change=${take} /><button type="button" onClick=${add}>${t("secret.manage")}</button>`;
}

/** @param {{app: App, name: string, close(name?: string): void}} props */
function SecretBody({ app, name, close }) {
  const keep = on(async (event) => {
    event.preventDefault();
    const [named, secret] = event.target.elements;
    const kept = await app.toasts.attempt(() => app.api.put(`/api/secrets/${encodeURIComponent(named.value)}`, { value: secret.value }));
    if (kept) close(kept.name);
  });
  return html`<form class="rows" onSubmit=${keep} autocomplete="off">
    <label>${t("secret.name")}<input type="text" required pattern="[A-Za-z_][A-Za-z0-9_]*" value=${name} /></label>
    <label>${t("secret.value")}<input type="password" required autocomplete="new-password" /></label>
    <p class="dim">${t("secret.note")}</p>
    <div class="actions"><button type="button" onClick=${() => close()}>${t("cancel")}</button><button class="main">${t("save")}</button></div>
  </form>`;
}
