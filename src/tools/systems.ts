/**
 * The systems besides Linux, each loaded when it is needed: the one place that knows which there are. A further
 * system is a line here, a line in cli/specs/systems.ts and, for its tour, a line in cli/tour/steps.ts.
 */
import type { ModuleFile, NativeSystem } from './system.ts';

export interface SystemEntry {
  readonly name: string;
  readonly title: string;
  /** Could this be one of its files? A look at the first bytes (or at the folder's name), before anything is loaded. */
  readonly sniff: (file: ModuleFile) => boolean;
  readonly load: () => Promise<NativeSystem>;
}

export const SYSTEMS: readonly SystemEntry[] = [
  {
    name: 'windows',
    title: 'Windows',
    sniff: ({ bytes }) => bytes !== undefined && bytes[0] === 0x4d && bytes[1] === 0x5a,
    load: async () => (await import('./windows/native.ts')).windows,
  },
  {
    name: 'freebsd',
    title: 'FreeBSD',
    sniff: (file) => isElf(file),
    load: async () => (await import('./freebsd/native.ts')).freebsd,
  },
  {
    name: 'netware',
    title: 'NetWare',
    sniff: ({ bytes }) => bytes !== undefined && bytes[0] === 0x4e && bytes[1] === 0x65 && bytes[7] === 0x20,
    load: async () => (await import('./netware/native.ts')).netware,
  },
  {
    name: 'vxworks',
    title: 'VxWorks',
    sniff: (file) => isElf(file) || isCoffObject(file),
    load: async () => (await import('./vxworks/native.ts')).vxworks,
  },
  {
    name: 'solaris',
    title: 'Solaris',
    sniff: (file) => isElf(file),
    load: async () => (await import('./solaris/native.ts')).solaris,
  },
  {
    name: 'macos',
    title: 'macOS',
    sniff: (file) =>
      isMachOFile(file) ||
      isArchive(file) ||
      /(^|\/)Info\.plist$/.test(file.path) ||
      (file.bytes === undefined && /\.kext\/*$/.test(file.path)),
    load: async () => (await import('./macos/native.ts')).macos,
  },
];

/** Mach-O files of either width and byte order, and universal files. */
const isMachOFile = ({ bytes }: ModuleFile): boolean => {
  if (bytes === undefined || bytes.length < 4) return false;
  const magic = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0);
  return [0xcafebabe, 0xcafebabf, 0xfeedface, 0xfeedfacf, 0xcefaedfe, 0xcffaedfe].includes(magic);
};

/** zip, tar and cpio by what they begin with; the others by their names, since anything may be compressed. */
const isArchive = ({ path, bytes }: ModuleFile): boolean => {
  if (bytes === undefined) return false;
  const text = (at: number, length: number): string =>
    String.fromCharCode(...bytes.subarray(at, at + length));
  return (
    text(0, 4) === 'PK\x03\x04' ||
    text(257, 5) === 'ustar' ||
    /^07070[127]$/.test(text(0, 6)) ||
    /\.(tgz|txz|tbz2?|tar\.\w+|cpio\.\w+|pax\.gz)$/i.test(path)
  );
};

/** COFF objects of machines that VxWorks ran on: i386, 68k, SuperH. */
const isCoffObject = ({ bytes }: ModuleFile): boolean => {
  const magic = bytes === undefined ? 0 : (bytes[0] << 8) | bytes[1];
  return [0x4c01, 0x0150, 0x0500, 0x5005].includes(magic);
};

/** Those that may be ELF files. */
export const isElf = ({ bytes }: ModuleFile): boolean =>
  bytes !== undefined && bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;

/** The system of that name. @throws RangeError when there is none */
export async function loadSystem(name: string): Promise<NativeSystem> {
  const entry = SYSTEMS.find((one) => one.name === name);
  if (entry === undefined) throw new RangeError(`there is no system '${name}'`);
  return entry.load();
}

/** Below this a system only says "it could be". */
const LIKELY = 0.5;

/** The system that is surest that the file is its own; undefined when none is. */
export async function recognise(file: ModuleFile): Promise<NativeSystem | undefined> {
  let best: NativeSystem | undefined;
  let surest = LIKELY;
  for (const entry of SYSTEMS) {
    if (!entry.sniff(file)) continue;
    const system = await entry.load();
    const sure = system.recognise(file);
    if (sure > surest) [best, surest] = [system, sure];
  }
  return best;
}
