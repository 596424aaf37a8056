// Every shape that modules share. Never loaded by the browser.
import type { ReadonlySignal, Signal } from "@preact/signals";

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

// ---- the document: saved and undone; what the server has, unchanged ----

/** [x, y] in world units: pixels at zoom 1. */
export type Point = [number, number];
export interface Box { x: number; y: number; width: number; height: number }

export interface NodeEntry {
  type: string;
  version?: number;
  inputs?: Record<string, any>;
  links?: Record<string, string | string[]>;
  disabled?: boolean;
  [unknown: string]: any;
}
export interface InterfaceInput {
  to: string[];
  title?: string;
  description?: string;
  group?: string;
  default?: any;
  minimum?: number;
  maximum?: number;
  step?: number;
  choices?: any[];
  as_list?: boolean;
}
export interface Interface { inputs?: Record<string, InterfaceInput>; outputs?: Record<string, string> }
export interface Frame extends Box { id: string; title: string; color?: string }
export interface Note extends Box { id: string; text: string; color?: string }
export interface Layout {
  nodes?: Record<string, Point>;
  widths?: Record<string, number>;
  titles?: Record<string, string>;
  collapsed?: string[];
  frames?: Frame[];
  notes?: Note[];
  /** Corners of a link, by "source.output>target.input". */
  reroutes?: Record<string, Point[]>;
  /** What a run does with a seed, by "node.input": "new" draws one before each run. */
  seeds?: Record<string, "new" | "keep">;
  [unknown: string]: any;
}
/** The document's own nodes, or those of one of its subgraphs. */
export interface Graph {
  title?: string;
  file?: string;
  nodes?: Record<string, NodeEntry>;
  interface?: Interface;
  layout?: Layout;
  [unknown: string]: any;
}
export interface Workflow extends Graph { nodegraph: number; id?: string; description?: string; subgraphs?: Record<string, Graph> }

/** "" for the document's own graph, else the name of a subgraph. */
export type Scope = string;
export interface Edge { key: string; source: string; output: string; target: string; input: string; index: number }
/** One end of a link. */
export interface End { node: string; socket: string; side: "input" | "output" }

export interface HistoryEntry { label: string; before: Workflow; after: Workflow; merge: string; at: number; scope: Scope }
export interface Store {
  json: Signal<Workflow>;
  /** Make a change; `recipe` gives the new document (the same one: nothing is changed). Typing merges by `merge`. */
  change(label: string, recipe: (json: Workflow) => Workflow, options?: { merge?: string; scope?: Scope }): boolean;
  undo(): HistoryEntry | null;
  redo(): HistoryEntry | null;
  history: ReadonlySignal<{ undo: HistoryEntry[]; redo: HistoryEntry[] }>;
  /** The document as it was last saved, to the reference. */
  saved: Signal<Workflow | null>;
  dirty: ReadonlySignal<boolean>;
}

// ---- the catalog ----

export type TypeExpr =
  | { value: string } | { socket: string } | { var: string } | { list: TypeExpr } | { optional: TypeExpr } | { union: TypeExpr[] };
export interface InputSpec {
  name: string;
  type: TypeExpr;
  required: boolean;
  default: any;
  /** JSON Schema: there is one where a value can be typed in. */
  schema: Record<string, any> | null;
  many: boolean;
  lazy: boolean;
  title: string;
  description: string;
  file: string;
}
export interface OutputSpec { name: string; type: TypeExpr; description: string }
export interface NodeSpec {
  id: string;
  inputs: InputSpec[];
  outputs: OutputSpec[];
  title: string;
  category: string;
  description: string;
  version: number;
  output: boolean;
  composite: boolean;
  iterates: string;
  deprecated: string;
  permissions: string[];
  view?: string;
  docs?: boolean;
  /** The type is not installed: sockets are those that the document names. */
  missing?: boolean;
  /** The name of the subgraph that it runs. */
  subgraph?: string;
}
export interface SocketSpec { name: string; color: string; description: string; saves: boolean }
export interface Catalog {
  nodes: Record<string, NodeSpec>;
  sockets: Record<string, SocketSpec>;
  broken: Record<string, string>;
  /** Workflows that subgraphs name as their files, as far as they were fetched; null: there is none. */
  files?: Record<string, Workflow | null>;
  /** What a node's sockets are: of an installed type, of a subgraph, or guessed from the document. */
  specOf(json: Workflow, entry: NodeEntry): NodeSpec;
  color(type: TypeExpr): string;
  shape(type: TypeExpr): "circle" | "square" | "diamond" | "triangle" | "ring";
}
export interface Verdict { ok: boolean; how?: "direct" | "wrap" | "map"; reason: string; replaces?: string }

// ---- the run: told by the server, per job; never saved, never undone ----

