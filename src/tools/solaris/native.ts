/** Solaris, as the command line reaches it. */
import { FormatError } from '../../bytes/errors.ts';
import { readElf } from '../../formats/elf/read.ts';
import {
  describeSolaris,
  recogniseSolaris,
  type SolarisDescription,
} from '../../systems/solaris/describe.ts';
import { moduleName } from '../../systems/solaris/modctl.ts';
import { ALGORITHMS } from '../../systems/solaris/signature.ts';
import type { Description, ModuleFile, NativeSystem } from '../system.ts';
import { boot } from './boot.ts';
import { solarisChecker } from './check/checker.ts';
import { SolarisSession } from './session.ts';
import { SETTINGS } from './settings.ts';

function recognise({ bytes }: ModuleFile): number {
  if (bytes === undefined) return 0;
  try {
    return recogniseSolaris(readElf(bytes));
  } catch (error) {
    if (error instanceof FormatError) return 0;
    throw error;
  }
}

function describe({ path, bytes }: ModuleFile): Description {
  const elf = readElf(bytes ?? new Uint8Array(0));
  const found = describeSolaris(elf);
  return {
    system: 'solaris',
    rows: rowsOf(path, found),
    lists: [
      {
        name: 'imports',
        title: 'Imports',
        rows: found.imports.map(({ name, weak }) => (weak ? `${name} (weak)` : name)),
      },
      { name: 'exports', title: 'Exports', rows: found.exports.map(({ name }) => name) },
      {
        name: 'sections',
        title: 'Sections',
        rows: elf.sections.slice(1).map(({ name, size }) => `${name} ${size}`),
      },
    ],
    facts: factsOf(path, found),
  };
}

function rowsOf(path: string, found: SolarisDescription): [string, string][] {
  const { linkages, dependencies, signatures, memory } = found;
  const rows: [string, string][] = [
    ['Name', moduleName(path)],
    ['System', `Solaris, ${found.isa}`],
    ['Belongs to', found.directory],
  ];
  for (const [i, { kind, text, registers }] of linkages.entries())
    rows.push([i === 0 ? 'Linkage' : '', `${kind}: ${text}${registers === '' ? '' : ` (as ${registers})`}`]);
  const how = dependencies.deprecated ? ' (by _depends_on)' : '';
  rows.push(['Needs', dependencies.names.length === 0 ? '' : dependencies.names.join(', ') + how]);
  rows.push(['Damage', [found.damage, found.signatureDamage].filter((one) => one !== undefined).join('; ')]);
  const missing = (['init', 'fini', 'info'] as const)
    .filter((name) => !found[name])
    .map((name) => `_${name}`);
  rows.push([
    'Lacks',
    missing.length === 0 ? '' : `${missing.join(', ')}${found.fini ? '' : ': it can never be unloaded'}`,
  ]);
  for (const [i, one] of signatures.entries())
    rows.push([
      i === 0 ? 'Signed by' : '',
      `${one.signer} (${ALGORITHMS[one.oid] ?? one.oid}, version ${one.version})`,
    ]);
  rows.push([
    'Memory',
    `text ${memory.text}, data ${memory.data}${memory.common > 0 ? `, common ${memory.common}` : ''} bytes`,
  ]);
  return rows;
}

function factsOf(path: string, found: SolarisDescription): Record<string, unknown> {
  const { damage, signatureDamage, ...rest } = found;
  return {
    name: moduleName(path),
    ...rest,
    damage: damage ?? null,
    signatureDamage: signatureDamage ?? null,
  };
}

export const solaris: NativeSystem = {
  name: 'solaris',
  title: 'Solaris',
  settings: SETTINGS,
  words: { instead: 'a module reads /etc/system and driver.conf: -s system=FILE' },
  recognise,
  describe,
  start: (options) => new SolarisSession(options),
  boot,
  checker: () => solarisChecker,
};
