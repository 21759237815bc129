/**
 * Fetches the source of the newest kmod that Debian has (its unstable suite, below) and builds the program, for the tests
 * that compare the module tools with kmod's present: the distribution that runs here may ship one of years ago. Without root
 * and without touching the system's own package database. Needs apt-get, tar, meson, ninja, a C compiler and the headers of
 * libzstd, liblzma, zlib and libssl.
 *
 *   node scripts/fetch-kmod.mjs
 *
 * Prints the path of the program. Environment: LKM_CACHE (default ~/.cache/lkm), LKM_DEBIAN_MIRROR, LKM_KMOD_SUITE (default sid).
 * Exit: 0 done, 1 failed.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const cache = process.env.LKM_CACHE ?? join(homedir(), '.cache', 'lkm');
const suite = process.env.LKM_KMOD_SUITE ?? 'sid';
const mirror = process.env.LKM_DEBIAN_MIRROR ?? 'http://deb.debian.org';
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

const target = join(cache, 'kmod-head');
const program = join(target, 'build', 'kmod');
const quiet = { stdio: ['ignore', 2, 2] };

/** apt on a state of its own, with the sources of one suite. */
function aptOptions() {
  const state = join(cache, 'debian', 'apt', `${suite}-source`);
  for (const folder of ['lists/partial', 'archives/partial'])
    mkdirSync(join(state, folder), { recursive: true });
  const signed = existsSync(KEYRING) ? ` [signed-by=${KEYRING}]` : '';
  writeFileSync(join(state, 'sources.list'), `deb-src${signed} ${mirror}/debian ${suite} main\n`);
  writeFileSync(join(state, 'status'), '');
  const settings = {
    'Dir::State': state,
    'Dir::State::lists': join(state, 'lists'),
    'Dir::State::status': join(state, 'status'),
    'Dir::Cache': state,
    'Dir::Etc::sourcelist': join(state, 'sources.list'),
    'Dir::Etc::sourceparts': '-',
    'APT::Sandbox::User': '',
  };
  return Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}

function fetchAndBuild() {
  const work = join(cache, `.partial-kmod-${process.pid}`);
  mkdirSync(join(work, 'source'), { recursive: true });
  try {
    const options = aptOptions();
    execFileSync('apt-get', [...options, '-q', 'update'], quiet);
    execFileSync('apt-get', [...options, '-q', 'source', '--download-only', '--tar-only', 'kmod'], {
      cwd: work,
      ...quiet,
    });
    const archive = readdirSync(work).find((name) => /\.orig\.tar\.\w+$/.test(name));
    if (archive === undefined) throw new Error(`the source package of kmod in ${suite} has no .orig.tar`);
    execFileSync(
      'tar',
      ['-xf', join(work, archive), '-C', join(work, 'source'), '--strip-components=1'],
      quiet,
    );
    const set = ['-Dmanpages=false', '-Ddocs=false', '-Dbashcompletiondir=no', '-Dfishcompletiondir=no'];
    const words = [
      ...set,
      '-Dzshcompletiondir=no',
      '-Dbuild-tests=false',
      '-Ddistconfdir=/usr/lib',
      '-Dsysconfdir=/etc',
    ];
    execFileSync('meson', ['setup', ...words, 'build'], { cwd: join(work, 'source'), ...quiet });
    execFileSync('ninja', ['-C', 'build', 'kmod'], { cwd: join(work, 'source'), ...quiet });
    // Renamed last, so that a folder that exists is whole.
    rmSync(target, { recursive: true, force: true });
    renameSync(join(work, 'source'), target);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

try {
  if (!existsSync(program)) fetchAndBuild();
  console.log(program);
} catch (error) {
  console.error(`fetch-kmod: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
