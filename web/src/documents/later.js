// A component that is fetched when it is shown first.
import { useEffect, useState } from "preact/hooks";
import { html } from "../html.js";

/** @param {() => Promise<(props: any) => any>} fetch @returns {(props: any) => any} */
export function later(fetch) {
  /** @type {((props: any) => any) | null} */
  let component = null;
  return (props) => {
    const [, draw] = useState(0);
    useEffect(() => {
      if (!component) fetch().then((found) => ((component = found), draw(1)));
    }, []);
    return component ? html`<${component} ...${props} />` : null;
  };
}
