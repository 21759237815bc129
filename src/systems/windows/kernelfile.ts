/** What drivers are checked against: a release, a machine, and what the kernel and its libraries export. */
import { Invalid } from '../../bytes/errors.ts';
import { readExports } from '../../formats/pe/exports.ts';
import { MACHINE } from '../../formats/pe/layout.ts';
import { isPe, readPe } from '../../formats/pe/read.ts';
import { readVersion } from '../../formats/pe/version.ts';
import { isKernelExport } from './export-names.ts';
import { RELEASES, type Release, releaseNamed } from './release.ts';

export interface WindowsKernelFile {
  readonly release: Release;
  readonly machine: 'x64' | 'x86' | 'arm64';
  /** By lower-case name without extension: `ntoskrnl`, `hal`, `ndis`. */
  readonly libraries: ReadonlyMap<string, ReadonlySet<string>>;
  /** False: the names are those that some release exports, not those of this one. */
  readonly exact: boolean;
}

const MAGIC = 'lkm-windows-kernel 1\n';
const MACHINES: ReadonlyMap<number, WindowsKernelFile['machine']> = new Map([
  [MACHINE.AMD64, 'x64'],
  [MACHINE.I386, 'x86'],
  [MACHINE.ARM64, 'arm64'],
]);

export const stemOf = (path: string): string =>
  path
    .slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1)
    .replace(/\.[^.]*$/, '')
    .toLowerCase();

/** By what it exports: an image that has both is a kernel, whatever it is called. */
export function isWindowsKernel(bytes: Uint8Array): boolean {
  if (isSaved(bytes)) return true;
  if (!isPe(bytes)) return false;
  const names = new Set(readExports(readPe(bytes))?.entries.map(({ name }) => name));
  return names.has('IoCreateDevice') && names.has('KeBugCheckEx') && names.has('ExAllocatePoolWithTag');
}

const isSaved = (bytes: Uint8Array): boolean =>
  new TextDecoder('latin1').decode(bytes.subarray(0, MAGIC.length)) === MAGIC;

/** The newest release that is not newer than a version. */
function releaseOf(major: number, minor: number, build: number): Release {
  const before = RELEASES.filter(
    (one) =>
      one.major < major ||
      (one.major === major && (one.minor < minor || (one.minor === minor && one.build <= build))),
  );
  const base = before.at(-1) ?? RELEASES[0];
  return { ...base, major, minor, build, title: `Windows ${major}.${minor}.${build}` };
}

/** @param files ntoskrnl.exe and what lies beside it, by path @throws FormatError */
export function readKernelFiles(files: readonly { path: string; bytes: Uint8Array }[]): WindowsKernelFile {
  const kernel = files.find(({ bytes }) => isWindowsKernel(bytes));
  if (kernel === undefined) throw new Invalid('Windows kernel', 'is not among these files');
  if (isSaved(kernel.bytes)) return readSaved(kernel.bytes);
  const pe = readPe(kernel.bytes);
  const machine = MACHINES.get(pe.header.machine);
  if (machine === undefined)
    throw new Invalid('Windows kernel', `is for machine 0x${pe.header.machine.toString(16)}`);
  const version = /^(\d+)\.(\d+)\.(\d+)/.exec(readVersion(pe)?.fileVersion ?? '');
  const [major, minor] = pe.header.osVersion;
  const release =
    version === null
      ? releaseOf(major, minor, 0)
      : releaseOf(Number(version[1]), Number(version[2]), Number(version[3]));
  const libraries = new Map<string, ReadonlySet<string>>();
  for (const { path, bytes } of files) {
    const image = bytes === kernel.bytes ? pe : readPe(bytes);
    const names = readExports(image)?.entries.flatMap(({ name }) => name ?? []) ?? [];
    libraries.set(bytes === kernel.bytes ? 'ntoskrnl' : stemOf(path), new Set(names));
  }
  return { release, machine, libraries, exact: true };
}

/** `builtin:windows-10`, `builtin:windows-7-x86`: the release's rules, with the names that any release exports. */
export function builtInKernel(name: string): WindowsKernelFile | undefined {
  const match = /^builtin:windows-(.+?)(?:-(x64|x86|arm64))?$/.exec(name);
  const release = match === null ? undefined : releaseNamed(match[1]);
  if (match === null || release === undefined) return undefined;
  return {
    release,
    machine: (match[2] as WindowsKernelFile['machine'] | undefined) ?? 'x64',
    libraries: new Map(),
    exact: false,
  };
}

/** Undefined: nobody knows that library here. */
export function exportsName(kernel: WindowsKernelFile, library: string, name: string): boolean | undefined {
  if (!kernel.exact) return library === 'ntoskrnl' || library === 'hal' ? isKernelExport(name) : undefined;
  const own = kernel.libraries.get(library);
  // Code moved between the two over the releases; each forwards to the other.
  if (library === 'hal' && own === undefined) return kernel.libraries.get('ntoskrnl')?.has(name) || undefined;
  return own?.has(name);
}

export function saveKernel({ release, machine, libraries }: WindowsKernelFile): Uint8Array {
  const facts = {
    release,
    machine,
    libraries: Object.fromEntries([...libraries].map(([key, set]) => [key, [...set]])),
  };
  return new TextEncoder().encode(`${MAGIC}${JSON.stringify(facts)}\n`);
}

function readSaved(bytes: Uint8Array): WindowsKernelFile {
  const text = new TextDecoder().decode(bytes.subarray(MAGIC.length));
  let facts: unknown;
  try {
    facts = JSON.parse(text);
  } catch {
    throw new Invalid('saved kernel', 'is cut or damaged');
  }
  const { release, machine, libraries } = facts as Partial<{
    release: Release;
    machine: WindowsKernelFile['machine'];
    libraries: Record<string, string[]>;
  }>;
  const whole =
    typeof release?.build === 'number' &&
    [...MACHINES.values()].some((one) => one === machine) &&
    libraries !== undefined;
  if (!whole || machine === undefined || release === undefined)
    throw new Invalid('saved kernel', 'lacks a part');
  const sets = Object.entries(libraries).map(([key, names]): [string, Set<string>] => [key, new Set(names)]);
  return { release, machine, libraries: new Map(sets), exact: true };
}
