/**
 * What a test of test/real needs from the machine. A test whose need is missing is skipped, with a plain word of what to
 * fetch; with LKM_NO_SKIP=1 (continuous integration) it fails instead, so that nothing goes untested unseen.
 *
 *   describeWith(needs('debian-amd64'), 'the loader', (debian) => { ... debian.modules ... });
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { describe } from 'vitest';

export type Need = `debian-${keyof typeof FLAVOUR}`;

/** One unpacked Debian kernel package. */
export interface DebianKernel {
  readonly directory: string;
  /** `6.1.0-56-amd64` */
  readonly release: string;
  /** The folder lib/modules/RELEASE. */
  readonly modules: string;
  readonly vmlinuz: string;
  readonly config: string;
  readonly systemMap: string;
}

/** The end of the package's name by Debian architecture, as scripts/fetch-debian.mjs gets it by default. */
const FLAVOUR = {
  amd64: /^linux-image-(\d[\d.]*-\d+-amd64)$/,
  arm64: /^linux-image-(\d[\d.]*-\d+-arm64)$/,
  i386: /^linux-image-(\d[\d.]*-\d+-686(-pae)?)$/,
  armhf: /^linux-image-(\d[\d.]*-\d+-armmp)$/,
  ppc64el: /^linux-image-(\d[\d.]*-\d+-powerpc64le)$/,
  s390x: /^linux-image-(\d[\d.]*-\d+-s390x)$/,
  mips64el: /^linux-image-(\d[\d.]*-\d+-5kc-malta)$/,
} as const;

export const ARCHITECTURES = Object.keys(FLAVOUR) as (keyof typeof FLAVOUR)[];

/** Where downloads are kept. */
export function cacheDirectory(): string {
  return process.env.LKM_CACHE ?? join(homedir(), '.cache', 'lkm');
}

/** The newest unpacked kernel of that architecture, or undefined (after saying so) when there is none. */
export function needs(need: Need): DebianKernel | undefined {
  const architecture = need.slice('debian-'.length) as keyof typeof FLAVOUR;
  const parent = join(cacheDirectory(), 'debian');
  const found = (existsSync(parent) ? readdirSync(parent) : [])
    .map((name) => FLAVOUR[architecture].exec(name))
    .filter((match) => match !== null)
    .sort((a, b) => a[1].localeCompare(b[1], 'en', { numeric: true }))
    .at(-1);
  if (found === undefined)
    return missing(`a Debian ${architecture} kernel`, `node scripts/fetch-debian.mjs ${architecture}`);
  const directory = join(parent, found[0]);
  const release = found[1];
  // Some architectures install their image under another name (vmlinux-, or no file at all on a build without boot/).
  const boot = join(directory, 'boot');
  const images = existsSync(boot) ? readdirSync(boot).filter((name) => /^vmlinu[xz]-/.test(name)) : [];
  return {
    directory,
    release,
    modules: join(directory, 'lib', 'modules', release),
    vmlinuz: join(boot, images[0] ?? `vmlinuz-${release}`),
    config: join(boot, `config-${release}`),
    systemMap: join(boot, `System.map-${release}`),
  };
}

/**
 * Every unpacked amd64 kernel, whatever its flavour and release, oldest first; undefined (after saying so) when there is
 * none later than 6.1.
 */
export function needsOtherKernels(): Pick<DebianKernel, 'release' | 'modules' | 'vmlinuz'>[] | undefined {
  const parent = join(cacheDirectory(), 'debian');
  const releases = (existsSync(parent) ? readdirSync(parent) : [])
    .map((name) => /^linux-image-(\d.*-amd64)$/.exec(name)?.[1])
    .filter((release) => release !== undefined)
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  if (!releases.some((release) => !release.startsWith('6.1.')))
    return missing('a kernel later than 6.1', 'LKM_DEBIAN_SUITE=trixie node scripts/fetch-debian.mjs amd64');
  return releases.map((release) => {
    // From Debian 13 on, modules are below usr, from 14 on the image lies beside them.
    const root = join(parent, `linux-image-${release}`);
    const find = (...paths: string[]) =>
      paths.map((path) => join(root, path)).find((path) => existsSync(path));
    const modules = find(`lib/modules/${release}`, `usr/lib/modules/${release}`) ?? root;
    const vmlinuz = find(`boot/vmlinuz-${release}`, `usr/lib/modules/${release}/vmlinuz`) ?? root;
    return { release, modules, vmlinuz };
  });
}

