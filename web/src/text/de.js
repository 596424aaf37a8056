// All texts in German, a file for each part of the editor.
import shell from "./de/shell.js";
import canvas from "./de/canvas.js";
import wiring from "./de/wiring.js";
import fields from "./de/fields.js";
import running from "./de/running.js";
import timeline from "./de/timeline.js";
import results from "./de/results.js";
import mask from "./de/mask.js";
import documents from "./de/documents.js";
import form from "./de/form.js";
import preferences from "./de/preferences.js";
import outline from "./de/outline.js";
import views from "./de/views.js";

/** @type {Record<string, string>} */
export const texts = { ...shell, ...canvas, ...wiring, ...fields, ...running, ...timeline, ...results, ...mask, ...documents, ...form, ...outline, ...preferences, ...views };
