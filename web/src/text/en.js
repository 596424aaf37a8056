// All texts in English, a file for each part of the editor.
import shell from "./en/shell.js";
import canvas from "./en/canvas.js";
import wiring from "./en/wiring.js";
import fields from "./en/fields.js";
import running from "./en/running.js";
import timeline from "./en/timeline.js";
import results from "./en/results.js";
import mask from "./en/mask.js";
import documents from "./en/documents.js";
import form from "./en/form.js";
import preferences from "./en/preferences.js";
import outline from "./en/outline.js";
import views from "./en/views.js";

/** @type {Record<string, string>} */
export const texts = { ...shell, ...canvas, ...wiring, ...fields, ...running, ...timeline, ...results, ...mask, ...documents, ...form, ...outline, ...preferences, ...views };