/** Sources of Debian's dkms packages, and the headers that modules for this kernel are built with. */
export interface DkmsSources {
  /** Folders with a Makefile and C files, such as v4l2loopback-0.12.7. */
  readonly folders: readonly string[];
  readonly headers: string;
}

/** undefined (after saying so) when there are no such packages or headers. */
export function needsDkms(release: string): DkmsSources | undefined {
  const parent = join(cacheDirectory(), 'debian');
  const folders = (existsSync(parent) ? readdirSync(parent) : [])
    .filter((name) => name.endsWith('-dkms'))
    .map((name) => join(parent, name, 'usr', 'src'))
    .flatMap((sources) => readdirSync(sources).map((name) => join(sources, name)))
    .sort();
  if (folders.length === 0)
    return missing(
      'sources of dkms packages',
      'node scripts/fetch-debian.mjs amd64 package=v4l2loopback-dkms package=acpi-call-dkms',
    );
  const headers = `/usr/src/linux-headers-${release}`;
  if (!existsSync(join(headers, 'Module.symvers')))
    return missing(`headers of the kernel ${release}`, `apt-get install linux-headers-${release}`);
  return { folders, headers };
}

/** Folders with real Solaris drivers, by the machine they are for; undefined (after saying so) when there are none. */
export function needsSolarisDrivers(): { readonly amd64: string; readonly i386: string } | undefined {
  const folder = (isa: string) => join(cacheDirectory(), 'solaris', isa);
  if (existsSync(folder('amd64')) && existsSync(folder('i386')))
    return { amd64: folder('amd64'), i386: folder('i386') };
  return missing('drivers for Solaris', 'node scripts/fetch-solaris.mjs');
}

/** Paths of real VxWorks object modules; undefined (after saying so) when there are none. */
export function needsVxWorksModules(): string[] | undefined {
  const folder = join(cacheDirectory(), 'vxworks');
  const files = existsSync(folder) ? readdirSync(folder).sort() : [];
  if (files.length > 0) return files.map((name) => join(folder, name));
  return missing('object modules of VxWorks', 'node scripts/fetch-vxworks.mjs');
}

/** Drivers that vendors published, in folders below windows/: whatever of them is there. */
export function needsWindowsDrivers(): string[] | undefined {
  const parent = join(cacheDirectory(), 'windows');
  const found = (
    existsSync(parent) ? (readdirSync(parent, { recursive: true, encoding: 'utf8' }) as string[]) : []
  )
    .filter((name) => /\.sys$/i.test(name))
    .map((name) => join(parent, name))
    .sort();
  return found.length > 0
    ? found
    : missing('drivers of Windows', 'put .sys files of any vendor below ~/.cache/lkm/windows');
}

/** The program of today's kmod, which is newer than what distributions ship; undefined (after saying so) when it was not built. */
export function needsNewestKmod(): string | undefined {
  const program = process.env.LKM_KMOD ?? join(cacheDirectory(), 'kmod-head', 'build', 'kmod');
  return existsSync(program) ? program : missing("today's kmod", 'node scripts/fetch-kmod.mjs');
}

/** The name of a program that must be on the PATH, or undefined (after saying so) when it is not. */
export function needsTool(name: string): string | undefined {
  try {
    execFileSync('sh', ['-c', `command -v ${name}`], { stdio: 'ignore' });
    return name;
  } catch {
    return missing(`the program ${name}`, `apt-get install the package that has it`);
  }
}

/** All paths of module files below a directory, sorted. */
export function moduleFiles(directory: string): string[] {
  return (readdirSync(directory, { recursive: true, encoding: 'utf8' }) as string[])
    .filter((name) => /\.ko(\.(gz|xz|zst))?$/.test(name))
    .map((name) => join(directory, name))
    .sort();
}

/** A describe block that gets what it needs, or is skipped. */
export function describeWith<T>(needed: T | undefined, name: string, body: (needed: T) => void): void {
  if (needed === undefined) describe.skip(name, () => {});
  else describe(name, () => body(needed));
}

function missing(what: string, remedy: string): undefined {
  const message = `this test needs ${what} (${remedy})`;
  if (process.env.LKM_NO_SKIP === '1') throw new Error(message);
  // `npm test` collects these and says at its end what was left out.
  const log = process.env.LKM_SKIP_LOG;
  if (log) appendFileSync(log, `${JSON.stringify({ test: testFile(), reason: message })}\n`);
  else console.warn(`skipped: ${message}`);
  return undefined;
}

/** The test that is being collected: the first test file on the stack. */
function testFile(): string {
  return /(?<=\/)test\/[\w/.-]+\.test\.ts/.exec(new Error().stack ?? '')?.[0] ?? 'test/real';
}
