/** What the load commands of a file say, field by field, under the names of mach-o/loader.h. */
import { cstring } from '../../bytes/cstring.ts';
import { LC, PLATFORM_NAMES } from './layout.ts';
import type { LoadCommand, MachoFile } from './read.ts';
import { uuidText } from './uuid.ts';

export type CommandFields = Readonly<Record<string, string | number>>;

/**
 * How a field is written: `u4`, `u8` numbers; `v` a packed version of three parts; `V` one of five; `n` sixteen characters;
 * `s` the offset of a text in the command; `id` sixteen bytes of a UUID; `_` four bytes that mean nothing.
 */
type Form = 'u4' | 'u8' | 'v' | 'V' | 'n' | 's' | 'id' | '_';
type Fields = readonly (readonly [name: string, form: Form])[];

const u4 = (...names: readonly string[]): Fields => names.map((name) => [name, 'u4'] as const);

const LINKEDIT_DATA = u4('dataoff', 'datasize');
const DYLD_INFO = u4(
  ...['rebase', 'bind', 'weak_bind', 'lazy_bind', 'export'].flatMap((kind) => [
    `${kind}_off`,
    `${kind}_size`,
  ]),
);
const VERSION_MIN: Fields = [
  ['version', 'v'],
  ['sdk', 'v'],
];
const DYLIB: Fields = [
  ['name', 's'],
  ['timestamp', 'u4'],
  ['current_version', 'v'],
  ['compatibility_version', 'v'],
];
const NAME: Fields = [['name', 's']];
const DYSYMTAB = u4(
  ...['ilocalsym', 'nlocalsym', 'iextdefsym', 'nextdefsym', 'iundefsym', 'nundefsym', 'tocoff', 'ntoc'],
  ...['modtaboff', 'nmodtab', 'extrefsymoff', 'nextrefsyms', 'indirectsymoff', 'nindirectsyms'],
  ...['extreloff', 'nextrel', 'locreloff', 'nlocrel'],
);
const ROUTINES = ['init_address', 'init_module'];

const FIELDS: ReadonlyMap<number, Fields> = new Map<number, Fields>([
  [LC.SYMTAB, u4('symoff', 'nsyms', 'stroff', 'strsize')],
  [LC.SYMSEG, u4('offset', 'size')],
  [LC.THREAD, u4('flavor', 'count')],
  [LC.UNIXTHREAD, u4('flavor', 'count')],
  [LC.DYSYMTAB, DYSYMTAB],
  [LC.LOAD_DYLIB, DYLIB],
  [LC.ID_DYLIB, DYLIB],
  [LC.LOAD_WEAK_DYLIB, DYLIB],
  [LC.REEXPORT_DYLIB, DYLIB],
  [LC.LAZY_LOAD_DYLIB, DYLIB],
  [LC.LOAD_UPWARD_DYLIB, DYLIB],
  [LC.LOAD_DYLINKER, NAME],
  [LC.ID_DYLINKER, NAME],
  [LC.DYLD_ENVIRONMENT, NAME],
  [LC.PREBOUND_DYLIB, NAME],
  [LC.ROUTINES, u4(...ROUTINES)],
  [LC.ROUTINES_64, ROUTINES.map((name) => [name, 'u8'] as const)],
  [LC.SUB_FRAMEWORK, [['umbrella', 's']]],
  [LC.SUB_UMBRELLA, [['sub_umbrella', 's']]],
  [LC.SUB_CLIENT, [['client', 's']]],
  [LC.SUB_LIBRARY, [['sub_library', 's']]],
  [LC.TWOLEVEL_HINTS, u4('offset', 'nhints')],
  [LC.PREBIND_CKSUM, u4('cksum')],
  [LC.UUID, [['uuid', 'id']]],
  [LC.RPATH, [['path', 's']]],
  [LC.CODE_SIGNATURE, LINKEDIT_DATA],
  [LC.SEGMENT_SPLIT_INFO, LINKEDIT_DATA],
  [LC.FUNCTION_STARTS, LINKEDIT_DATA],
  [LC.DATA_IN_CODE, LINKEDIT_DATA],
  [LC.DYLIB_CODE_SIGN_DRS, LINKEDIT_DATA],
  [LC.LINKER_OPTIMIZATION_HINT, LINKEDIT_DATA],
  [LC.DYLD_EXPORTS_TRIE, LINKEDIT_DATA],
  [LC.DYLD_CHAINED_FIXUPS, LINKEDIT_DATA],
  [LC.ATOM_INFO, LINKEDIT_DATA],
  [LC.ENCRYPTION_INFO, u4('cryptoff', 'cryptsize', 'cryptid')],
  [LC.ENCRYPTION_INFO_64, [...u4('cryptoff', 'cryptsize', 'cryptid'), ['pad', '_']]],
  [LC.DYLD_INFO, DYLD_INFO],
  [LC.DYLD_INFO_ONLY, DYLD_INFO],
  [LC.VERSION_MIN_MACOSX, VERSION_MIN],
  [LC.VERSION_MIN_IPHONEOS, VERSION_MIN],
  [LC.VERSION_MIN_TVOS, VERSION_MIN],
  [LC.VERSION_MIN_WATCHOS, VERSION_MIN],
  [LC.SOURCE_VERSION, [['version', 'V']]],
  [
    LC.MAIN,
    [
      ['entryoff', 'u8'],
      ['stacksize', 'u8'],
    ],
  ],
  [
    LC.BUILD_VERSION,
    [
      ['platform', 'u4'],
      ['minos', 'v'],
      ['sdk', 'v'],
      ['ntools', 'u4'],
    ],
  ],
  [LC.LINKER_OPTION, u4('count')],
  [
    LC.NOTE,
    [
      ['data_owner', 'n'],
      ['offset', 'u8'],
      ['size', 'u8'],
    ],
  ],
  [
    LC.FILESET_ENTRY,
    [
      ['vmaddr', 'u8'],
      ['fileoff', 'u8'],
      ['entry_id', 's'],
    ],
  ],
]);

