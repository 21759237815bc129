/**
 * Modules of real releases, in ~/.cache/lkm/freebsd/FOLDER/*.ko with the linker.hints of their folder (any release, amd64
 * and i386). Every one is described; the index is written again as it is; and each starts and stops with its own code,
 * unless it needs what the base kernel lacks. LKM_FREEBSD_ALL=1 runs all of them instead of a sample.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readElfObject } from '../../src/formats/elf/object.ts';
import type { Machine } from '../../src/formats/object.ts';
import { bootFreeBsd } from '../../src/systems/freebsd/boot.ts';
import { builtWith } from '../../src/systems/freebsd/built-with.ts';
import { elfTarget, judgeShared } from '../../src/systems/freebsd/elf.ts';
import { type Hint, hintsOfFile, readHints, writeHints } from '../../src/systems/freebsd/hints.ts';
import { machineName } from '../../src/systems/freebsd/kernelfile.ts';
import { KldFile } from '../../src/systems/freebsd/kldfile.ts';
import { knownTypes } from '../../src/systems/freebsd/rules/relocations.ts';
import { linkApart } from '../../src/systems/freebsd/shared-image.ts';
import { kldload, kldstat, kldunload, performCall } from '../../src/systems/freebsd/syscalls.ts';
import { leaveOut } from '../leave-out.ts';
import { cacheDirectory } from '../real/require.ts';

const root = join(cacheDirectory(), 'freebsd');
const folders = existsSync(root)
  ? readdirSync(root).filter((name) => existsSync(join(root, name, 'linker.hints')))
  : [];
const isElf = (folder: string, name: string) =>
  readFileSync(join(root, folder, name))
    .subarray(1, 4)
    .toString() === 'ELF';
const modules = (folder: string) =>
  readdirSync(join(root, folder)).filter((name) => name.endsWith('.ko') && isElf(folder, name));
const read = (folder: string, name: string) => new Uint8Array(readFileSync(join(root, folder, name)));

/** All records from a file's first to the next file's: those of devices do not name it. */
function recordsOf(hints: readonly Hint[], name: string): Hint[] {
  let file = '';
  return hints.filter((hint) => {
    if ('file' in hint) file = hint.file;
    return file === name;
  });
}

/** Where a table has no text, kldxref of 14 writes whatever its buffer held (seen with mpr.ko and mps.ko). */
const withoutNulls = (hint: Hint): Hint =>
  hint.type !== 'pnp' || !/(^|;)D:/.test(hint.description)
    ? hint
    : { ...hint, values: hint.values.filter((value) => typeof value === 'number') };

/** All folders, those of single drivers and of other people's modules as well; the index is not asked for. */
const everywhere = existsSync(root)
  ? readdirSync(root).filter((name) => existsSync(join(root, name)) && modules(name).length > 0)
  : [];

/** What `readelf -W OPTION` prints, by lines. */
function readelf(option: string, folder: string, name: string): string[] {
  return execFileSync('readelf', ['-W', option, join(root, folder, name)], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', 'ignore'],
  }).split('\n');
}

const hasReadelf = spawnSync('readelf', ['--version']).status === 0;
const skip = leaveOut(
  import.meta.url,
  folders.length === 0 && 'no modules of FreeBSD releases below ~/.cache/lkm/freebsd',
);

