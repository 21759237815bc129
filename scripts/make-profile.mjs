// Makes the built-in kernel profile out of a Debian kernel package.
//
//   node scripts/make-profile.mjs [--image VMLINUZ] [--config FILE] [--btf FILE] [--out FILE] [--all-types] [--limit BYTES]
//
// --btf: types of a kernel that was built without, as Debian's 32-bit ones are: unpack its linux-image-*-dbg package and
//   pahole --btf_encode_detached=FILE usr/lib/debug/boot/vmlinux-RELEASE
// Without --image: the newest linux-image-6.1.*-amd64 that scripts/fetch-debian.mjs unpacked into the cache.
// Kept are the types of profiles/types.txt and every type whose name stands in a string of src/systems/linux:
// run this again after writing kernel functions that use new fields.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..');

const { values } = parseArgs({
  options: {
    image: { type: 'string' },
    config: { type: 'string' },
    btf: { type: 'string' },
    out: { type: 'string', default: path.join(root, 'profiles/debian-6.1.kernel') },
    'all-types': { type: 'boolean', default: false },
    limit: { type: 'string', default: '200000' },
  },
});

function newestImage() {
  const cache = process.env.LKM_CACHE ?? path.join(homedir(), '.cache/lkm');
  const debian = path.join(cache, 'debian');
  const pattern = /^linux-image-(6\.1\.0-(\d+)-amd64)$/;
  const found = readdirSync(debian)
    .map((name) => pattern.exec(name))
    .filter((match) => match !== null)
    .sort((a, b) => Number(b[2]) - Number(a[2]));
  if (found.length === 0) throw new Error(`no linux-image-6.1.* in ${debian}: run scripts/fetch-debian.mjs`);
  const boot = path.join(debian, found[0][0], 'boot');
  return {
    image: path.join(boot, `vmlinuz-${found[0][1]}`),
    config: path.join(boot, `config-${found[0][1]}`),
  };
}

/** The library, bundled for this run: Node 20 does not read TypeScript. */
async function library() {
  const folder = mkdtempSync(path.join(tmpdir(), 'lkm-profile-'));
  const outfile = path.join(folder, 'library.mjs');
  const contents = `
    export { readKernel } from './src/systems/linux/kernelfile/open.ts';
    export { decode, encode } from './src/systems/linux/kernelfile/saved.ts';`;
  try {
    await build({
      stdin: { contents, resolveDir: root, loader: 'ts' },
      bundle: true,
      platform: 'node',
      format: 'esm',
      outfile,
      logLevel: 'error',
    });
    return await import(pathToFileURL(outfile).href);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** `read('file.f_op'`, `offset('x.y'`, `sizeof('x')`, `enumerator('X')`: the type names in our kernel functions. */
function namesInSources() {
  const names = new Set();
  const folder = path.join(root, 'src/systems/linux');
  for (const file of readdirSync(folder, { recursive: true })) {
    if (!file.endsWith('.ts') || file.startsWith('kernelfile')) continue;
    const text = readFileSync(path.join(folder, file), 'utf8');
    // Any quoted `a.b` may be a field; one that is not costs nothing (`?` marks it as a guess).
    for (const [, name] of text.matchAll(/'([a-z_]\w*)\.[\w.[\]]+'/g)) names.add(`?${name}`);
    for (const [, name] of text.matchAll(
      /\b(?:sizeof|layout|structSize|allocateStruct)\(\s*'((?:\w+ )?\w+)'/g,
    )) {
      names.add(name);
    }
    // Words of prototypes: those that are typedefs are kept, so that the prototype can be read.
    for (const [, , prototype] of text.matchAll(/^\s*(['"`])([A-Za-z_][^'"`\n]*\([^'"`\n]*\))\1\s*:/gm)) {
      for (const [word] of prototype.matchAll(/\w+/g)) names.add(`typedef ${word}`);
    }
    // A constant's name is enough: the whole enumeration that has it is kept.
    for (const [, name] of text.matchAll(/\benumerator\(\s*'(\w+)'/g)) names.add(`enumerator ${name}`);
  }
  return [...names].sort();
}

function listed() {
  const text = readFileSync(path.join(root, 'profiles/types.txt'), 'utf8').replace(/#.*/g, '');
  const [wanted, ifRoom] = text
    .split(/^---$/m)
    .map((part) => part.split(/\s+/).filter((name) => name !== ''));
  return { wanted, ifRoom };
}

const KEPT_OPTIONS =
  /^CONFIG_(MODULE\w*|MODVERSIONS|HZ\w*|SMP|NR_CPUS|PREEMPT\w*|X86_64|64BIT|DEBUG_\w+|RETPOLINE|RETHUNK|CPU_\w+|PARAVIRT\w*|JUMP_LABEL|HAVE_STATIC_CALL\w*|KALLSYMS\w*|RANDOMIZE\w*|STRICT_\w*RWX|STACKPROTECTOR\w*|THREAD_INFO_IN_TASK|VMAP_STACK|SLUB\w*|SLAB\w*|HARDENED_USERCOPY|FORTIFY_SOURCE|CONSTRUCTORS|LIVEPATCH|FTRACE\w*|FUNCTION_TRACER|DYNAMIC_\w+|PRINTK\w*|LOG_\w+|SYSFS|PROC_FS|SECURITY\w*|NUMA|PAGE_\w+|SPARSEMEM\w*|TRIM_UNUSED_KSYMS|LOCKDEP|PROVE_LOCKING|KASAN|LTO\w*|CFI\w*|X86_KERNEL_IBT|SLS|CALL_THUNKS|IKCONFIG|DEBUG_INFO_BTF\w*|GCC_VERSION|CC_VERSION_TEXT|LOCALVERSION|VERSION_SIGNATURE|CRYPTO_FIPS|CRYPTO_ECDSA|LOCK_DOWN\w*|FW_LOADER\w*)$/;

const source = values.image === undefined ? newestImage() : { image: values.image, config: values.config };
const { decode, encode, readKernel } = await library();

const kernel = readKernel(readFileSync(source.image), {
  config: source.config === undefined ? undefined : readFileSync(source.config, 'utf8'),
  btf: values.btf === undefined ? undefined : readFileSync(values.btf),
  origin: path.basename(source.image),
});

function save(types) {
  return encode(kernel, { types, functionPointers: false, config: (option) => KEPT_OPTIONS.test(option) });
}

const { wanted, ifRoom } = listed();
const named = namesInSources();
let names = [...new Set([...named.map((name) => name.replace('?', '')), ...wanted])];
const limit = Number(values.limit);
let saved = values['all-types'] ? encode(kernel, { types: 'all', config: 'all' }) : save(names);
const needed = saved.bytes.length;
if (!values['all-types']) {
  for (const name of ifRoom) {
    const larger = save([...names, name]);
    if (larger.bytes.length > limit) break;
    names = [...names, name];
    saved = larger;
  }
  if (needed > limit)
    console.error(`warning: ${needed} bytes without the optional types, the limit is ${limit}`);
}

writeFileSync(values.out, saved.bytes);
const again = decode(saved.bytes);
console.log(
  `${kernel.release}: ${again.exports.size} exports, ${saved.types} types, ${saved.bytes.length} bytes`,
);
const unknown = saved.missing.filter((name) => named.includes(name) && !name.startsWith('typedef '));
if (unknown.length > 0)
  console.log(`named in src/systems/linux but not in this kernel: ${unknown.join(' ')}`);
const stale = saved.missing.filter((name) => wanted.includes(name));
if (stale.length > 0) console.log(`in profiles/types.txt but not in this kernel: ${stale.join(' ')}`);
