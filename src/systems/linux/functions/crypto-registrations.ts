/** Kinds of algorithms that nothing here can use, and templates: kept in the registry and in /proc/crypto, no more. */
import type { FunctionTable, KernelFunction } from '../../../kernel/functions.ts';
import { prototypeName } from '../../../kernel/functions.ts';
import type { Address } from '../../../memory/space.ts';
import type { AlgorithmKind } from '../crypto/registry.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { register, registeredOnly, unregister } from '../registered.ts';
import { cryptoAlgorithms } from './crypto.ts';
import { kernelFunctions } from './define.ts';

type Row = readonly [kind: AlgorithmKind, remove: 'void' | 'int', plural: 'void' | 'int' | undefined];

/** By kind: what unregistering returns, and how the form for several algorithms unregisters, where there is one. */
const KINDS: readonly Row[] = [
  ['aead', 'void', 'void'],
  ['ahash', 'void', 'void'],
  ['rng', 'void', 'void'],
  ['akcipher', 'void', undefined],
  ['kpp', 'void', undefined],
  ['acomp', 'void', 'void'],
];

function add(k: Linux, kind: AlgorithmKind, at: Address): number {
  const struct = `${kind}_alg`;
  const base = at + k.offset(kind === 'ahash' ? 'ahash_alg.halg.base' : `${struct}.base`);
  const error = cryptoAlgorithms(k).register(k, kind, base, at);
  if (error === 0) registeredOnly(k, kind, k.readString('crypto_alg.cra_driver_name', base));
  return error;
}

function remove(k: Linux, kind: AlgorithmKind, at: Address): number {
  const path = kind === 'ahash' ? 'ahash_alg.halg.base' : `${kind}_alg.base`;
  cryptoAlgorithms(k).unregister(at + k.offset(path));
  return 0;
}

function addAll(k: Linux, kind: AlgorithmKind, at: Address, count: number): number {
  const size = k.sizeof(`${kind}_alg`);
  for (let i = 0; i < count; i++) {
    const error = add(k, kind, at + i * size);
    if (error === 0) continue;
    removeAll(k, kind, at, i);
    return error;
  }
  return 0;
}

function removeAll(k: Linux, kind: AlgorithmKind, at: Address, count: number): number {
  for (let i = count - 1; i >= 0; i--) remove(k, kind, at + i * k.sizeof(`${kind}_alg`));
  return 0;
}

type Registering = (k: Linux, at: Address, count: number) => number;

function kindFunctions(): FunctionTable<Linux> {
  const all = new Map<string, KernelFunction<Linux>>();
  const put = (prototype: string, handler: Registering): void => {
    all.set(prototypeName(prototype), { prototype, handler: handler as KernelFunction<Linux>['handler'] });
  };
  for (const [kind, removed, plural] of KINDS) {
    put(`int crypto_register_${kind}(struct ${kind}_alg *alg)`, (k, at) => add(k, kind, at));
    put(`${removed} crypto_unregister_${kind}(struct ${kind}_alg *alg)`, (k, at) => remove(k, kind, at));
    if (plural === undefined) continue;
    const many = `(struct ${kind}_alg *algs, int count)`;
    put(`int crypto_register_${kind}s${many}`, (k, at, count) => addAll(k, kind, at, count));
    put(`${plural} crypto_unregister_${kind}s${many}`, (k, at, count) => removeAll(k, kind, at, count));
  }
  return all;
}

const TEMPLATE = 'crypto template';

function addTemplate(k: Linux, at: Address): number {
  const name = k.readString('crypto_template.name', at);
  return register(k, TEMPLATE, at, name, { twice: -Errno.EEXIST });
}

const templates = kernelFunctions({
  'int crypto_register_template(struct crypto_template *tmpl)': addTemplate,
  'void crypto_unregister_template(struct crypto_template *tmpl)': (k, at) => {
    unregister(k, TEMPLATE, at);
  },
  'int crypto_register_templates(struct crypto_template *tmpls, int count)': (k, at, count) => {
    const size = k.sizeof('crypto_template');
    for (let i = 0; i < count; i++) {
      const error = addTemplate(k, at + i * size);
      if (error === 0) continue;
      for (let j = i - 1; j >= 0; j--) unregister(k, TEMPLATE, at + j * size);
      return error;
    }
    return 0;
  },
  'void crypto_unregister_templates(struct crypto_template *tmpls, int count)': (k, at, count) => {
    for (let i = count - 1; i >= 0; i--) unregister(k, TEMPLATE, at + i * k.sizeof('crypto_template'));
  },
  'void crypto_init_queue(struct crypto_queue *queue, unsigned int max_qlen)': (k, queue, most) => {
    const head = queue + k.offset('crypto_queue.list');
    k.memory.setPtr(head, head);
    k.memory.setPtr(head + k.word, head);
    k.write('crypto_queue.backlog', queue, head);
    k.write('crypto_queue.qlen', queue, 0);
    k.write('crypto_queue.max_qlen', queue, most);
  },
});

export const cryptoRegistrations: FunctionTable<Linux> = new Map([...kindFunctions(), ...templates]);
