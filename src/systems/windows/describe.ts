/** What a driver file says of itself. */
import { FormatError } from '../../bytes/errors.ts';
import { peChecksum } from '../../formats/pe/checksum.ts';
import { readDebug } from '../../formats/pe/debug.ts';
import { readRuntimeFunctions } from '../../formats/pe/exceptions.ts';
import { readExports } from '../../formats/pe/exports.ts';
import { readDelayImports, readImports } from '../../formats/pe/imports.ts';
import { DLL_CHARACTERISTICS, FILE, MACHINE_NAMES, SECTION } from '../../formats/pe/layout.ts';
import { readLoadConfig } from '../../formats/pe/loadconfig.ts';
import { type PeFile, readPe } from '../../formats/pe/read.ts';
import { readRelocations } from '../../formats/pe/relocations.ts';
import { readCertificates } from '../../formats/pe/security.ts';
import { readVersion } from '../../formats/pe/version.ts';
import { findControlCodes } from './control-codes/find.ts';
import { findNames } from './discover.ts';
import { examineSignature } from './signature/authenticode.ts';

export interface DescribedRows {
  readonly system: string;
  readonly rows: readonly (readonly [label: string, text: string])[];
  readonly lists: readonly {
    readonly name: string;
    readonly title: string;
    readonly rows: readonly string[];
  }[];
  readonly facts: Readonly<Record<string, unknown>>;
}

const hex = (value: number | bigint, digits = 1): string => `0x${value.toString(16).padStart(digits, '0')}`;

export function describeDriver(bytes: Uint8Array): DescribedRows {
  const pe = readPe(bytes);
  const facts = factsOf(pe);
  return { system: 'windows', rows: rowsOf(facts), lists: listsOf(facts), facts: { ...facts } };
}

type Facts = ReturnType<typeof factsOf>;

function factsOf(pe: PeFile) {
  const { header } = pe;
  const damage: string[] = [];
  /** A directory that cannot be read is told, and the others are shown: what was changed is what the reader wants to see. */
  const part = <T>(read: () => T, otherwise: T): T => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      damage.push(error.message);
      return otherwise;
    }
  };
  const version = part(() => readVersion(pe), undefined);
  const config = part(() => readLoadConfig(pe), undefined);
  const exports = part(() => readExports(pe), undefined);
  const imported = part(() => [...readImports(pe), ...readDelayImports(pe)], []);
  const imports = imported.map(({ library, delayed, imports: list }) => ({
    library,
    delayed,
    names: list.map(({ name, ordinal }) => name ?? `#${ordinal}`),
  }));
  const debug = part(() => readDebug(pe), { pdb: undefined, pdbId: undefined, reproducible: false });
  const has = (flag: number) => (header.dllCharacteristics & flag) !== 0;
  return {
    machine: MACHINE_NAMES.get(header.machine) ?? hex(header.machine),
    bits: header.bits,
    kind: kindOf(
      pe,
      imported.map(({ library }) => library),
      exports?.entries.map(({ name }) => name) ?? [],
    ),
    imageBase: header.imageBase,
    entryPoint: header.entryPoint,
    sizeOfImage: header.sizeOfImage,
    timeDateStamp: header.timeDateStamp,
    reproducible: debug.reproducible,
    osVersion: header.osVersion.join('.'),
    subsystemVersion: header.subsystemVersion.join('.'),
    subsystem: header.subsystem,
    linker: header.linkerVersion,
    checksum: { stored: header.checksum, computed: peChecksum(pe) },
    wdm: has(DLL_CHARACTERISTICS.WDM_DRIVER),
    forceIntegrity: has(DLL_CHARACTERISTICS.FORCE_INTEGRITY),
    guardCf: has(DLL_CHARACTERISTICS.GUARD_CF),
    dll: (header.characteristics & FILE.DLL) !== 0,
    version: version && {
      file: version.fileVersion,
      product: version.productVersion,
      strings: Object.fromEntries(version.strings),
    },
    pdb: debug.pdb,
    pdbId: debug.pdbId,
    securityCookie: config?.securityCookie ?? 0,
    relocations: part(() => readRelocations(pe).length, 0),
    functions: part(() => readRuntimeFunctions(pe).length, 0),
    signature: examineSignature(pe, []),
    certificates: part(() => readCertificates(pe), []).map(({ type, data }) => ({
      type,
      bytes: data.length,
    })),
    sections: pe.sections.map((s) => ({
      name: s.name,
      address: s.virtualAddress,
      size: s.virtualSize,
      raw: s.rawSize,
      flags: s.flags,
    })),
    imports,
    exports: (exports?.entries ?? []).map(({ name, ordinal, address, forwarder }) => ({
      name,
      ordinal,
      address,
      forwarder,
    })),
    names: part(() => findNames(pe), { devices: [], links: [] }),
    controlCodes: part(() => findControlCodes(pe), []),
    damage,
  };
}

