/** The I/O Registry: showing it, and putting devices into it, which a real machine's buses do. */
import { hexOf } from '../../bytes/hex.ts';
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import type { Macos } from '../../systems/macos/macos.ts';
import { isDict, type PlistValue } from '../../systems/macos/plist.ts';
import { kernelClass } from '../../systems/macos/runtime/classes.ts';
import { dictionaryItems } from '../../systems/macos/runtime/collections.ts';
import { fromPlist, textOf, toPlist } from '../../systems/macos/runtime/objects.ts';
import { attach, childrenOf, enter, nameOf, newEntry, root } from '../../systems/macos/runtime/registry.ts';
import { describeEntry, platform, registerService, terminate } from '../../systems/macos/runtime/services.ts';
import { Answer, type Tool } from './answer.ts';
import type { MacosSession } from './session.ts';

const MAX_DEPTH = 64;
/** IDs of registry entries begin above those of the kernel's own. */
const FIRST_ID = 0x100000100n;

interface Line {
  readonly depth: number;
  readonly at: Address;
  readonly name: string;
  readonly className: string;
  readonly references: number;
}

function* lines(k: Macos, at: Address, depth: number, into: Line[]): Steps<void> {
  if (depth > MAX_DEPTH || into.length > 10_000) return;
  into.push({ depth, at, ...(yield* describeEntry(k, at)) });
  for (const child of childrenOf(k, at)) yield* lines(k, child, depth + 1, into);
}

/** A value as ioreg writes it. */
export function propertyText(value: PlistValue | undefined): string {
  if (value === undefined) return '<unknown>';
  if (typeof value === 'string') return `"${value}"`;
  if (typeof value === 'boolean') return value ? 'Yes' : 'No';
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (value instanceof Uint8Array) return `<${hexOf(value)}>`;
  if (Array.isArray(value)) return `(${(value as readonly PlistValue[]).map(propertyText).join(',')})`;
  if (!isDict(value)) return '<unknown>';
  return `{${Object.entries(value)
    .map(([key, one]) => `"${key}"=${propertyText(one)}`)
    .join(',')}}`;
}

const ioreg: Tool = {
  name: 'ioreg',
  usage: '[-l] [-c CLASS] [-n NAME]',
  summary: 'show the I/O Registry',
  run: (session, args) => {
    const answer = new Answer();
    const value = (option: string): string | undefined => {
      const at = args.indexOf(option);
      return at < 0 ? undefined : args[at + 1];
    };
    const [className, name] = [value('-c'), value('-n')];
    const all: Line[] = [];
    const { kernel } = session;
    session.perform('ioreg', lines(kernel, root(kernel), 0, all), answer);
    for (const [i, line] of all.entries()) {
      if (className !== undefined && line.className !== className) continue;
      if (name !== undefined && line.name !== name) continue;
      const indent = '  '.repeat(line.depth);
      const id = (FIRST_ID + BigInt(i)).toString(16);
      // The root is no service: it has no state of matching.
      const state = line.depth === 0 ? '' : ', registered, matched, active, busy 0';
      answer.print(
        `${indent}+-o ${line.name}  <class ${line.className}, id 0x${id}${state}, retain ${line.references}>`,
      );
      if (args.includes('-l') || className !== undefined || name !== undefined)
        properties(kernel, line, answer);
    }
    return answer.result();
  },
};

function properties(k: Macos, { at, depth }: Line, answer: Answer): void {
  const indent = '  '.repeat(depth);
  const table = k.read('IORegistryEntry.fPropertyTable', at);
  answer.print(`${indent}    {`);
  for (const { key, value } of dictionaryItems(k, table))
    answer.print(`${indent}      "${textOf(k, key)}" = ${propertyText(toPlist(k, value))}`);
  answer.print(`${indent}    }`);
}

/** `Keep=1` is a number, `Keep` alone true, anything else text. */
function valueFrom(text: string | undefined): PlistValue {
  if (text === undefined) return true;
  return /^(0x[0-9a-f]+|\d+)$/i.test(text) ? BigInt(text) : text;
}

function* appear(
  k: Macos,
  className: string,
  name: string,
  properties: ReadonlyMap<string, PlistValue>,
): Steps<void> {
  const at = newEntry(k, className, name);
  const table = k.read('IORegistryEntry.fPropertyTable', at);
  for (const [key, value] of properties) enter(k, table, key, fromPlist(k, value));
  attach(k, at, platform(k), 'IOService');
  k.write('OSObject.retainCount', at, k.read('OSObject.retainCount', at) - 1);
  yield* registerService(k, at);
}

const plug: Tool = {
  name: 'plug',
  usage: 'CLASS NAME [PROPERTY[=VALUE]]...',
  summary: 'let a device appear (ours: what a bus of a real machine does)',
  run: async (session, [className, name, ...rest]) => {
    const answer = new Answer();
    if (className === undefined || name === undefined) return usage(plug);
    const { kernel } = session;
    if (kernelClass(kernel, className) === undefined) {
      answer.code = 1;
      answer.explain(
        `this kernel has no class ${className}: IOPlatformDevice, IOPCIDevice, IOUSBHostDevice and IOService are good for a device`,
      );
      return answer.result();
    }
    const properties = new Map(
      rest.map((word): [string, PlistValue] => {
        const [key, ...value] = word.split('=');
        return [key, valueFrom(value.length === 0 ? undefined : value.join('='))];
      }),
    );
    session.perform('plug', appear(kernel, className, name, properties), answer);
    await session.autoload(answer);
    return answer.result();
  },
};

function* find(k: Macos, name: string, at: Address, depth = 0): Steps<Address | undefined> {
  if (depth > MAX_DEPTH) return undefined;
  for (const child of childrenOf(k, at)) {
    if ((yield* nameOf(k, child)) === name) return child;
    const below = yield* find(k, name, child, depth + 1);
    if (below !== undefined) return below;
  }
  return undefined;
}

/** The first entry of a name in the service plane. */
export function* findEntry(k: Macos, name: string): Steps<Address | undefined> {
  return yield* find(k, name, root(k));
}

function* vanish(k: Macos, name: string): Steps<boolean> {
  const at = yield* find(k, name, root(k));
  return at !== undefined && (yield* terminate(k, at));
}

const unplug: Tool = {
  name: 'unplug',
  usage: 'NAME',
  summary: 'take a device away (ours)',
  run: (session, [name]) => {
    if (name === undefined) return usage(unplug);
    const answer = new Answer();
    if (session.perform('unplug', vanish(session.kernel, name), answer) !== true) {
      answer.code = 1;
      answer.explain(`there is no device ${name}`);
    }
    return answer.result();
  },
};

const usage = (tool: Tool): ReturnType<MacosSession['writeFile']> => ({
  code: 64,
  out: '',
  err: `usage: ${tool.name} ${tool.usage}\n`,
});

export const REGISTRY_TOOLS: readonly Tool[] = [ioreg, plug, unplug];