const BYTES: Readonly<Record<Form, number>> = { u4: 4, u8: 8, v: 4, V: 8, n: 16, s: 4, id: 16, _: 4 };
const HEAD = 8;

/** The fields of one command; empty for segments (see `MachoFile.segments`) and for commands that nobody has published. */
export function commandFields(file: MachoFile, command: LoadCommand): CommandFields {
  const fields: Record<string, string | number> = {};
  const end = command.offset + command.size;
  let at = command.offset + HEAD;
  for (const [name, form] of FIELDS.get(command.cmd) ?? []) {
    // Older linkers wrote some commands shorter than today's headers have them.
    if (at + BYTES[form] > end) break;
    if (form !== '_') fields[name] = read(file, command, form, at);
    at += BYTES[form];
  }
  if (command.cmd === LC.BUILD_VERSION) {
    const platform = Number(fields.platform);
    fields.platform = PLATFORM_NAMES[platform] ?? platform;
  }
  return fields;
}

function read({ view }: MachoFile, { offset, size }: LoadCommand, form: Form, at: number): string | number {
  switch (form) {
    case 'u8':
      return view.s64(at);
    case 'v':
      return packedVersion(view.u32(at));
    case 'V':
      return sourceVersion(view.u64(at));
    case 'n':
      return cstring(view.bytes, at, at + 16);
    case 'id':
      return uuidText(view.slice(at, 16, 'LC_UUID'));
    case 's': {
      const text = view.u32(at);
      return text < size ? cstring(view.bytes, offset + text, offset + size) : '';
    }
    default:
      return view.u32(at);
  }
}

/** `10.13`, `10.14.6`: xxxx.yy.zz in nibbles; the last part only when it is not 0. */
export function packedVersion(value: number): string {
  const [major, minor, update] = [value >>> 16, (value >>> 8) & 0xff, value & 0xff];
  return update === 0 ? `${major}.${minor}` : `${major}.${minor}.${update}`;
}

/** A.B.C.D.E in 24, 10, 10, 10 and 10 bits; parts at the end that are 0 are left out, but for B. */
function sourceVersion(value: bigint): string {
  const part = (shift: bigint, mask: bigint): number => Number((value >> shift) & mask);
  const parts = [part(40n, 0xffffffn), ...[30n, 20n, 10n, 0n].map((shift) => part(shift, 0x3ffn))];
  while (parts.length > 2 && parts.at(-1) === 0) parts.pop();
  return parts.join('.');
}