/** What sort of driver: by what it imports and exports. */
function kindOf(pe: PeFile, imported: readonly string[], exported: readonly (string | undefined)[]): string {
  const libraries = imported.map((library) => library.toLowerCase().replace(/\.[^.]*$/, ''));
  const uses = (name: string) => libraries.includes(name);
  if (exported.includes('DllInitialize')) return 'export driver (a library of the kernel)';
  if (uses('wdfldr')) return 'KMDF driver';
  if (uses('fltmgr')) return 'file system minifilter';
  if (uses('ndis')) return 'NDIS driver';
  if (uses('storport') || uses('scsiport') || uses('ataport')) return 'storage miniport';
  if (uses('videoprt') || uses('dxgkrnl')) return 'display driver';
  if (uses('portcls')) return 'audio driver';
  if (uses('ks') || uses('stream')) return 'streaming driver';
  if (uses('smclib')) return 'smart card reader driver';
  if (uses('hidclass')) return 'HID minidriver';
  if (uses('classpnp')) return 'storage class driver';
  if (uses('ntdll') || uses('kernel32')) return 'image with user-mode imports (no kernel loads it)';
  return (pe.header.dllCharacteristics & DLL_CHARACTERISTICS.WDM_DRIVER) !== 0
    ? 'WDM driver'
    : 'kernel driver';
}

function rowsOf(facts: Facts): [string, string][] {
  const strings: Readonly<Record<string, string>> = facts.version?.strings ?? {};
  const { stored, computed } = facts.checksum;
  const sum =
    stored === 0
      ? 'none'
      : stored === computed
        ? `${hex(stored, 8)}, right`
        : `${hex(stored, 8)}, but the file adds up to ${hex(computed, 8)}`;
  const date = new Date(facts.timeDateStamp * 1000).toISOString().replace('.000Z', 'Z');
  const { state, detail } = facts.signature;
  const signed = state === 'none' ? 'not embedded' : state === 'valid' ? detail : `${state}: ${detail}`;
  return [
    ['is', `Windows ${facts.kind}`],
    ['for', `${facts.machine}, Windows ${facts.subsystemVersion} or later`],
    ['what', strings['FileDescription'] ?? ''],
    ['by', strings['CompanyName'] ?? ''],
    ['version', facts.version?.file ?? ''],
    [
      'linked',
      facts.timeDateStamp === 0
        ? ''
        : facts.reproducible
          ? `${hex(facts.timeDateStamp, 8)} (a hash, not a date)`
          : date,
    ],
    ['pdb', facts.pdb === undefined ? '' : `${facts.pdb} (${facts.pdbId})`],
    ['damage', facts.damage.join('; ')],
    ['checksum', sum],
    ['signature', signed],
    [
      'memory',
      `${facts.sizeOfImage} bytes in ${facts.sections.length} sections, ${facts.relocations} relocations`,
    ],
    ['imports', facts.imports.map(({ library, names }) => `${library} (${names.length})`).join(', ')],
  ];
}

function listsOf(facts: Facts) {
  const permissions = (flags: number) =>
    [
      (flags & SECTION.READ) !== 0 ? 'r' : '-',
      (flags & SECTION.WRITE) !== 0 ? 'w' : '-',
      (flags & SECTION.EXECUTE) !== 0 ? 'x' : '-',
      (flags & SECTION.DISCARDABLE) !== 0 ? ' discardable' : '',
    ].join('');
  return [
    { name: 'devices', title: 'device names', rows: facts.names.devices },
    { name: 'links', title: 'symbolic links', rows: facts.names.links },
    {
      name: 'signatures',
      title: 'signatures',
      rows: facts.signature.signatures.map(
        ({ place, algorithm, pageHashes, state, detail }) =>
          `${place}, ${algorithm}, ${state === 'valid' ? 'holds' : state}${pageHashes === 'hold' ? ', pages too' : ''}: ${detail}`,
      ),
    },
    {
      name: 'ioctls',
      title: 'control codes, as far as they can be found',
      rows: facts.controlCodes.map(({ text }) => text),
    },
    {
      name: 'imports',
      title: 'imports',
      rows: facts.imports.flatMap(({ library, names }) => names.map((name) => `${library}!${name}`)),
    },
    {
      name: 'exports',
      title: 'exports',
      rows: facts.exports.map(
        ({ name, ordinal, forwarder }) =>
          `${name ?? `#${ordinal}`}${forwarder === undefined ? '' : ` -> ${forwarder}`}`,
      ),
    },
    {
      name: 'sections',
      title: 'sections',
      rows: facts.sections.map(
        ({ name, address, size, flags }) =>
          `${name.padEnd(8)} ${hex(address, 6)} ${size} ${permissions(flags)}`,
      ),
    },
  ];
}
