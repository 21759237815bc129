/**
 * Fetches Debian kernel image packages and unpacks them, without root and without touching the system's own package
 * database: apt runs on a private state directory, so any architecture can be asked for on any machine that has apt.
 *
 *   node scripts/fetch-debian.mjs amd64                 the default kernel of that architecture
 *   node scripts/fetch-debian.mjs amd64 cloud-amd64     other flavours (the name behind linux-image-)
 *   node scripts/fetch-debian.mjs amd64 linux-image-6.1.0-50-amd64     one package by its full name
 *   node scripts/fetch-debian.mjs amd64 package=NAME                   any other package
 *
 * Prints one directory a line: the unpacked package (boot/ and lib/modules/RELEASE/ are inside).
 * Environment: LKM_CACHE (default ~/.cache/lkm), LKM_DEBIAN_SUITE (default bookworm), LKM_DEBIAN_MIRROR,
 * LKM_DEBIAN_COMPONENTS (default main).
 * Exit: 0 done, 1 failed, 2 usage.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { MirrorIndex } from './mirror-index.mjs';

/** The image a plain installation of each Debian architecture gets. */
const DEFAULT_FLAVOUR = {
  amd64: 'amd64',
  arm64: 'arm64',
  i386: '686-pae',
  armhf: 'armmp',
  armel: 'marvell',
  ppc64el: 'powerpc64le',
  s390x: 's390x',
  mips64el: '5kc-malta',
  mipsel: '4kc-malta',
  riscv64: 'riscv64',
};

/** linux-image-6.1.0-56-amd64, but not linux-image-686-pae or linux-image-5kc-malta. */
const VERSIONED = /^linux-image-\d+\.\d/;

/** What a package that is no kernel is given as. */
const OTHER = 'package=';

const cache = join(process.env.LKM_CACHE ?? join(homedir(), '.cache', 'lkm'), 'debian');
const suite = process.env.LKM_DEBIAN_SUITE ?? 'bookworm';
const mirror = process.env.LKM_DEBIAN_MIRROR ?? 'http://deb.debian.org';
const components = process.env.LKM_DEBIAN_COMPONENTS ?? 'main';
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

const [architecture, ...flavours] = process.argv.slice(2);
if (architecture === undefined || !(architecture in DEFAULT_FLAVOUR)) {
  console.error(`usage: fetch-debian.mjs ${Object.keys(DEFAULT_FLAVOUR).join('|')} [FLAVOUR...]`);
  process.exit(2);
}
if (flavours.length === 0) flavours.push(DEFAULT_FLAVOUR[architecture]);

const sourcesOf = () => [
  [`${mirror}/debian`, suite],
  ...(suite === 'sid' ? [] : [[`${mirror}/debian-security`, `${suite}-security`]]),
];

/** Options that give apt its own lists, cache and (empty) installed set, for this architecture alone. */
function aptOptions() {
  const state = join(cache, 'apt', `${suite}-${architecture}${components === 'main' ? '' : '-more'}`);
  for (const folder of ['lists/partial', 'archives/partial'])
    mkdirSync(join(state, folder), { recursive: true });
  const sources = join(state, 'sources.list');
  const signed = existsSync(KEYRING) ? ` [signed-by=${KEYRING}]` : '';
  const lines = sourcesOf().map(([base, from]) => `deb${signed} ${base} ${from} ${components}`);
  writeFileSync(sources, lines.join('\n') + '\n');
  writeFileSync(join(state, 'status'), '');
  const settings = {
    'APT::Architecture': architecture,
    'APT::Architectures::': architecture,
    'Dir::State': state,
    'Dir::State::lists': join(state, 'lists'),
    'Dir::State::status': join(state, 'status'),
    'Dir::Cache': state,
    'Dir::Etc::sourcelist': sources,
    'Dir::Etc::sourceparts': '-',
    'APT::Sandbox::User': '',
  };
  return Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}

