// What the type checker knows of the vendored libraries: as much as the editor uses. Never loaded by the browser.

declare module "preact" {
  export type Child = VNode | string | number | boolean | null | undefined | Child[];
  export interface VNode { type: any; props: any; key: any }
  export function h(type: any, props: any, ...children: any[]): VNode;
  export function render(node: Child, into: Element | DocumentFragment): void;
  export function createContext<T>(value: T): { Provider: any };
  export const Fragment: any;
}

declare module "preact/hooks" {
  export function useState<T>(first: T | (() => T)): [T, (next: T | ((now: T) => T)) => void];
  export function useEffect(work: () => void | (() => void), on?: readonly any[]): void;
  export function useLayoutEffect(work: () => void | (() => void), on?: readonly any[]): void;
  export function useRef<T>(first: T): { current: T };
  export function useMemo<T>(make: () => T, on: readonly any[]): T;
  export function useCallback<T extends (...given: any[]) => any>(work: T, on: readonly any[]): T;
  export function useContext<T>(context: { Provider: any }): T;
  export function useId(): string;
  export function useErrorBoundary(told?: (error: unknown) => void): [unknown, () => void];
}

declare module "@preact/signals" {
  export interface ReadonlySignal<T> { readonly value: T; peek(): T; subscribe(work: (value: T) => void): () => void }
  export interface Signal<T> extends ReadonlySignal<T> { value: T }
  export function signal<T>(value: T): Signal<T>;
  export function computed<T>(work: () => T): ReadonlySignal<T>;
  export function effect(work: () => void | (() => void)): () => void;
  export function batch<T>(work: () => T): T;
  export function untracked<T>(work: () => T): T;
  export function useSignal<T>(value: T): Signal<T>;
  export function useComputed<T>(work: () => T): ReadonlySignal<T>;
  export function useSignalEffect(work: () => void | (() => void)): void;
}

declare module "htm" {
  const htm: { bind(h: any): (strings: TemplateStringsArray, ...values: any[]) => any };
  export default htm;
}
