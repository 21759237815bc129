// Object modules of VxWorks for test/real, from public repositories whose authors committed what they had built: course
// projects and an experiment's, compiled by Wind River's diab compiler and by GCC of several ages for the simulator (i386, ELF
// and COFF), for ARM and for PowerPC. They go to the cache and nowhere else.
//
//   node scripts/fetch-vxworks.mjs [CLONE...]
//
// Without arguments it clones the repositories with git; with them it takes clones that are there already, bare or not.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';

const REPOSITORIES = [
  'earth75/ESEVxWorks',
  'hexanome/IF-VxWorks',
  '4IF-H4202/VxWorks_Driver',
  'gravitezero/VxWorks-Driver',
  'vineethkartha/VxWorks',
  'AlexandreDejous/VxWorks_Projects',
  'LijingWan/besiii_cgem_vxworks',
];
/** What else ends in .o: programs for processes, kernels in pieces, and texts that an editor left. */
const ELSE = /_RTP_|\/simpc_vx\/|\/New_kernel\/|\.metadata/;
const cache = join(process.env.LKM_CACHE ?? join(homedir(), '.cache', 'lkm'), 'vxworks');
const git = (folder, ...words) =>
  execFileSync('git', ['-C', folder, ...words], { maxBuffer: 2 ** 28, stdio: ['ignore', 'pipe', 'inherit'] });

/** Every object file that any commit has; later versions of a path replace earlier ones. */
function take(clone, name) {
  let count = 0;
  const commits = git(clone, 'rev-list', '--reverse', '--all').toString().trim().split('\n');
  const seen = new Set();
  for (const commit of commits) {
    for (const line of git(clone, 'ls-tree', '-r', '-z', commit).toString().split('\0')) {
      const match = /^\d+ blob ([0-9a-f]+)\t(.*\.(?:o|out))$/.exec(line);
      if (match === null || seen.has(match[1]) || ELSE.test(`/${match[2]}`)) continue;
      seen.add(match[1]);
      const file = `${name}_${match[2]}`.replaceAll(/[/ ]/g, '_');
      try {
        writeFileSync(join(cache, file), git(clone, 'cat-file', 'blob', match[1]));
        count++;
      } catch {
        console.error(`${match[2]} is not in the clone`);
      }
    }
  }
  console.log(`${name}: ${count} object files`);
}

mkdirSync(cache, { recursive: true });
const given = process.argv.slice(2);
if (given.length > 0) {
  for (const clone of given)
    take(resolve(clone), basename(clone) === 'repo' ? basename(dirname(clone)) : basename(clone));
} else {
  const work = mkdtempSync(join(tmpdir(), 'vxworks-'));
  for (const repository of REPOSITORIES) {
    const clone = join(work, repository.replace('/', '+'));
    execFileSync('git', ['clone', '--quiet', '--bare', `https://github.com/${repository}`, clone], {
      stdio: 'inherit',
    });
    take(clone, basename(clone));
  }
  rmSync(work, { recursive: true });
}