/** A mirror in the middle of its synchronisation fails for one of the two sources: the lists of the other will do. */
function update(options) {
  try {
    execFileSync('apt-get', [...options, '-q', 'update'], { stdio: ['ignore', 2, 2] });
  } catch {
    console.error(
      'fetch-debian: apt-get update failed for a source (see above); going on with the lists there are',
    );
  }
}

/** Without apt, where it refuses the lists of all sources. */
function unsignedIndex() {
  console.error(
    "fetch-debian: apt has no such package; reading the mirror's own index, which no signature covers",
  );
  const state = join(cache, 'apt', 'unsigned');
  mkdirSync(state, { recursive: true });
  const sources = sourcesOf().flatMap(([base, from]) =>
    components.split(' ').map((component) => [base, from, component]),
  );
  return new MirrorIndex(sources, architecture, state);
}

/** What a package depends on, from apt's lists or from the mirror's index (`index`). */
function dependsOf(options, name, index) {
  if (index !== undefined) return index.find(name)[0]?.get('Depends') ?? '';
  return execFileSync('apt-cache', [...options, 'depends', '--important', name], { encoding: 'utf8' });
}

/** A metapackage (linux-image-amd64) names the versioned package as its dependency; other names are taken as they are. */
function versionedName(options, flavour, index) {
  if (flavour.startsWith(OTHER)) return flavour.slice(OTHER.length);
  const name = flavour.startsWith('linux-image-') ? flavour : `linux-image-${flavour}`;
  if (VERSIONED.test(name)) return name;
  const found = /(linux-image-\d+\.\d[^\s,]+)/.exec(dependsOf(options, name, index));
  if (found === null)
    throw new Error(`${name} depends on no versioned kernel image in ${suite}/${architecture}`);
  return found[1].replace(/:.*/, '');
}

/** From Debian 14 on the image package is empty and depends on one with the image and one with the modules. */
function partsOf(options, name, index) {
  if (!name.startsWith('linux-image-')) return [name];
  const depends = dependsOf(options, name, index).split(/[\s,]+/);
  const release = name.slice('linux-image-'.length);
  const parts = [`linux-binary-${release}`, `linux-modules-${release}`];
  return [name, ...parts.filter((part) => depends.includes(part))];
}

function fetchAndUnpack(options, name, index) {
  const target = join(cache, name);
  const work = join(cache, `.partial-${name}-${process.pid}`);
  mkdirSync(work, { recursive: true });
  try {
    const parts = partsOf(options, name, index);
    if (index !== undefined) for (const part of parts) index.download(part, work);
    else
      execFileSync('apt-get', [...options, '-q', 'download', ...parts], {
        cwd: work,
        stdio: ['ignore', 2, 2],
      });
    for (const deb of readdirSync(work).filter((file) => file.endsWith('.deb'))) {
      execFileSync('dpkg-deb', ['-x', deb, 'root'], { cwd: work, stdio: ['ignore', 2, 2] });
    }
    // Renamed last, so that a directory that exists is whole.
    renameSync(join(work, 'root'), target);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return target;
}

/** The folder of a package, fetched unless it is there; by the mirror's own index when apt cannot. */
function fetched(options, flavour) {
  const get = (index) => {
    const name = versionedName(options, flavour, index);
    return existsSync(join(cache, name)) ? join(cache, name) : fetchAndUnpack(options, name, index);
  };
  try {
    return get(undefined);
  } catch (error) {
    console.error(`fetch-debian: ${error.message.split('\n')[0]}`);
    return get(unsignedIndex());
  }
}

mkdirSync(cache, { recursive: true });
try {
  const options = aptOptions();
  let updated = false;
  for (const flavour of flavours) {
    const exact = VERSIONED.test(flavour) ? flavour : undefined;
    if (exact !== undefined && existsSync(join(cache, exact))) {
      console.log(join(cache, exact));
      continue;
    }
    if (!updated) update(options);
    updated = true;
    console.log(fetched(options, flavour));
  }
} catch (error) {
  console.error(`fetch-debian: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
