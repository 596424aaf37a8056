// Requests to the server. One kind of error, which carries every problem that the server told.

import { t } from "../text/index.js";

/** @import { Problem } from "../types.d.ts" */

export class ApiError extends Error {
  /** @param {number} status @param {any} body */
  constructor(status, body) {
    super(body?.detail || body?.title || `HTTP ${status}`);
    this.status = status;
    /** Stable, for programs: `nodegraph:stale_revision`. @type {string} */
    this.type = body?.type ?? "";
    this.problems = /** @type {Problem[]} */ (body?.problems ?? []);
    this.wants = /** @type {{kind: string, name: string}[]} */ (body?.wants ?? []);
  }
}

/** @typedef {ReturnType<typeof createApi>} Api */

export function createApi() {
  /** @param {string} method @param {string} path @param {any} [body] @param {Record<string, string>} [headers] @param {RequestInit} [more]
   * @returns {Promise<any>} */
  async function ask(method, path, body, headers = {}, more = {}) {
    const raw = body instanceof Blob || body instanceof ArrayBuffer;
    const sent = body === undefined ? undefined : raw ? body : JSON.stringify(body);
    /** @type {Record<string, string>} */
    const kind = body === undefined ? {} : { "Content-Type": raw ? (/** @type {Blob} */ (body).type || "application/octet-stream") : "application/json" };
    const answer = await fetch(path, { method, headers: { ...kind, ...headers }, body: sent, ...more }).catch((error) => {
      throw error instanceof TypeError ? new Error(t("connection.none")) : error;
    });
    if (answer.status === 401) location.reload(); // the session is over: the page is the login page now
    if (answer.status === 204) return null;
    const json = (answer.headers.get("Content-Type") ?? "").includes("json");
    const found = json ? await answer.json() : await answer.text();
    if (!answer.ok) throw new ApiError(answer.status, json ? found : { detail: found });
    return found;
  }
  return {
    /** @param {string} path */
    get: (path) => ask("GET", path),
    /** @param {string} path @param {any} [body] @param {Record<string, string>} [headers] */
    post: (path, body, headers) => ask("POST", path, body, headers),
    /** @param {string} path @param {any} body @param {RequestInit} [more] */
    put: (path, body, more) => ask("PUT", path, body, {}, more),
    /** @param {string} path */
    delete: (path) => ask("DELETE", path),
    /** Give the server a file for jobs; the answer's `file` is what a file input takes. @param {Blob} file @param {string} name
     * @returns {Promise<{file: string, digest: string, media_type: string, width?: number, height?: number, id: string}>} */
    upload: (file, name) => ask("POST", `/api/uploads?name=${encodeURIComponent(name)}`, file),
  };
}

/** What went wrong, in words. @param {unknown} error */
export const words = (error) => (error instanceof Error ? error.message : String(error));
