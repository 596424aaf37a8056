// What a person types into the search box, as the filters of GET /api/jobs: `seed:7 model:starter node:denoise a red apple`.

/** `text` is how it was typed. @typedef {{name: string, value: string, text: string}} Filter */

const NAMES = /** @type {Record<string, string>} */ ({
  seed: "seed", model: "model", node: "node", workflow: "workflow_id", document: "document", state: "state", after: "created_after", before: "created_before",
});
const STATES = ["queued", "running", "paused", "succeeded", "failed", "cancelled"];

/** @param {string} typed @returns {{words: string, filters: Filter[]}} */
export function readQuery(typed) {
  const words = /** @type {string[]} */ ([]);
  const filters = /** @type {Filter[]} */ ([]);
  for (const [text, name, quoted, plain] of typed.matchAll(/([a-z]+):(?:"([^"]*)"|(\S*))|\S+/g)) {
    if (name !== undefined && name in NAMES) filters.push({ name, value: quoted ?? plain, text });
    else words.push(text);
  }
  return { words: words.join(" "), filters };
}

/** The filters for the server. What it could not read (`seed:seven`, a filter without its value) is passed over while it is typed.
 * @param {string} typed @param {{failed?: boolean, types?: string[]}} given Whether failed jobs are wanted as well; the node types that there are. */
export function asked(typed, { failed = false, types = [] } = {}) {
  const { words, filters } = readQuery(typed);
  const wanted = new URLSearchParams(words ? { text: words } : {});
  for (const { name, value } of filters) {
    const sent = readValue(name, value, types);
    if (sent) wanted.append(NAMES[name], sent);
  }
  if (!wanted.has("state")) ["succeeded", ...(failed ? ["failed", "cancelled"] : [])].forEach((state) => wanted.append("state", state));
  return wanted;
}

/** @param {string} name @param {string} value @param {string[]} types */
function readValue(name, value, types) {
  if (name === "seed") return /^\d{1,15}$/.test(value) ? value : "";
  if (name === "state") return STATES.includes(value) ? value : "";
  if (name === "node" && !value.includes("/")) return types.find((id) => id.endsWith(`/${value}`)) ?? types.find((id) => value && id.includes(value)) ?? value;
  if (name !== "after" && name !== "before") return value;
  const day = new Date(/^\d{4}-\d\d-\d\d$/.test(value) ? `${value}T00:00` : value); // a day begins where the person is
  return Number.isNaN(day.getTime()) ? "" : day.toISOString();
}
