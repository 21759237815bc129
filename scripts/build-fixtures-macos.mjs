// Builds fixtures/macos/*.c and *.cpp into kext bundles below fixtures/macos/built, which are committed, so that neither
// the tour nor the tests need a compiler. Run it after a source changes.
//
//   node scripts/build-fixtures-macos.mjs
//
// Needs clang. The bundles are linked by link-kext.mjs.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'plist';
import { linkKext } from './link-kext.mjs';
import { objectKext, universal } from './object-kext.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const sources = join(root, 'fixtures/macos');
const built = join(sources, 'built');

const KPI = { 'com.apple.kpi.libkern': '8.0.0', 'com.apple.kpi.bsd': '8.0.0' };
const IOKIT = { ...KPI, 'com.apple.kpi.iokit': '8.0.0' };

/** Bundles: what differs from the plain case. `code: false` = no executable. */
const bundles = {
  Hello: {},
  Board: { version: '1.2.3b4', libraries: IOKIT },
  Library: { version: '2.1', more: { OSBundleCompatibleVersion: '2.0' } },
  Client: { libraries: { ...KPI, 'org.lkm.Library': '2.0' } },
  Post: { libraries: { ...IOKIT, 'com.apple.kpi.dsep': '8.0.0' } },
  Refuser: {},
  Crasher: {},
  Stranger: {},
  Everyone: { source: 'Hello', more: { OSBundleAllowUserLoad: true } },
  Codeless: {
    code: false,
    more: {
      IOKitPersonalities: {
        Names: { IOClass: 'IOService', IOProviderClass: 'IOResources', IOMatchCategory: 'Codeless' },
      },
    },
  },
  Future: { source: 'Client', libraries: { ...KPI, 'org.lkm.Library': '3.0' } },
  // For the 32-bit kernels of 10.5 to 10.7, two of them for both machines.
  Board32: { source: 'Board', machine: 'i386', libraries: IOKIT },
  Shelf: { machine: 'both', libraries: IOKIT },
  Counter: { machine: 'i386', libraries: { ...KPI, 'com.apple.kpi.iokit': '8.0.0' } },
  Both: { source: 'Hello', machine: 'both' },
  ...(existsSync(join(sources, 'Lamp.cpp')) ? lamps() : {}),
};

function lamps() {
  return {
    Lamp: {
      libraries: { ...IOKIT, 'com.apple.kpi.mach': '8.0.0' },
      more: {
        IOKitPersonalities: {
          Lamp: {
            CFBundleIdentifier: 'org.lkm.Lamp',
            IOClass: 'org_lkm_Lamp',
            IOProviderClass: 'IOPlatformDevice',
            IONameMatch: 'lamp',
            IOProbeScore: 1000,
          },
        },
      },
    },
  };
}

const FLAGS = [
  ...['-mkernel', '-nostdinc', '-ffreestanding', '-fno-builtin', '-fno-common'],
  ...['-fno-stack-protector', '-fno-unwind-tables', '-fno-asynchronous-unwind-tables', '-fvisibility=hidden'],
  ...['-O1', '-Wall', '-Wextra', '-Werror', '-I', join(sources, 'include')],
];
const CXX = [
  '-nostdinc++',
  '-fno-exceptions',
  '-fno-rtti',
  '-fapple-kext',
  '-std=gnu++11',
  '-Wno-unused-private-field',
  '-Wno-non-virtual-dtor',
  '-Wno-overloaded-virtual',
  '-Wno-unused-parameter',
];

const I386 = { cputype: 7, cpusubtype: 3 };
const X86_64 = { cputype: 0x01000007, cpusubtype: 3 };

function compileFor(machine, name, folder) {
  if (machine !== 'both') return machine === 'i386' ? compile32(name, folder) : compile(name, folder);
  return universal([
    { ...I386, bytes: compile32(name, folder) },
    { ...X86_64, bytes: compile(name, folder) },
  ]);
}

function compile32(name, folder) {
  const object = join(folder, `${name}.o`);
  const target = ['-target', 'i386-apple-macosx10.6', '-static', '-mno-sse'];
  execFileSync('clang', [...target, ...FLAGS, '-c', join(sources, `${name}.c`), '-o', object], {
    stdio: 'inherit',
  });
  return objectKext(readFileSync(object));
}

function compile(name, folder) {
  const cpp = existsSync(join(sources, `${name}.cpp`));
  const object = join(folder, `${name}.o`);
  const source = join(sources, cpp ? `${name}.cpp` : `${name}.c`);
  const target = ['-target', 'x86_64-apple-macosx10.8'];
  execFileSync('clang', [...target, ...FLAGS, ...(cpp ? CXX : []), '-c', source, '-o', object], {
    stdio: 'inherit',
  });
  return linkKext([readFileSync(object)]);
}

function infoOf(name, { version = '1.0', libraries = KPI, more = {}, code = true }) {
  return {
    CFBundleIdentifier: `org.lkm.${name}`,
    CFBundleInfoDictionaryVersion: '6.0',
    CFBundleName: name,
    CFBundlePackageType: 'KEXT',
    CFBundleVersion: version,
    ...(code ? { CFBundleExecutable: name, OSBundleLibraries: libraries } : {}),
    ...more,
  };
}

const folder = mkdtempSync(join(tmpdir(), 'kext-'));
rmSync(built, { recursive: true, force: true });
for (const [name, options] of Object.entries(bundles)) {
  const contents = join(built, `${name}.kext`, 'Contents');
  mkdirSync(contents, { recursive: true });
  writeFileSync(join(contents, 'Info.plist'), `${build(infoOf(name, options))}\n`);
  if (options.code === false) continue;
  mkdirSync(join(contents, 'MacOS'));
  writeFileSync(join(contents, 'MacOS', name), compileFor(options.machine, options.source ?? name, folder), {
    mode: 0o755,
  });
}
rmSync(folder, { recursive: true });
console.log(`${Object.keys(bundles).length} bundles in ${built}`);
