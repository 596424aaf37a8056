// Icons as strokes on a 24 x 24 grid, in the colour of the text around them.
import { html } from "./html.js";

/** @type {Record<string, string>} */
const PATHS = {
  add: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  close: "M6 6l12 12M18 6L6 18",
  graph: "M4 5h6v5H4zM14 14h6v5h-6zM10 7.5h2a2 2 0 0 1 2 2v5",
  form: "M4 6h4M4 12h4M4 18h4M11 4h9v4h-9zM11 10h9v4h-9zM11 16h9v4h-9z",
  gallery: "M3 5h18v14H3zM3 16l5-5 4 4 3-3 6 6M9 9.5a1 1 0 1 0 0-.01",
  nodes: "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM16.5 13v7M13 16.5h7",
  inspector: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4v6M9 14v6",
  outline: "M4 6h2M9 6h11M8 12h2M13 12h7M8 18h2M13 18h7",
  queue: "M4 6h12M4 12h12M4 18h8M17 14v7l5-3.5z",
  timeline: "M3 12h18M6 8v8M12 5v14M18 8v8",
  history: "M4 12a8 8 0 1 0 3-6.2L4 8M4 3v5h5M12 8v5l3 2",
  play: "M7 4v16l13-8z",
  stop: "M6 6h12v12H6z",
  pause: "M8 5v14M16 5v14",
  retry: "M20 12a8 8 0 1 1-3-6.2L20 8M20 3v5h-5",
  search: "M10 4a6 6 0 1 0 0 12 6 6 0 0 0 0-12zM14.5 14.5L20 20",
  settings: "M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM12 2v4M12 18v4M2 12h4M18 12h4M5 5l2.5 2.5M16.5 16.5L19 19M19 5l-2.5 2.5M7.5 16.5L5 19",
  help: "M9 9a3 3 0 1 1 4.5 2.6c-1 .6-1.5 1.2-1.5 2.4M12 18v.01",
  save: "M5 4h11l3 3v13H5zM8 4v5h7V4M8 20v-6h8v6",
  open: "M3 7h6l2 2h10v10H3z",
  undo: "M8 5L4 9l4 4M4 9h10a5 5 0 0 1 0 10h-3",
  redo: "M16 5l4 4-4 4M20 9H10a5 5 0 0 0 0 10h3",
  pencil: "M4 20l1-5L16 4l4 4L9 19zM14 6l4 4",
  fork: "M6 4v16M6 9c0 4 10 2 10 8M13 14l3 3 3-3",
  up: "M6 14l6-6 6 6",
  down: "M6 10l6 6 6-6",
  left: "M14 6l-6 6 6 6",
  right: "M10 6l6 6-6 6",
  link: "M9 15l6-6M10 6l2-2a4 4 0 0 1 6 6l-2 2M14 18l-2 2a4 4 0 0 1-6-6l2-2",
  dice: "M5 5h14v14H5zM9 9v.01M15 15v.01M12 12v.01M15 9v.01M9 15v.01",
  reset: "M5 5v5h5M5 10a8 8 0 1 1-1 4",
  pin: "M9 3h6l-1 6 4 4H6l4-4zM12 13v8",
  eye: "M2 12c3-5 6-7 10-7s7 2 10 7c-3 5-6 7-10 7s-7-2-10-7zM12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
  more: "M5 12v.01M12 12v.01M19 12v.01",
  upload: "M12 16V4M7 9l5-5 5 5M4 16v4h16v-4",
  download: "M12 4v12M7 11l5 5 5-5M4 16v4h16v-4",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13",
  check: "M4 12l5 5L20 6",
  image: "M3 5h18v14H3zM3 16l5-5 4 4 3-3 6 6",
  compare: "M4 5h16v14H4zM12 3v18M15 9l3 3-3 3M9 9l-3 3 3 3",
  mask: "M3 5h18v14H3zM12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8z",
  fit: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
};

/** An icon beside words that say the same. @param {{name: string}} props */
export const Icon = ({ name }) => html`<svg class="icon" viewBox="0 0 24 24" width="18" height="18" aria-hidden="true" fill="none" stroke="currentColor"
  stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"><path d=${PATHS[name] ?? PATHS.more} /></svg>`;
