/** One screen about a kernel module: what its linker sets say, and what that means for where it loads. */
import type { ObjectFile } from '../../formats/object.ts';
import { builtWith } from '../../systems/freebsd/built-with.ts';
import type { KldFile, MetadataRecord } from '../../systems/freebsd/kldfile.ts';
import { lastOfMajor, releaseOf } from '../../systems/freebsd/version.ts';
import type { DescribedList, Description } from '../system.ts';

const KINDS = {
  relocatable: 'relocatable object (linked when it is loaded, by link_elf_obj)',
  shared: 'shared object (loaded by link_elf)',
  executable: 'executable',
  other: 'ELF file of another type',
} as const;

export function describeKld(kld: KldFile, path: string): Description {
  const { file, builtFor } = kld;
  const compiled = builtFor === undefined ? builtWith(file) : undefined;
  const imports = importsOf(file);
  const exports = exportsOf(file);
  const rows: (readonly [string, string])[] = [
    ['file', path],
    ['kind', KINDS[file.kind]],
    ['machine', `${file.machine}, ${file.bits} bits`],
    [
      'built for',
      builtFor === undefined
        ? 'any kernel: it declares no dependency on one'
        : `FreeBSD ${releaseOf(builtFor)} (${builtFor})`,
    ],
    ['loads on', builtFor === undefined ? '' : `kernels ${range(kld)}`],
    ...(compiled === undefined
      ? []
      : ([
          ['built with', `${compiled.evidence}: as FreeBSD ${releaseOf(compiled.version)} has it`],
        ] as const)),
    ...column(
      'modules',
      kld.modules.map((one) => (one.registered ?? one.name) + alias(one)),
    ),
    ...column(
      'interfaces',
      kld.versions.map(({ name, version }) => `${name} version ${version}`),
    ),
    ...column('depends on', kld.depends.filter(({ name }) => name !== 'kernel').map(dependText)),
    ...column(
      'devices',
      kld.pnp.map((one) => `${one.entries} on ${one.bus}: ${one.description}`),
    ),
    ['starts', starts(kld)],
    [
      'linker sets',
      kld
        .sets()
        .map(({ name, entries }) => `${name} (${entries})`)
        .join(', '),
    ],
  ];
  return {
    system: 'freebsd',
    rows,
    lists: lists(file, imports, exports),
    facts: factsOf(kld, imports, exports),
  };
}

const alias = ({ name, registered }: { name: string; registered: string | undefined }): string =>
  registered === undefined || registered === name ? '' : ` (declared as ${name})`;

function range(kld: KldFile): string {
  const on = kld.depends.find(({ name }) => name === 'kernel');
  if (on === undefined) return '';
  const whole = on.maximum === lastOfMajor(on.minimum);
  const until = whole ? `the last ${releaseOf(on.maximum).replace(/\..*/, '.x')}` : `${on.maximum}`;
  return `from ${releaseOf(on.minimum)} (${on.minimum}) to ${until}`;
}

function column(label: string, texts: readonly string[]): (readonly [string, string])[] {
  return texts.map((text, i) => [i === 0 ? label : '', text] as const);
}

const dependText = ({
  name,
  minimum,
  preferred,
  maximum,
}: {
  name: string;
  minimum: number;
  preferred: number;
  maximum: number;
}): string =>
  minimum === maximum
    ? `${name} version ${preferred}`
    : `${name} version ${preferred} (${minimum} to ${maximum})`;

/** Functions of the SYSINIT set, in the order the kernel runs them. */
function starts(kld: KldFile): string {
  const list = [...kld.sysinits()].sort((a, b) => a.subsystem - b.subsystem || a.order - b.order);
  return list.map((one) => one.function).join(', ');
}

function importsOf(file: ObjectFile): string[] {
  return file.symbols
    .filter(({ place, name }) => place === 'undefined' && name !== '' && !/^__(start|stop)_set_/.test(name))
    .map(({ name }) => name);
}

function exportsOf(file: ObjectFile): string[] {
  return file.symbols
    .filter(
      ({ place, binding, type, name }) =>
        place === 'section' && binding !== 'local' && type !== 'section' && name !== '',
    )
    .map(({ name }) => name);
}

function lists(file: ObjectFile, imports: readonly string[], exports: readonly string[]): DescribedList[] {
  const sections = file.sections.filter(({ name }) => name !== '');
  return [
    { name: 'imports', title: 'imports', rows: imports },
    { name: 'exports', title: 'exports', rows: exports },
    {
      name: 'sections',
      title: 'sections',
      rows: sections.map(({ name, size, writable, executable, allocated }) => {
        const flags = `${allocated ? 'A' : '-'}${writable ? 'W' : '-'}${executable ? 'X' : '-'}`;
        return `${name.padEnd(28)} ${`${size}`.padStart(9)} ${flags}`;
      }),
    },
  ];
}

function factsOf(kld: KldFile, imports: readonly string[], exports: readonly string[]): Description['facts'] {
  const { file } = kld;
  return {
    machine: file.machine,
    bits: file.bits,
    kind: file.kind,
    builtFor: kld.builtFor ?? null,
    builtWith: builtWith(file) ?? null,
    metadata: kld.metadata.map(plain),
    sysinits: kld.sysinits(),
    sysuninits: kld.sysinits('sysuninit_set'),
    linkerSets: kld.sets(),
    imports,
    exports,
    sections: file.sections.map(({ index, name, size, alignment }) => ({ index, name, size, alignment })),
  };
}

/** A record without its place in the file. */
function plain(record: MetadataRecord): Record<string, unknown> {
  if (record.kind !== 'pnp') return { ...record };
  const { kind, name, bus, description, entries, entryBytes } = record;
  return { kind, name, bus, description, entries, entryBytes };
}
