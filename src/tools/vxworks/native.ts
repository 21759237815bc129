/** VxWorks as the command line knows it: recognised, described, started. */

import { readCoffObject } from '../../formats/coff/object.ts';
import { isCoff } from '../../formats/coff/read.ts';
import { readElfObject } from '../../formats/elf/object.ts';
import type { ObjectFile } from '../../formats/object.ts';
import { describeModule, type VxDescription } from '../../systems/vxworks/describe.ts';
import { runsHere, type VxMachine } from '../../systems/vxworks/machines.ts';
import { bootVxWorks } from '../../systems/vxworks/registry.ts';
import {
  checkSettingNames,
  type Description,
  type ModuleFile,
  type NativeSystem,
  type SessionOptions,
  SettingError,
} from '../system.ts';
import { VxWorksSession } from './session.ts';

const SETTINGS = [
  { name: 'machine', summary: 'x86-64 or i386; by default that of the first file named' },
  {
    name: 'undefined',
    summary: 'keep (default): a module with undefined symbols stays loaded; refuse: it does not',
  },
  { name: 'clock-rate', summary: 'ticks a second of the system clock, 60 by default' },
  {
    name: 'typed',
    summary: 'what somebody types at the console, \\n for Enter; reads of more wait for ever',
  },
] as const;

/**
 * An object file says nothing of the system it is for. Names that only this kernel has decide; without any, it is the
 * likeliest system for an object file that no other claims.
 */
const TELLING =
  /^_?(taskSpawn|taskDelay|sem[BMC]Create|semTake|semGive|msgQ\w+|wdStart|wdCreate|logMsg|iosDrvInstall|iosDevAdd|sysClkRateGet|intConnect|kernelTimeSlice|vxTas|symFindByName|sysSymTbl|_?_[cd]tors|epicsThread\w+)$/;

function read(bytes: Uint8Array): ObjectFile {
  return isCoff(bytes) ? readCoffObject(bytes) : readElfObject(bytes);
}

function recognise({ bytes, path }: ModuleFile): number {
  if (bytes === undefined) return 0;
  try {
    const file = read(bytes);
    if (file.kind !== 'relocatable') return 0;
    if (file.sections.some(({ name }) => FOREIGN.test(name))) return 0;
    if (file.symbols.some(({ name }) => TELLING.test(name))) return 0.9;
    return /\.(o|out|munch)$/.test(path) ? 0.55 : 0.2;
  } catch {
    return 0;
  }
}

/** Sections that say whose module it is. */
const FOREIGN = /^(\.modinfo|\.gnu\.linkonce\.this_module|set_modmetadata_set|set_sysinit_set|\.SUNW_\w+)$/;

function describe({ bytes }: ModuleFile): Description {
  const file = read(bytes ?? new Uint8Array(0));
  const facts = describeModule(file);
  return { system: 'vxworks', rows: rowsOf(facts), lists: listsOf(facts), facts: { ...facts } };
}

const CONSTRUCTORS: Readonly<Record<VxDescription['constructors'], string>> = {
  munched: 'in the arrays _ctors and _dtors, as munch makes them',
  sections: 'in sections (.init_array, .ctors) that the loader of newer releases calls',
  'not munched': 'there are some, but the munch step was left out: nothing calls them',
  none: '',
};

function rowsOf(facts: VxDescription): [string, string][] {
  const order = facts.littleEndian ? 'little-endian' : 'big-endian';
  const { text, data, bss } = facts.sizes;
  const links =
    facts.link === undefined
      ? `${facts.relocations}, which are not applied here`
      : `${facts.relocations}; those of loaded sections, ${facts.link.applied}, can be applied`;
  return [
    ['is', 'VxWorks downloadable kernel module'],
    [
      'format',
      `${facts.format.toUpperCase()}, ${facts.bits} bit, ${order}, ${facts.kind}, for ${facts.machine}`,
    ],
    ['memory', `text ${text}, data ${data}, bss ${bss}: ${text + data + bss} bytes`],
    [
      'symbols',
      `${facts.defined.length} defined, ${facts.common.length} common, ${facts.needs.length} undefined`,
    ],
    ['relocations', links],
    ...(facts.link?.problems ?? []).map((problem): [string, string] => ['problem', problem]),
    ['constructors', CONSTRUCTORS[facts.constructors]],
    ['', xtorsText(facts.xtors)],
    ['compiler', facts.compilers.join('; ')],
    ['runs here', facts.runs ? 'yes' : 'no: described and, where its relocations are known, linked'],
  ];
}

function xtorsText({ constructors, destructors }: VxDescription['xtors']): string {
  const some = (names: readonly string[], what: string) =>
    names.length === 0 ? [] : [`${what} ${names.slice(0, 8).join(', ')}${names.length > 8 ? ' ...' : ''}`];
  return [...some(constructors, 'called after the load:'), ...some(destructors, 'before the unload:')].join(
    '; ',
  );
}

function listsOf(facts: VxDescription) {
  const commons = facts.common.map(({ name, size }) => `${name} (common, ${size} bytes)`);
  return [
    { name: 'imports', title: 'undefined symbols', rows: facts.needs },
    {
      name: 'exports',
      title: 'global symbols',
      rows: [
        ...facts.defined.filter(({ local }) => !local).map(({ name, kind }) => `${name} (${kind})`),
        ...commons,
      ],
    },
    {
      name: 'sections',
      title: 'sections',
      rows: facts.sections.map(({ name, size, segment }) => `${name} ${size}${segment ? ` ${segment}` : ''}`),
    },
  ];
}

/** The machine of the first file on the command line that runs here at all. */
function machineOf(named: readonly ModuleFile[]): VxMachine | undefined {
  for (const file of named) {
    if (recognise(file) === 0) continue;
    const { machine } = read(file.bytes ?? new Uint8Array(0));
    if (runsHere(machine)) return machine;
  }
  return undefined;
}

function settingsOf(settings: ReadonlyMap<string, string> = new Map(), named: readonly ModuleFile[] = []) {
  checkSettingNames('VxWorks', SETTINGS, settings);
  const machine = settings.get('machine') ?? machineOf(named) ?? 'x86-64';
  if (machine !== 'x86-64' && machine !== 'i386')
    throw new SettingError(`machine ${machine} does not run here`, 'x86-64 and i386 do');
  const undefinedSymbols = settings.get('undefined') ?? 'keep';
  if (undefinedSymbols !== 'keep' && undefinedSymbols !== 'refuse')
    throw new SettingError(`undefined=${undefinedSymbols} means nothing`, 'keep or refuse');
  const clockRate = Number(settings.get('clock-rate') ?? 60);
  if (!(Number.isInteger(clockRate) && clockRate > 0 && clockRate <= 10_000))
    throw new SettingError('clock-rate is a number of ticks a second', '1 to 10000');
  const typed = (settings.get('typed') ?? '').replaceAll('\\n', '\n');
  return { machine: machine as VxMachine, keepUndefined: undefinedSymbols === 'keep', clockRate, typed };
}

export const vxworks: NativeSystem = {
  name: 'vxworks',
  title: 'VxWorks',
  settings: SETTINGS,
  words: { instead: "--do 'FUNCTION ARGUMENT' calls a function of the module" },
  recognise,
  describe,
  start({ files, seed, engine, missing, settings, named }: SessionOptions) {
    const hostFile = (path: string) => files.offered?.(path);
    return new VxWorksSession(
      bootVxWorks({ ...settingsOf(settings, named), seed, engine, missing, hostFile }),
      files,
    );
  },
};
