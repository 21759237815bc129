/**
 * misc/ctf: types of the kernel for those who ask by name (ctf_api.h). The answers are the base kernel's own layouts,
 * so that a module that looks up offsets at run time works with the structures that are really there.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import type { Solaris } from '../solaris.ts';
import { kernelFunctions } from './define.ts';

/** Types that were asked for: the id is the place, from 1 on. */
const asked = perKernel(() => [] as string[]);

/** ECTF_NOTYPE and ECTF_NOMEMBNAM, somewhere above all system errors. */
const ECTF_BASE = 1000;
const CTF_ERR = -1;

/** Names as drivers give them: the tag alone, with `struct`, or a typedef of the kernel's. */
const TYPEDEFS: Readonly<Record<string, string>> = { cpu_t: 'struct cpu', proc_t: 'struct proc' };

function lookUp(k: Solaris, name: string): number {
  const type = TYPEDEFS[name] ?? name;
  if (k.types.type(type) === undefined) return CTF_ERR;
  const names = k.state(asked);
  const at = names.indexOf(type);
  return at >= 0 ? at + 1 : names.push(type);
}

/** ctf_membinfo_t: type and offset in bits. */
function memberInfo(k: Solaris, id: number, member: string, out: Address): number {
  const type = k.state(asked)[id - 1];
  const path = `${type}.${member}`;
  if (type === undefined || !k.types.has(path)) return CTF_ERR;
  const { name, size } = k.types.field(path);
  k.memory.setPtr(out, lookUp(k, name) === CTF_ERR ? size : id);
  k.memory.setPtr(out + k.word, k.types.offset(path) * 8);
  return 0;
}

export const ctf = kernelFunctions({
  'void *ctf_modopen(void *module, int *error)': (k) => k.heap.take(k.word),
  'void ctf_close(void *file)': (k, file) => k.heap.free(file),
  'long ctf_lookup_by_name(void *file, const char *name)': (k, _file, name) =>
    lookUp(k, k.memory.cstring(name)),
  'int ctf_member_info(void *file, long type, const char *name, void *info)': (k, _file, type, name, info) =>
    memberInfo(k, type, k.memory.cstring(name), info),
  'ssize_t ctf_type_size(void *file, long type)': (k, _file, type) => {
    const name = k.state(asked)[type - 1];
    return name === undefined ? CTF_ERR : k.sizeof(name);
  },
  'int ctf_errno(void *file)': () => ECTF_BASE,
  'uintptr_t kobj_getsymvalue(char *name, int primary)': (k, name) => symbolValue(k, k.memory.cstring(name)),
});

function symbolValue(k: Solaris, name: string): Address {
  const primary = k.primarySymbol(name);
  if (primary !== undefined) return primary;
  for (const module of k.modules) {
    const found = module.symbols.get(name);
    if (found !== undefined) return found.address;
  }
  return 0;
}
