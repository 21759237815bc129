/** What llvm-readobj and osslsigncode say of a driver's file, in the words of ours, to be compared. */
import { spawnSync } from 'node:child_process';
import { readPe } from '../../src/formats/pe/read.ts';
import { describeDriver } from '../../src/systems/windows/describe.ts';
import type { SignatureFacts } from '../../src/systems/windows/rules/verdict.ts';

type Facts = ReturnType<typeof describeDriver>['facts'];

/** What both have to agree on. */
export interface ImageView {
  readonly header: Readonly<Record<string, string>>;
  readonly sections: readonly string[];
  /** `library!name`, sorted; nothing where the tool does not know the processor, for then it takes 8-byte entries for 4. */
  readonly imports: readonly string[] | undefined;
  readonly exports: readonly string[];
  readonly relocations: number;
  /** Nothing where the file has none, or one of the older form NB10, which the tool does not show. */
  readonly pdb: string | undefined;
}

const output = (tool: string, args: readonly string[]): string => said(tool, args).stdout;

const said = (tool: string, args: readonly string[]) =>
  spawnSync(tool, args, { encoding: 'latin1', maxBuffer: 2 ** 29, env: { ...process.env, LC_ALL: 'C' } });

/** The records `Kind {` ... `}` of llvm-readobj's output: their `Name: value` lines, in order. */
function records(text: string, kind: string): [string, string][][] {
  const found: [string, string][][] = [];
  let open: { readonly indent: string; readonly lines: [string, string][] } | undefined;
  for (const line of text.split('\n')) {
    if (open !== undefined && line === `${open.indent}}`) open = undefined;
    const start = /^( *)(\S+) \{$/.exec(line);
    if (open === undefined && start?.[2] === kind) {
      open = { indent: start[1], lines: [] };
      found.push(open.lines);
    }
    const match = /^ *(\w+)(?::| \[) ?(.*)$/.exec(line);
    if (open !== undefined && match !== null) open.lines.push([match[1], match[2]]);
  }
  return found;
}

const field = (lines: readonly [string, string][], name: string): string =>
  lines.find(([one]) => one === name)?.[1] ?? '';

const number = (text: string): string => BigInt(/0x[0-9a-f]+|\d+/i.exec(text)?.[0] ?? '-1').toString();
const inBrackets = (text: string): string => number(/\((0x[0-9a-f]+)\)?/i.exec(text)?.[1] ?? text);

export function readobjView(path: string): ImageView {
  const headers = output('llvm-readobj', ['--file-headers', '--sections', path]);
  const [file = []] = records(headers, 'ImageFileHeader');
  const [optional = []] = records(headers, 'ImageOptionalHeader');
  const pair = (name: string) => `${field(optional, `Major${name}`)}.${field(optional, `Minor${name}`)}`;
  // Each list alone: one that the tool breaks off over does not take the others with it.
  const imports = output('llvm-readobj', ['--coff-imports', path]);
  const exports = records(output('llvm-readobj', ['--coff-exports', path]), 'Export');
  const blocks = records(output('llvm-readobj', ['--coff-basereloc', path]), 'Entry');
  const debug = output('llvm-readobj', ['--coff-debug-directory', path]);
  return {
    header: {
      machine: inBrackets(field(file, 'Machine')),
      timeDateStamp: inBrackets(field(file, 'TimeDateStamp')),
      entryPoint: number(field(optional, 'AddressOfEntryPoint')),
      imageBase: number(field(optional, 'ImageBase')),
      sizeOfImage: number(field(optional, 'SizeOfImage')),
      subsystem: inBrackets(field(optional, 'Subsystem')),
      osVersion: pair('OperatingSystemVersion'),
      subsystemVersion: pair('SubsystemVersion'),
      linker: pair('LinkerVersion'),
    },
    sections: records(headers, 'Section').map((lines) =>
      [
        field(lines, 'Name').replace(/ \((?:[0-9A-F]{2} ?){8}\)$/, ''),
        ...['VirtualAddress', 'VirtualSize', 'RawDataSize'].map((name) => number(field(lines, name))),
        inBrackets(field(lines, 'Characteristics')),
      ].join(' '),
    ),
    imports: /^Arch: unknown/m.test(imports)
      ? undefined
      : [...records(imports, 'Import'), ...records(imports, 'DelayImport')]
          .flatMap((lines) => {
            const library = field(lines, 'Name');
            return lines
              .filter(([name]) => name === 'Symbol')
              .map(([, text]) => {
                const [, symbol, ordinal] = /^(.*?) ?\((\d+)\)$/.exec(text) ?? [];
                return `${library}!${symbol === '' ? `#${ordinal}` : symbol}`;
              });
          })
          .sort(),
    exports: exports
      .map((lines) => `${field(lines, 'Name')} ${field(lines, 'Ordinal')} ${number(field(lines, 'RVA'))}`)
      .sort(),
    relocations: blocks.filter((lines) => field(lines, 'Type') !== 'ABSOLUTE').length,
    pdb: /PDBFileName: (.*)/.exec(debug)?.[1],
  };
}

/** The same out of our description; `machine` is its number in the file. */
export function ownView(facts: Facts, machine: number): ImageView {
  const of = facts as unknown as OwnFacts;
  const one = (value: number | bigint) => BigInt(value).toString();
  return {
    header: {
      machine: one(machine),
      timeDateStamp: one(of.timeDateStamp),
      entryPoint: one(of.entryPoint),
      imageBase: one(of.imageBase),
      sizeOfImage: one(of.sizeOfImage),
      subsystem: one(of.subsystem),
      osVersion: of.osVersion,
      subsystemVersion: of.subsystemVersion,
      linker: of.linker,
    },
    sections: of.sections.map(({ name, address, size, raw, flags }) =>
      [name, address, size, raw, flags].join(' '),
    ),
    imports: of.imports.flatMap(({ library, names }) => names.map((name) => `${library}!${name}`)).sort(),
    exports: of.exports.map(({ name, ordinal, address }) => `${name ?? ''} ${ordinal} ${address}`).sort(),
    relocations: of.relocations,
    pdb: of.pdb,
  };
}

interface OwnFacts {
  readonly timeDateStamp: number;
  readonly entryPoint: number;
  readonly imageBase: bigint;
  readonly sizeOfImage: number;
  readonly subsystem: number;
  readonly osVersion: string;
  readonly subsystemVersion: string;
  readonly linker: string;
  readonly sections: readonly {
    readonly name: string;
    readonly address: number;
    readonly size: number;
    readonly raw: number;
    readonly flags: number;
  }[];
  readonly imports: readonly { readonly library: string; readonly names: readonly string[] }[];
  readonly exports: readonly {
    readonly name: string | undefined;
    readonly ordinal: number;
    readonly address: number;
  }[];
  readonly relocations: number;
  readonly pdb: string | undefined;
}

export interface SignedView {
  readonly digest: 'none' | 'fits' | 'differs';
  /** Hash of the file as it is, in capitals. */
  readonly hash: string;
  readonly algorithm: string;
}

/** @returns undefined when the tool could not make sense of the file */
export function signcodeView(path: string): SignedView | undefined {
  const { stdout: text, stderr } = said('osslsigncode', ['verify', '-in', path]);
  if (/No signature found/.test(text + stderr)) return { digest: 'none', hash: '', algorithm: '' };
  const part = (name: string) => new RegExp(`^${name} *: *(\\S+)`, 'm').exec(text)?.[1];
  const [algorithm, stored, computed] = [
    part('Message digest algorithm'),
    part('Current message digest'),
    part('Calculated message digest'),
  ];
  if (algorithm === undefined || stored === undefined || computed === undefined) return undefined;
  return { digest: stored === computed ? 'fits' : 'differs', hash: computed, algorithm };
}

/** Where our description of a file is not that of llvm-readobj; nothing: they agree. */
export function compareImage(path: string, bytes: Uint8Array): string[] {
  const own = ownView(describeDriver(bytes).facts, readPe(bytes).header.machine);
  const other = readobjView(path);
  return (Object.keys(own) as (keyof ImageView)[]).flatMap((part) => {
    if (other[part] === undefined) return [];
    const [a, b] = [JSON.stringify(own[part]), JSON.stringify(other[part])];
    return a === b ? [] : [`${part}: ours ${a.slice(0, 400)}, llvm-readobj ${b.slice(0, 400)}`];
  });
}

/** Which of our states goes with which answer of osslsigncode. */
const SAME: Readonly<Record<string, SignedView['digest']>> = {
  none: 'none',
  valid: 'fits',
  'bad hash': 'differs',
};

/** Where our verdict is not that of osslsigncode, or not the one wanted. */
export function compareSignature(
  path: string,
  bytes: Uint8Array,
  wanted?: SignatureFacts['state'],
): string[] {
  const { state, hashes, detail } = describeDriver(bytes).facts['signature'] as SignatureFacts;
  const other = signcodeView(path);
  const out: string[] = [];
  if (wanted !== undefined && state !== wanted) out.push(`${state} (${detail}), not ${wanted}`);
  if (SAME[state] !== other?.digest)
    out.push(`ours ${state} (${detail}), osslsigncode ${other?.digest ?? 'cannot tell'}`);
  if (other !== undefined && other.hash !== '' && !hashes.includes(other.hash.toLowerCase()))
    out.push(`ours ${hashes.join(', ')}, osslsigncode ${other.hash}`);
  return out;
}
