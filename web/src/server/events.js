// The stream of events: one WebSocket that comes back by itself and goes on after the last event seen.
import { signal } from "@preact/signals";

/** @typedef {{seq: number | null, at: number, type: string, job?: string, [name: string]: any}} Message */
/** @typedef {{job: string, node: string, width: number, height: number, picture: Blob}} Preview */
/** @typedef {ReturnType<typeof createEvents>} Events */

export function createEvents() {
  const connected = signal(/** @type {boolean | null} */ (null));
  /** @type {Set<(message: Message) => void>} */
  const hearers = new Set();
  /** @type {Set<(preview: Preview) => void>} */
  const watchers = new Set();
  let last = 0;
  let wait = 500;

  /** @param {Message} message */
  function tell(message) {
    if (message.seq !== null) last = message.seq;
    hearers.forEach((work) => work(message));
  }

  function connect() {
    const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/api/events${last ? `?since=${last}` : ""}`);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      wait = 500;
      connected.value = true;
    };
    socket.onmessage = (event) => {
      if (typeof event.data !== "string") return watchers.forEach((work) => work(readPreview(event.data)));
      tell(JSON.parse(event.data));
    };
    socket.onclose = () => {
      connected.value = false;
      setTimeout(connect, wait);
      wait = Math.min(2 * wait, 10000);
    };
  }

  return {
    connected,
    /** Begin to listen; whoever wants events should be registered by then. */
    connect,
    /** What a message does, wherever it comes from. */
    tell,
    /** @param {(message: Message) => void} work @returns {() => void} Ends it. */
    on(work) {
      hearers.add(work);
      return () => void hearers.delete(work);
    },
    /** @param {(preview: Preview) => void} work @returns {() => void} Ends it. */
    onPreview(work) {
      watchers.add(work);
      return () => void watchers.delete(work);
    },
  };
}

/** A binary message: 4 bytes of length, a JSON header, a PNG. @param {ArrayBuffer} data @returns {Preview} */
function readPreview(data) {
  const length = new DataView(data).getUint32(0);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  return { ...header, picture: new Blob([new Uint8Array(data, 4 + length)], { type: "image/png" }) };
}
