// Text for the clipboard. Over plain HTTP from another device there is none: then the text is shown, to be copied by hand.
import { t } from "./text/index.js";

/** @import { App } from "./types.d.ts" */

/** @param {App} app @param {string} text @param {string} said What is said when it is copied. */
export const copyText = (app, text, said) => app.toasts.attempt(async () => {
  if (!navigator.clipboard) return void (await app.dialogs.ask(t("copy.by_hand"), text));
  await navigator.clipboard.writeText(text);
  app.toasts.show(said);
});
