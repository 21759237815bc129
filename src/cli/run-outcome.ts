/**
 * What `lkm run` tells about one module of any system, as text and as JSON (schema lkm.run/1: `modules` is a list of
 * ModuleReport).
 */
import type { Kernel } from '../kernel/kernel.ts';
import type { Standing } from '../kernel/standing.ts';
import type { CommandContext } from './command.ts';
import { wrap } from './help.ts';
import { printable } from './printable.ts';

/** How a load or an unload ended: one shape for all systems. */
export interface Outcome {
  readonly outcome: 'loaded' | 'unloaded' | 'refused' | 'killed' | 'missing';
  /** What the system's own command ends with; 0 when it was done. */
  readonly code: number;
  /** The kernel's error number: 0 for success; null when it gave none (a fault, a function that nobody wrote, systems without). */
  readonly errno: number | null;
  /** The rule that refused, under its stable id. */
  readonly rule: string | null;
  /** What the system's own command writes to standard output and standard error. */
  readonly out: string;
  readonly err: string;
  /** In our words: why, and what to do. */
  readonly why: string;
  readonly hint: string;
}

/** A module took it and did not give it back. */
export interface LeftMemory {
  /** As asked for. */
  readonly bytes: number;
  /** Which allocator, in the system's word. */
  readonly kind: string;
  /** `function+0xoffset` of the caller. */
  readonly where: string;
  /** Where it lies, on systems that say so. */
  readonly address: bigint | null;
}

/** One module of a run. */
export interface ModuleReport {
  readonly file: string;
  /** It was loaded because this module depends on it. */
  readonly neededBy: string | null;
  module: string | null;
  load: Outcome | null;
  unload: Outcome | null;
  /** Bytes and pages of its own code and data, given back when it went; null where a system does not count them apart. */
  ownBytes: number | null;
  ownPages: number | null;
  /** What it registered while it started, and changed for all. */
  registered: readonly Standing[];
  leaks: readonly LeftMemory[];
  /** What of its things stood when it was gone, or had to be taken back by the system. */
  left: readonly Standing[];
}

export const reportOf = (file: string, neededBy: string | null): ModuleReport => ({
  file,
  neededBy,
  module: null,
  load: null,
  unload: null,
  ownBytes: null,
  ownPages: null,
  registered: [],
  leaks: [],
  left: [],
});

/** Lines about a module that was loaded and unloaded. */
export function leftText(report: ModuleReport): string {
  return memoryText(report) + standingText(report.left);
}

function memoryText({ module, ownBytes, ownPages, leaks }: ModuleReport): string {
  const own =
    ownBytes === null
      ? `${module}: unloaded`
      : `${module}: unloaded; ${ownPages} pages (${ownBytes} bytes) of its own are given back`;
  if (leaks.length === 0) return `${own}, and nothing it allocated is left\n`;
  const bytes = leaks.reduce((sum, leak) => sum + leak.bytes, 0);
  const lines = leaks.map((leak) => `  ${leak.bytes} bytes (${leak.kind}), taken in ${leak.where}\n`);
  const are = ownBytes === null ? 'are left' : 'are not';
  return `${own}, but ${leaks.length} allocations with ${bytes} bytes ${are}:\n${lines.join('')}`;
}

/** What stands is told by kind. */
function standingText(left: readonly Standing[]): string {
  if (left.length === 0) return '';
  const lines = left.map(({ what, name }) => `  ${what} ${printable(name)}\n`);
  return `it forgot to take back:\n${lines.join('')}`;
}

/** A run that is over. */
export interface EndedRun {
  /** As in tools/systems.ts. */
  readonly system: string;
  readonly release: string;
  readonly k: Kernel;
  readonly reports: readonly ModuleReport[];
  /** What modules registered that nobody here can put to use. */
  readonly registeredOnly: readonly Standing[];
  /** Of one system alone, for JSON: the taints of Linux. */
  readonly more?: Readonly<Record<string, unknown>>;
  /** What `--trace` has to say. */
  readonly looking: Readonly<Record<string, unknown>>;
}

/** The last lines of a run, or all of it as JSON; false when a function was reached that nobody wrote. */
export function tellEnd(context: CommandContext, run: EndedRun): boolean {
  const { system, release, k, reports, registeredOnly } = run;
  const missing = [...k.missing.values()];
  if (context.options.flag('json')) {
    context.json('lkm.run/1', {
      kernel: release,
      system,
      modules: reports,
      missing: missing.map(({ name, callers }) => ({ name, callers: Object.fromEntries(callers) })),
      registeredOnly,
      ...run.more,
      instructions: k.cpu.retired,
      log: k.log.records.map(({ time, level, text }) => ({ time: Math.round(time), level, text })),
      ...run.looking,
    });
  } else {
    for (const { name, callers } of missing)
      context.err(`missing function ${name}, called from ${[...callers.keys()].join(', ')}\n`);
    context.err(registeredText(registeredOnly));
    if (reports.some(({ module }) => module !== null))
      context.err(`${k.cpu.retired} instructions of machine code were executed\n`);
  }
  return missing.length === 0;
}

/** What was registered and could not be tried, one line a kind. */
function registeredText(registered: readonly Standing[]): string {
  const kinds = new Map<string, string[]>();
  for (const { what, name } of registered) kinds.set(what, [...(kinds.get(what) ?? []), name]);
  return [...kinds]
    .map(([what, names]) =>
      indented(`registered only: ${what} ${names.join(', ')} (nothing here can put it to use)`).trimStart(),
    )
    .join('');
}

export function indented(text: string): string {
  return wrap(printable(text), 76)
    .map((line) => `  ${line}\n`)
    .join('');
}