export interface Problem {
  code: string; message: string; node?: string | null; socket?: string | null;
  expected?: string | null; got?: string | null; hint?: string | null; trace?: string;
}
export interface NodeRun {
  state: "" | "waiting" | "running" | "computed" | "hit" | "not_needed" | "failed" | "skipped";
  done: number;
  total: number;
  ms: number;
  bytes: number | null;
  /** Bytes of the device that it took at most. */
  peak: number | null;
  reason: string;
  problem: Problem | null;
  /** The latest picture of work in progress, as an address that holds it. */
  preview: string;
  /** Of a node that runs as others: how many of them there are, and are through. */
  parts: number;
  finished: number;
}
export interface OutputRow { digest?: string; url?: string; media_type?: string; name?: string; bytes?: number; value?: any; type?: string }
export interface Question { node: string; text: string; choices: string[]; pictures: (OutputRow | null)[] }
export type JobState = "queued" | "running" | "paused" | "succeeded" | "failed" | "cancelled";
export interface JobRow {
  id: string; state: JobState; title: string; workflow_id: string | null; document?: string; client?: string;
  inputs: Record<string, any>; created: string; started: string | null; finished: string | null; reason: string;
  error: { detail?: string; title: string; problems: Problem[] } | null; thumbnail: string | null; [more: string]: any;
}
export interface Job {
  id: string;
  /** The summary as the server last told it. */
  row: Signal<JobRow>;
  outputs: Signal<Record<string, OutputRow[]>>;
  questions: Signal<Question[]>;
  problems: Signal<Problem[]>;
  /** How many of the nodes known so far are through. */
  progress: Signal<{ done: number; total: number }>;
  node(path: string): Signal<NodeRun>;
  paths(): string[];
}

// ---- the view: what is looked at; never saved into the document ----

export interface Camera { x: number; y: number; zoom: number }
export interface Tab {
  /** Names the tab, its draft and its jobs: the same after a reload. Only a window that was duplicated gives its tabs others. */
  key: string;
  store: Store;
  /** The saved workflow it belongs to, and the state it began from; null before the first save. */
  file: Signal<{ id: string; digest: string; shipped?: boolean } | null>;
  /** The way into subgraphs: the node gone through, and the subgraph it runs. Empty: the document's own graph. */
  path: Signal<{ node: string; scope: Scope }[]>;
  scope: ReadonlySignal<Scope>;
  graph: ReadonlySignal<Graph>;
  selection: Signal<ReadonlySet<string>>;
  camera: Signal<Camera>;
  /** Where the camera was in the graphs that are not looked at, by scope. */
  cameras: Map<Scope, Camera>;
  /** What of its unsaved work lies on the server; "lost": only here, because the server does not answer. */
  kept: Signal<"" | "saving" | "kept" | "lost">;
  /** Whether the server has a draft of it. */
  drafted: boolean;
  /** The digest of what was saved under its id from elsewhere, "gone" where the file was removed; "" when nothing was. */
  elsewhere: Signal<string>;
  /** The job whose states are shown on the nodes. */
  job: Signal<string>;
  /** What the server finds wrong with the document as it is. */
  problems: Signal<Problem[]>;
  /** What it wants beyond computing and nobody accepted; nothing runs before. */
  wants: Signal<{ kind: string; name: string }[]>;
  /** What a person accepted of it, for as long as the tab is open. */
  accepted: Signal<{ kind: string; name: string }[]>;
  /** What a run would do, by node, until the document changes or runs. */
  forecast: Signal<Forecast | null>;
  title: ReadonlySignal<string>;
}
export interface Forecast {
  nodes: Map<string, { state: string; why: string; ms: number | null }>;
  total: { would_run: number; in_cache: number; seconds: number | null };
}

export interface Command {
  id: string;
  /** Key of its title among the texts. */
  title: string;
  /** As "Ctrl+Z", "Shift+Ctrl+Z", "Delete", "F6"; Ctrl is Cmd on a Mac. */
  keys?: string[];
  /** The browser's own doing of its keys goes on (copy, paste): the command only hears of it. */
  native?: boolean;
  /** Where its keys count: anywhere ("page"), or while the canvas or the outline has the focus ("canvas"). */
  context?: "page" | "canvas";
  group: string;
  /** `given`: what a menu is about (palette/menu.js). */
  when?: (given?: any) => boolean;
  /** What it would come to, in words, for menus. */
  about?: (given?: any) => string;
  /** `given` is the key's event, or what whoever runs it from code hands over (`palette.open`: {at, end}). */
  run(given?: any): unknown;
  /** Not listed in the command palette. */
  hidden?: boolean;
}
export interface Panel {
  id: string;
  /** Key of its title among the texts. */
  title: string;
  side: "left" | "right" | "bottom";
  /** A name of icons.js. */
  icon: string;
  order: number;
  component: (props: { app: App }) => any;
}
export interface View { id: string; title: string; icon: string; order: number; component: (props: { app: App }) => any }
export interface Toast { id: number; text: string; kind: "info" | "error"; action?: { title: string; run: () => void } }

/** What each part of the editor is given: made once, in main.js. */
export interface App {
  api: import("./server/api.js").Api;
  events: import("./server/events.js").Events;
  runs: import("./server/runs.js").Runs;
  catalog: Signal<Catalog>;
  settings: import("./settings.js").Settings;
  tabs: import("./tabs.js").Tabs;
  commands: import("./commands.js").Commands;
  panels: import("./panels/registry.js").Registry<Panel>;
  views: import("./panels/registry.js").Registry<View>;
  /** The view and the panels that are open; a panel's id by side, "" for none. */
  view: Signal<string>;
  open: { left: Signal<string>; right: Signal<string>; bottom: Signal<string> };
  dialogs: import("./panels/dialogs.js").Dialogs;
  toasts: import("./panels/toasts.js").Toasts;
  /** Say something to people who use a screen reader. */
  announce(text: string): void;
  canvas: import("./canvas/canvas.js").Canvas | null;
  /** Other windows of this browser, and the keys of the tabs that they have. */
  otherWindows: Map<string, string[]>;
}
