// Records how a real kernel carries out test/golden/linux/steps/*.steps: boots Debian's kernel under QEMU with the
// fixtures, runs the steps, and writes one test/golden/linux/NAME.json each. See test/golden/linux/README.md.
//
//   node scripts/record-linux.mjs [--check] [--raw] [--jobs N] [--image DIR] [NAME...]
//
// --raw boots nothing and writes what was reported last time anew. --check writes nothing and exits 1 when a recording differs from what is stored. DIR holds boot/vmlinuz-* and
// lib/modules/*, as a linux-image package unpacks. Needs qemu-system-x86_64, gcc, busybox-static and kmod.
import { execFileSync, spawn } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { errnoOf, normalise } from '../test/real/linux-truth-normalise.mjs';
import { Archive } from './cpio.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const golden = join(root, 'test/golden/linux');
const sources = join(root, 'fixtures/linux');
const built = join(sources, 'built');
const raw = join(homedir(), '.cache/lkm/truth');
const MINUTES = 3;

function options(args) {
  const o = { names: [], check: false, raw: false, jobs: 1, image: undefined };
  for (let i = 0; i < args.length; i++) {
    if (args[i] === '--check') o.check = true;
    else if (args[i] === '--raw') o.raw = true;
    else if (args[i] === '--jobs') o.jobs = Number(args[++i]);
    else if (args[i] === '--image') o.image = args[++i];
    else o.names.push(args[i]);
  }
  o.image ??= matchingImage();
  return o;
}

/** The unpacked package of the kernel that the fixtures were built for. */
function matchingImage() {
  const hello = readFileSync(join(built, 'hello.ko'), 'latin1');
  const release = /vermagic=(\S+)/.exec(hello)[1];
  const image = join(homedir(), '.cache/lkm/debian', `linux-image-${release}`);
  if (!existsSync(join(image, 'boot')))
    throw new Error(`no unpacked package in ${image}; give one with --image`);
  return image;
}

