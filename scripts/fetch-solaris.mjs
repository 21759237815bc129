/**
 * Takes the Solaris drivers out of Debian's package virtualbox-guest-additions-iso (non-free), for test/real.
 *
 *   node scripts/fetch-solaris.mjs
 *
 * Needs apt and 7z. The drivers go to ~/.cache/lkm/solaris/amd64 and .../i386 (or below LKM_CACHE).
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PACKAGE = 'VBoxSolarisAdditions.pkg';
/** cpio archives of the "new ASCII" format (070701), headers of 110 bytes in hexadecimal. */
const MAGIC = '070701';
const HEADER = 110;

/** Every file of the archives in a package data stream. */
function* members(data) {
  for (let at = data.indexOf(MAGIC); at >= 0; at = data.indexOf(MAGIC, at)) {
    const field = (i) => Number.parseInt(data.toString('latin1', at + 6 + i * 8, at + 14 + i * 8), 16);
    const [size, nameSize] = [field(6), field(11)];
    const name = data.toString('latin1', at + HEADER, at + HEADER + nameSize - 1);
    const start = (at + HEADER + nameSize + 3) & ~3;
    yield { name, bytes: data.subarray(start, start + size) };
    at = start + size;
  }
}

const work = mkdtempSync(join(tmpdir(), 'solaris-'));
try {
  const fetched = execFileSync(
    'node',
    ['scripts/fetch-debian.mjs', 'amd64', 'package=virtualbox-guest-additions-iso'],
    {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
      env: { ...process.env, LKM_DEBIAN_SUITE: 'sid', LKM_DEBIAN_COMPONENTS: 'main contrib non-free' },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const unpacked = fetched.trim();
  const iso = readdirSync(unpacked, { recursive: true, encoding: 'utf8' }).find((name) =>
    name.endsWith('.iso'),
  );
  if (iso === undefined) throw new Error(`${unpacked} holds no .iso`);
  execFileSync('7z', ['x', '-y', `-o${work}`, join(unpacked, iso), PACKAGE], { stdio: 'ignore' });
  const cache = join(process.env.LKM_CACHE ?? join(homedir(), '.cache', 'lkm'), 'solaris');
  for (const { name, bytes } of members(readFileSync(join(work, PACKAGE)))) {
    const match = /usr\/kernel\/drv\/(amd64\/)?(\w+)$/.exec(name);
    if (match === null || bytes.length === 0 || bytes[0] !== 0x7f) continue;
    const directory = join(cache, match[1] === undefined ? 'i386' : 'amd64');
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, match[2]), bytes);
    console.log(join(directory, match[2]));
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
