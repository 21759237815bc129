/**
 * The symbol rule of krtld (kobj_lookup_all): the modules that the file names as dependencies, in their order, then the
 * primary modules, and nobody else. Over a view, so that files can be judged without a kernel.
 */
import type { ObjectFile, ObjectSymbol } from '../../../formats/object.ts';

export interface SymbolView<Where> {
  /** A symbol of the n-th dependency; undefined when that one is not there or does not define it. */
  dependency(index: number, name: string): Where | undefined;
  readonly dependencies: number;
  /** A symbol of unix, genunix and the other modules that are there from the start. */
  primary(name: string): Where | undefined;
}

/** Undefined names that betray a driver written for kernels without threads (krtld/kobj.c). */
const UNSAFE = new Set(['sleep', 'unsleep', 'wakeup', 'bsd_compat_ioctl', 'unsafe_driver']);

export const isUnsafe = (name: string): boolean => UNSAFE.has(name) || /^(i_ddi_)?spl/.test(name);

/** A call that DTrace patches in; the kernel makes nops of it. */
export const isProbe = (name: string): boolean => name.startsWith('__dtrace_probe_');

/**
 * Modules built for Solaris 11.4 name the line of an assertion by the address of a symbol, `__assfailline__504`, which
 * nobody defines: its value is the number in its name. Seen in drivers' files; undefined for any other name.
 */
export function assertionLine(name: string): number | undefined {
  const digits = /^__assfailline__(\d{1,9})$/.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Where a symbol is found; undefined when nobody whom the rule asks has it. */
export function lookUp<Where>(view: SymbolView<Where>, name: string): Where | undefined {
  for (let i = 0; i < view.dependencies; i++) {
    const found = view.dependency(i, name);
    if (found !== undefined) return found;
  }
  return view.primary(name);
}

/** Symbols that would stay without an address: those that are weak or probes may. */
export function unresolved<Where>(view: SymbolView<Where>, file: ObjectFile): ObjectSymbol[] {
  return file.symbols.filter(
    (symbol) =>
      symbol.place === 'undefined' &&
      symbol.name !== '' &&
      symbol.binding !== 'weak' &&
      !isProbe(symbol.name) &&
      assertionLine(symbol.name) === undefined &&
      lookUp(view, symbol.name) === undefined,
  );
}

/** Functions that compilers put into every file: krtld says nothing when they are there twice. */
export const OFTEN_TWICE: ReadonlySet<string> = new Set([
  ...['strstr', 'strncat', 'strlcat', 'strlcpy', 'strspn', 'memcpy', 'memset', 'memmove', 'memcmp', 'memchr'],
  ...['__udivdi3', '__divdi3', '__umoddi3', '__moddi3'],
]);