describe.skipIf(skip)('modules of FreeBSD releases', () => {
  it.each(folders)('are described: %s', (folder) => {
    for (const name of modules(folder)) {
      const kld = new KldFile(readElfObject(read(folder, name)));
      expect(
        kld.metadata.every(({ kind }) => kind !== 'unknown'),
        name,
      ).toBe(true);
      kld.sysinits();
      kld.sysinits('sysuninit_set');
    }
  });

  it.runIf(hasReadelf).each(everywhere)(
    'are what readelf says they are: %s',
    { timeout: 300_000 },
    (folder) => {
      const all = modules(folder);
      const step = Math.max(1, Math.floor(all.length / 25));
      for (const name of all.filter((_, i) => i % step === 0)) {
        const object = readElfObject(read(folder, name));
        const sections = readelf('-S', folder, name).flatMap((line) => {
          const found = /^ {2}\[ *(\d+)\] (\S*)\s.*?\s([0-9a-f]{8,16}) ([0-9a-f]{6}) ([0-9a-f]{6}) /.exec(
            line,
          );
          return found === null ? [] : [[Number(found[1]), found[2], Number.parseInt(found[5], 16)]];
        });
        expect(sections.length, name).toBeGreaterThan(3);
        for (const [index, title, size] of sections.filter(([i]) => i !== 0)) {
          const one = object.sections[Number(index)];
          expect([one.name, one.size], `${name}, section ${index}`).toEqual([title, size]);
        }
        // A shared object is linked by its dynamic symbols.
        const table = object.kind === 'relocatable' ? '-s' : '--dyn-syms';
        const symbols = readelf(table, folder, name).flatMap((line) => {
          const found = /^ *(\d+): ([0-9a-f]+) +(\S+) (\S+) +(\S+) +\S+ +(?:\[.*?\] +)?(\S+) ?(\S*)/.exec(
            line,
          );
          return found === null
            ? []
            : [{ index: Number(found[1]), at: found[2], type: found[4], where: found[6] }];
        });
        expect(symbols.length, name).toBe(object.symbols.length);
        for (const { index, at, where } of symbols) {
          const { place, value } = object.symbols[index];
          expect(
            [place === 'undefined', BigInt.asUintN(object.bits, BigInt(value))],
            `${name}, symbol ${index}`,
          ).toEqual([where === 'UND', BigInt(`0x${at}`)]);
        }
      }
    },
  );

  it.each(everywhere)('link with stand-ins for what is missing: %s', { timeout: 300_000 }, (folder) => {
    const all = modules(folder);
    const step = Math.max(1, Math.floor(all.length / 25));
    for (const name of all.filter((_, i) => i % step === 0)) {
      const object = readElfObject(read(folder, name));
      if (object.machine !== 'i386' && object.machine !== 'x86-64') {
        linksApart(read(folder, name), object.machine);
        continue;
      }
      const said = logOfLoad(folder, name);
      expect(
        said.filter(
          (line) =>
            /undefined|relocation|unsupported/i.test(line) &&
            !/Unsupported file type|unsupported file type/.test(line),
        ),
        name,
      ).toEqual([]);
    }
  });

  it.each(folders)('give the records of the linker.hints that came with them: %s', (folder) => {
    const bytes = read(folder, 'linker.hints');
    const hints = readHints(bytes);
    expect(Buffer.compare(Buffer.from(writeHints(hints)), Buffer.from(bytes))).toBe(0);
    // Modules that were installed later are not in the index of the folder.
    const listed = modules(folder).filter((name) =>
      hints.some((hint) => 'file' in hint && hint.file === name),
    );
    expect(listed.length).toBeGreaterThan(modules(folder).length * 0.9);
    for (const name of listed) {
      const kld = new KldFile(readElfObject(read(folder, name)));
      const order = (kld.builtFor ?? 0) >= 1400000 ? 'first' : 'all';
      expect(hintsOfFile(kld, name, order).map(withoutNulls), name).toEqual(
        recordsOf(hints, name).map(withoutNulls),
      );
    }
  });

  it.each(folders)('start and stop with their own code: %s', { timeout: 600_000 }, (folder) => {
    const all = modules(folder);
    const step = process.env.LKM_FREEBSD_ALL === '1' ? 1 : Math.max(1, Math.floor(all.length / 40));
    const sample = all.filter((_, i) => i % step === 0);
    const done = sample.filter((name) => startsAndStops(folder, name));
    // Many need nothing that the base kernel lacks, on every release and machine seen.
    expect(done.length / sample.length).toBeGreaterThan(0.65);
  });
});

/** For a machine whose code does not run here: every relocation is one of its kernel's, and can be done. */
function linksApart(bytes: Uint8Array, machine: Machine): void {
  const target = elfTarget(machineName(machine));
  if (target === undefined) throw new Error(machine);
  const verdict = judgeShared(bytes, 'm.ko', target);
  if (!('elf' in verdict)) throw new Error(verdict.finding.why);
  linkApart(verdict.elf, 0x40000000, () => 0x1000, {
    known: knownTypes(machine, verdict.elf.kld.builtFor ?? 1200000),
    emptyPlace: false,
    fail: ({ kind, type }) => {
      throw new Error(`relocation type ${type}: ${kind}`);
    },
  });
}

/** What the kernel says while it loads a module with stand-ins for what is missing. */
function logOfLoad(folder: string, name: string): string[] {
  const kld = new KldFile(readElfObject(read(folder, name)));
  const files = {
    read(path: string) {
      const file = path.startsWith('/boot/kernel/') ? join(root, folder, path.slice(13)) : '';
      return file !== '' && existsSync(file) ? new Uint8Array(readFileSync(file)) : undefined;
    },
  };
  const bits = kld.file.machine === 'i386' ? 32 : 64;
  const version = kld.builtFor ?? builtWith(kld.file)?.version ?? 1001000;
  const booted = bootFreeBsd({ version, bits, files, modulePath: '/boot/kernel', missing: 'stand-in' });
  booted.k.scheduler.instructionBudget = 5_000_000;
  performCall(booted, 'kldload', kldload(booted, name));
  return booted.k.log.records.map(({ text }) => text);
}

function startsAndStops(folder: string, name: string): boolean {
  const kld = new KldFile(readElfObject(read(folder, name)));
  const version = kld.builtFor ?? builtWith(kld.file)?.version ?? 1001000;
  const files = {
    read(path: string) {
      const file = path.startsWith('/boot/kernel/') ? join(root, folder, path.slice(13)) : '';
      return file !== '' && existsSync(file) ? new Uint8Array(readFileSync(file)) : undefined;
    },
  };
  const bits = kld.file.machine === 'i386' ? 32 : 64;
  const booted = bootFreeBsd({ version, bits, files, modulePath: '/boot/kernel' });
  const loaded = performCall(booted, 'kldload', kldload(booted, name));
  if (loaded.outcome !== 'done') return false;
  const gone = performCall(booted, 'kldunload', kldunload(booted, loaded.value));
  return (
    gone.outcome === 'done' &&
    booted.k.missing.size === 0 &&
    !kldstat(booted).some((one) => one.name === name)
  );
}
