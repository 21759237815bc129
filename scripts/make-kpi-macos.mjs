// Makes src/systems/macos/kpi.gen.ts: which KPI offers which symbol in which release, from the export lists that
// Apple publishes with each kernel (xnu, config/*.exports). Only the names and where they occur are kept.
//
//   node scripts/make-kpi-macos.mjs XNU.git
//
// XNU.git is a clone of the public repository with the kernels of scripts/xnu-kernels.mjs.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deflateSync } from 'fflate';
import { commitsOf, TAGS } from './xnu-kernels.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [repository] = process.argv.slice(2);

/** File name to the KPI's last word. */
const SETS = {
  BSDKernel: 'bsd',
  IOKit: 'iokit',
  Libkern: 'libkern',
  MACFramework: 'dsep',
  Mach: 'mach',
  Private: 'private',
  // What 32-bit kexts of old releases name: com.apple.kernel.6.0 and its like.
  System6_0: 'kernel',
  Unsupported: 'unsupported',
};
const ARCHITECTURES = { i386: ['10.5', '10.7'], x86_64: ['10.6', '15'], arm64: ['11', '15'] };

const git = (...args) =>
  execFileSync('git', ['-C', repository, ...args], { encoding: 'utf8', maxBuffer: 1 << 28 });
const order = Object.keys(TAGS).sort((a, b) => versionOf(a) - versionOf(b));
function versionOf(name) {
  const [major, minor = '0'] = name.split('.');
  return Number(major) * 100 + Number(minor);
}

const commits = commitsOf(repository);
const columns = [];
const masks = new Map();
for (const [architecture, [first, last]] of Object.entries(ARCHITECTURES)) {
  for (const release of order) {
    if (versionOf(release) < versionOf(first) || versionOf(release) > versionOf(last)) continue;
    const column = columns.push(`${architecture} ${release}`) - 1;
    const commit = commits.get(TAGS[release]) ?? TAGS[release];
    const files = git('ls-tree', '--name-only', commit, 'config/').trim().split('\n');
    for (const [set, kpi] of Object.entries(SETS)) {
      for (const suffix of ['', `.${architecture}`, `.${architecture}.MacOSX`]) {
        if (kpi === 'kernel' && architecture !== 'i386') continue;
        const path = `config/${set.replace('_', '.')}${suffix}.exports`;
        if (!files.includes(path)) continue;
        for (const line of git('show', `${commit}:${path}`).split('\n')) {
          const word = line.trim().split(/\s/)[0];
          if (!word.startsWith('_')) continue;
          const key = `${kpi} ${word}`;
          masks.set(key, (masks.get(key) ?? 0) | (1 << column));
        }
      }
    }
  }
}

// One line a KPI and mask: `KPI MASK name name ...`, each name after how many characters it shares with the one before.
const groups = new Map();
for (const [key, mask] of masks) {
  const [kpi, name] = key.split(' ');
  const group = `${kpi} ${mask.toString(36)}`;
  groups.set(group, [...(groups.get(group) ?? []), name]);
}
const lines = [columns.join(',')];
for (const [group, names] of [...groups].sort()) lines.push(`${group} ${names.sort().join(' ')}`);
const packed = Buffer.from(deflateSync(Buffer.from(lines.join('\n')), { level: 9 })).toString('base64');
const text = `// Made by scripts/make-kpi-macos.mjs; do not edit. Deflated text: kpi.ts says how it is read.
export const KPI_SYMBOLS =
  '${packed}';
`;
writeFileSync(join(root, 'src/systems/macos/kpi.gen.ts'), text);
console.log(`${masks.size} entries, ${columns.length} columns, ${packed.length} bytes`);