function addProgram(archive, path, as) {
  archive.file(as, readFileSync(path));
  const libraries = execFileSync('ldd', [path], { encoding: 'utf8' }).matchAll(/(\/\S+) \(0x/g);
  for (const [, library] of libraries) {
    if (archive.seen.has(library)) continue;
    archive.seen.add(library);
    archive.file(library.slice(1), readFileSync(library));
  }
}

function baseArchive(image, release, work) {
  const archive = new Archive();
  for (const d of ['proc', 'sys', 'dev', 'tmp', 'mnt', 'run', 'etc']) archive.directory(d);
  const agent = join(work, 'agent');
  execFileSync('gcc', ['-static', '-O1', '-s', '-o', agent, join(root, 'test/real/linux-truth-agent.c')]);
  archive.file('init', readFileSync(agent));
  archive.file('bin/busybox', readFileSync('/bin/busybox'));
  const ours = new Set(['insmod', 'rmmod', 'lsmod', 'modinfo', 'modprobe', 'depmod', 'busybox', 'sh']);
  for (const applet of execFileSync('/bin/busybox', ['--list'], { encoding: 'utf8' }).split('\n')) {
    if (applet && !ours.has(applet)) archive.link(`bin/${applet}`, 'busybox');
  }
  // Not busybox's own shell: that one prefers its own insmod, which tries twice, to kmod's.
  addProgram(archive, '/bin/dash', 'bin/dash');
  archive.link('bin/sh', 'dash');
  addProgram(archive, execFileSync('which', ['kmod'], { encoding: 'utf8' }).trim(), 'bin/kmod');
  for (const tool of ours) if (tool !== 'busybox' && tool !== 'sh') archive.link(`sbin/${tool}`, '/bin/kmod');

  const tree = `lib/modules/${release}`;
  const stage = join(work, 'stage');
  mkdirSync(join(stage, tree, 'extra'), { recursive: true });
  for (const f of readdirSync(built)) {
    const bytes = readFileSync(join(built, f));
    archive.file(`${tree}/extra/${f}`, bytes);
    // Damaged copies have no source of their own; depmod would stumble over them.
    if (existsSync(join(sources, `${basename(f, '.ko')}.c`)))
      writeFileSync(join(stage, tree, 'extra', f), bytes);
  }
  execFileSync('depmod', ['-b', stage, release], { stdio: 'ignore' });
  for (const f of readdirSync(join(stage, tree))) {
    if (f.startsWith('modules.')) archive.file(`${tree}/${f}`, readFileSync(join(stage, tree, f)));
  }
  archive.link('fixtures', `/${tree}/extra`);
  archive.image = image;
  return archive;
}

/** Modules of the distribution that the steps name as intree/NAME.ko. */
function addInTree(image, release, steps) {
  const wanted = new Set([...steps.matchAll(/intree\/(\S+)\.ko/g)].map((m) => m[1]));
  if (wanted.size === 0) return [];
  const parts = [];
  const walk = (dir) => {
    for (const f of readdirSync(dir)) {
      const path = join(dir, f);
      const s = lstatSync(path);
      if (s.isSymbolicLink() && !existsSync(readlinkSync(path))) continue;
      if (s.isDirectory()) walk(path);
      else if (f.endsWith('.ko') && wanted.delete(f.slice(0, -3))) parts.push([f, readFileSync(path)]);
    }
  };
  walk(join(image, 'lib/modules', release, 'kernel'));
  if (wanted.size > 0) throw new Error(`not in the image: ${[...wanted].join(' ')}`);
  return parts;
}

function header(text, word) {
  return new RegExp(`^@${word} (.*)$`, 'm').exec(text)?.[1];
}

/** Boots once and gives what came out of the two serial ports. */
async function boot(vmlinuz, initrd, commandLine, cpus, work, name) {
  const report = join(work, `${name}.report`);
  const consoleFile = join(work, `${name}.console`);
  const ramdisk = join(work, `${name}.cpio`);
  writeFileSync(ramdisk, initrd);
  const args = [
    '-machine',
    'accel=tcg',
    '-cpu',
    'max,la57=off',
    '-smp',
    String(cpus),
    '-m',
    '512',
    '-display',
    'none',
  ];
  args.push(
    '-no-reboot',
    '-monitor',
    'none',
    '-nic',
    'none',
    '-kernel',
    vmlinuz,
    '-initrd',
    ramdisk,
    '-append',
    commandLine,
  );
  // A fixed date, since `ls -l` shows it.
  args.push(
    '-rtc',
    'base=2026-01-01T12:00:00',
    '-serial',
    `file:${consoleFile}`,
    '-serial',
    `file:${report}`,
  );
  const child = spawn('qemu-system-x86_64', args, { stdio: ['ignore', 'inherit', 'inherit'] });
  const timer = setTimeout(() => child.kill('SIGKILL'), MINUTES * 60_000);
  // A machine with a hanging processor reports, but never powers off.
  const watch = setInterval(() => {
    if (existsSync(report) && /^@(?:done|stuck)/m.test(readFileSync(report, 'latin1'))) child.kill('SIGKILL');
  }, 300);
  await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  clearTimeout(timer);
  clearInterval(watch);
  rmSync(ramdisk);
  const read = (f) => (existsSync(f) ? readFileSync(f, 'latin1').replaceAll('\r', '') : '');
  return { report: read(report), console: read(consoleFile) };
}

/** /dev/kmsg writes bytes that cannot be printed as \\xNN. */
function unescapeLog(text) {
  return text.replace(/\\x([0-9a-f]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function parseReport(text) {
  const steps = [];
  let step;
  let done = false;
  for (const line of text.split('\n')) {
    const m = /^@(\w+) ?(.*)$/.exec(line);
    if (!m) continue;
    const [, word, rest] = m;
    if (word === 'done') done = true;
    else if (word === 'step')
      steps.push((step = { do: rest, rc: null, output: [], log: [], modules: [], taint: null }));
    else if (!step) continue;
    else if (word === 'rc') step.rc = Number(rest);
    else if (word === 'errno') step.errno = Number(rest);
    else if (word === 'out') step.output.push(normalise(rest));
    else if (word === 'module') step.modules.push(normalise(rest));
    else if (word === 'taint') step.taint = Number(rest);
    else if (word === 'log') {
      const message = unescapeLog(rest.slice(2));
      // Other noise of the machine, and the guesses of a backtrace, which differ from run to run.
      if (!/^(?:tsc|clocksource|random|input): |^ \? /.test(message)) {
        step.log.push({ level: Number(rest[0]), text: normalise(message) });
      }
    }
  }
  return { steps, done };
}

/** What the console said after the last line of the log that still got out: the report of a panic. */
function lastWords(consoleText, steps) {
  const lines = consoleText.split('\n').map((l) => normalise(l.replace(/^\[ *\d+\.\d+\] ?/, '')));
  const last = steps.flatMap((s) => s.log).at(-1)?.text;
  const from = last === undefined ? 0 : lines.lastIndexOf(last) + 1;
  return lines.slice(from).filter((l) => l !== '' && !l.startsWith(' ? '));
}

function transcript(name, text, release, outcome) {
  const { steps, done } = parseReport(outcome.report);
  const result = {
    name,
    title: header(text, 'title') ?? name,
    kernel: release,
    commandLine: header(text, 'kernel') ?? '',
    steps: steps.map((s) => {
      const output = s.output.join('\n');
      const errno = s.rc === 0 ? 0 : (s.errno ?? errnoOf(output) ?? null);
      return { do: s.do, rc: s.rc, errno, output, log: s.log, modules: s.modules, taint: s.taint };
    }),
  };
  if (!done) result.died = lastWords(outcome.console, result.steps);
  return result;
}

/** JSON with one line for each step's log line, so that differences can be read. */
function format(value) {
  const j = JSON.stringify;
  const list = (items, indent) =>
    items.length === 0 ? '[]' : `[\n${items.map((i) => `${indent}  ${j(i)}`).join(',\n')}\n${indent}]`;
  const step = (s) =>
    `    {\n      "do": ${j(s.do)},\n      "rc": ${s.rc}, "errno": ${s.errno}, "taint": ${s.taint},\n` +
    `      "output": ${j(s.output)},\n      "log": ${list(s.log, '      ')},\n      "modules": ${list(s.modules, '      ')}\n    }`;
  const { steps, died, ...head } = value;
  const lines = Object.entries(head).map(([k, v]) => `  ${j(k)}: ${j(v)}`);
  lines.push(`  "steps": [\n${steps.map(step).join(',\n')}\n  ]`);
  if (died) lines.push(`  "died": ${list(died, '  ')}`);
  return `{\n${lines.join(',\n')}\n}\n`;
}

/** Boots the machine for one steps file. What it reported is kept as it came, outside the repository. */
async function carryOut(name, text, context) {
  const { vmlinuz, release, base, image, work } = context;
  const tail = new Archive();
  tail.file('steps', Buffer.from(text));
  for (const [f, bytes] of addInTree(image, release, text)) {
    tail.file(`lib/modules/${release}/extra/intree/${f}`, bytes);
  }
  const commandLine =
    `console=ttyS0 nokaslr no_timer_check randomize_kstack_offset=off panic=-1 reboot=t quiet ${header(text, 'kernel') ?? ''}`.trim();
  const initrd = Buffer.concat([base.bytes, tail.finish()]);
  const cpus = Number(header(text, 'cpus') ?? 1);
  let outcome = await boot(vmlinuz, initrd, commandLine, cpus, work, name);
  // On a busy host the virtual timer can come too late for the kernel's own checks, long before the first step.
  for (let again = 0; again < 2 && !outcome.report.includes('@step'); again++) {
    outcome = await boot(vmlinuz, initrd, commandLine, cpus, work, name);
  }
  mkdirSync(raw, { recursive: true });
  writeFileSync(join(raw, `${name}.report`), outcome.report);
  writeFileSync(join(raw, `${name}.console`), outcome.console);
  return outcome;
}

async function record(name, context) {
  const text = readFileSync(join(golden, 'steps', `${name}.steps`), 'utf8');
  const kept = (kind) => readFileSync(join(raw, `${name}.${kind}`), 'utf8');
  const outcome = context.raw
    ? { report: kept('report'), console: kept('console') }
    : await carryOut(name, text, context);
  const expected = text.split('\n').filter((l) => l && !/^[#@]/.test(l)).length;
  const result = transcript(name, text, context.release, outcome);
  if (!('died' in result) && result.steps.length !== expected) {
    throw new Error(`${name}: ${result.steps.length} of ${expected} steps`);
  }
  return { result, text: format(result) };
}

async function main() {
  const o = options(process.argv.slice(2));
  const vmlinuz = join(
    o.image,
    'boot',
    readdirSync(join(o.image, 'boot')).find((f) => f.startsWith('vmlinuz-')),
  );
  const release = basename(vmlinuz).slice('vmlinuz-'.length);
  const all = readdirSync(join(golden, 'steps')).map((f) => basename(f, '.steps'));
  const names = (o.names.length > 0 ? o.names : all).sort();
  const work = mkdtempSync(join(tmpdir(), 'record-'));
  let failed = 0;
  try {
    const base = baseArchive(o.image, release, work);
    base.bytes = base.finish();
    const context = { vmlinuz, release, base, image: o.image, work, raw: o.raw };
    const queue = [...names];
    const worker = async () => {
      for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
        const began = Date.now();
        const { result, text } = await record(name, context);
        const file = join(golden, `${name}.json`);
        const same = existsSync(file) && readFileSync(file, 'utf8') === text;
        if (!same && o.check) failed++;
        if (!same && !o.check) writeFileSync(file, text);
        const what = same ? 'same' : o.check ? 'DIFFERS' : 'written';
        const end = 'died' in result ? ', the machine died' : '';
        console.log(
          `${name}: ${result.steps.length} steps${end}, ${what}, ${Math.round((Date.now() - began) / 1000)} s`,
        );
      }
    };
    await Promise.all(Array.from({ length: o.jobs }, worker));
  } finally {
    rmSync(work, { recursive: true });
  }
  process.exitCode = failed > 0 ? 1 : 0;
}

await main();
