/** @import { App } from "../types.d.ts" */

/** @param {App} app */
export function install(app) {}
