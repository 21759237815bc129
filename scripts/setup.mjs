/**
 * What `npm start`, `npm test`, `npm run bench` and the build share: everything a fresh clone needs before the real work,
 * done only when it is not done yet. Uses nothing but Node itself, since it runs before anything is installed.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder that holds package.json. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

const MINIMUM_NODE = [20, 19];

/** Ends the process with a plain sentence when this Node is too old; the syntax here parses on much older ones. */
export function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > MINIMUM_NODE[0] || (major === MINIMUM_NODE[0] && minor >= MINIMUM_NODE[1])) return;
  console.error(`lkm needs Node ${MINIMUM_NODE.join('.')} or newer; this is Node ${process.versions.node}.`);
  console.error('Get one from https://nodejs.org/ or with your version manager (nvm install 20).');
  process.exit(2);
}

/** Installs the locked dependencies when node_modules does not hold exactly them. */
export function ensureDependencies() {
  const reason = staleDependencies();
  if (reason === undefined) return;
  console.error(`lkm: ${reason}: running npm ci`);
  const npm = process.env.npm_execpath;
  const quiet = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  // Inside `npm start` npm tells where it is; started by hand, the shell finds it (npm.cmd on Windows).
  const result = npm?.endsWith('.js')
    ? spawnSync(process.execPath, [npm, ...quiet], { cwd: root, stdio: ['ignore', 2, 2] })
    : spawnSync('npm', quiet, { cwd: root, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' });
  if (result.status === 0) return;
  const why = result.error ? result.error.message : `npm ci ended with ${result.status ?? result.signal}`;
  console.error(`lkm: the dependencies could not be installed: ${why}`);
  process.exit(1);
}

/** Compares the lock with npm's own record of what it installed; optional packages of other platforms may be absent. */
function staleDependencies() {
  const record = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(record)) return 'nothing is installed yet';
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const installed = JSON.parse(readFileSync(record, 'utf8')).packages;
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '' || entry.optional || entry.devOptional) continue;
    if (installed[path]?.version !== entry.version)
      return `${path} is not the locked version ${entry.version}`;
  }
  return undefined;
}

/** Builds dist/ when a source changed since the last build. */
export async function ensureBuilt() {
  const { build } = await import('./build.mjs');
  try {
    await build();
  } catch (error) {
    // esbuild has printed what is wrong, with file and line.
    console.error(error?.errors ? 'lkm: the build failed, see above' : error);
    process.exit(1);
  }
}

/** A digest of the names, sizes and times of everything the build reads: no file is opened to find nothing changed. */
export function fingerprint(folders, files) {
  const hash = createHash('sha256');
  const add = (path) => {
    const { size, mtimeMs } = statSync(path);
    hash.update(`${path}\0${size}\0${mtimeMs}\n`);
  };
  for (const folder of folders) for (const path of walk(join(root, folder))) add(path);
  for (const file of files) add(join(root, file));
  return hash.digest('hex');
}

/** Every file below a folder, sorted, so that two runs agree. */
function* walk(folder) {
  if (!existsSync(folder)) return;
  const entries = readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* walk(path);
    else yield path;
  }
}

/**
 * The environment for our own child processes. Node 20 reads NODE_EXTRA_CA_CERTS at every start, which more than
 * doubles the time to the first line; nothing of ours opens a TLS connection.
 */
export function childEnvironment(extra = {}) {
  const environment = { ...process.env, ...extra };
  delete environment.NODE_EXTRA_CA_CERTS;
  return environment;
}

/** Runs a Node script in the foreground and resolves to its exit code (128 + signal number is the shell's custom). */
export function runNode(args, extra) {
  const result = spawnSync(process.execPath, args, {
    cwd: process.cwd(),
    stdio: 'inherit',
    env: childEnvironment(extra),
  });
  if (result.error) throw result.error;
  return result.status ?? (result.signal === 'SIGINT' ? 130 : 1);
}
