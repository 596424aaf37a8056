// Templates: htm bound to preact. Also what components need of both, so that they import one thing.
import { h } from "preact";
import htm from "htm";

export const html = htm.bind(h);
export { Fragment, render } from "preact";
