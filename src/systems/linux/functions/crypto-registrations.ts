/** How modules provide algorithms: a function or four for each kind (crypto/*.c), and templates with their instances. */
import type { FunctionTable, KernelFunction } from '../../../kernel/functions.ts';
import { prototypeName } from '../../../kernel/functions.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { TYPE_MASK } from '../crypto/flags.ts';
import {
  destroyInstance,
  freeThrough,
  registerAlgorithm,
  registerAll,
  registerInstance,
  unregisterAlgorithm,
  unregisterAll,
  unregisterTemplate,
} from '../crypto/register.ts';
import { type AlgorithmKind, dropAlgorithm } from '../crypto/registry.ts';
import { removeInstance, removeSpawns } from '../crypto/spawns.ts';
import { addTemplate } from '../crypto/templates.ts';
import { baseOf, type InstanceKind } from '../crypto/types.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { registeredOnly } from '../registered.ts';
import { kernelFunctions } from './define.ts';

type Row = readonly [
  kind: AlgorithmKind,
  remove: 'void' | 'int',
  plural: string | undefined,
  use: 'used' | 'registered only',
];

/** By kind: what unregistering returns, the form for several algorithms, and whether anything here can ask for one. */
const KINDS: readonly Row[] = [
  ['shash', 'void', 'shashes', 'used'],
  ['skcipher', 'void', 'skciphers', 'used'],
  ['aead', 'void', 'aeads', 'used'],
  ['ahash', 'void', 'ahashes', 'used'],
  ['scomp', 'void', 'scomps', 'used'],
  ['rng', 'void', 'rngs', 'registered only'],
  ['akcipher', 'void', undefined, 'registered only'],
  ['kpp', 'void', undefined, 'registered only'],
  ['acomp', 'void', 'acomps', 'registered only'],
];

function* add(k: Linux, [kind, , , use]: Row, at: Address): Steps<number> {
  const error = yield* registerAlgorithm(k, kind, at);
  if (error === 0 && use === 'registered only')
    registeredOnly(k, kind, k.readString('crypto_alg.cra_driver_name', baseOf(k, kind, at)));
  return error;
}

type Registering = (k: Linux, at: Address, count: number) => Steps<unknown>;

function kindFunctions(): FunctionTable<Linux> {
  const all = new Map<string, KernelFunction<Linux>>();
  const put = (prototype: string, handler: Registering): void => {
    all.set(prototypeName(prototype), { prototype, handler: handler as KernelFunction<Linux>['handler'] });
  };
  for (const row of KINDS) {
    const [kind, removed, plural] = row;
    const struct = `${kind}_alg`;
    put(`int crypto_register_${kind}(struct ${struct} *alg)`, (k, at) => add(k, row, at));
    put(`${removed} crypto_unregister_${kind}(struct ${struct} *alg)`, (k, at) =>
      unregisterAlgorithm(k, baseOf(k, kind, at)),
    );
    if (plural === undefined) continue;
    const many = `(struct ${struct} *algs, int count)`;
    put(`int crypto_register_${plural}${many}`, (k, at, count) =>
      registerAll(k, kind, at, count, k.sizeof(struct)),
    );
    put(`void crypto_unregister_${plural}${many}`, (k, at, count) =>
      unregisterAll(k, kind, at, count, k.sizeof(struct)),
    );
  }
  return all;
}

function instanceFunctions(): FunctionTable<Linux> {
  const all = new Map<string, KernelFunction<Linux>>();
  const kinds: readonly InstanceKind[] = ['skcipher', 'aead', 'shash', 'ahash', 'akcipher'];
  for (const kind of kinds) {
    const register = `int ${kind}_register_instance(struct crypto_template *tmpl, struct ${kind}_instance *inst)`;
    all.set(prototypeName(register), {
      prototype: register,
      handler: (k: Linux, template: Address, instance: Address) =>
        registerInstance(k, kind, template, instance),
    });
    const free = `void crypto_${kind}_free_instance(struct crypto_instance *inst)`;
    all.set(prototypeName(free), {
      prototype: free,
      handler: (k: Linux, inner: Address) => freeThrough(k, kind, inner),
    });
  }
  return all;
}

const templates = kernelFunctions({
  'int crypto_register_alg(struct crypto_alg *alg)': (k, at) => registerPlain(k, at),
  'void crypto_unregister_alg(struct crypto_alg *alg)': unregisterAlgorithm,
  'int crypto_register_algs(struct crypto_alg *algs, int count)': function* (k, algorithms, count) {
    const size = k.sizeof('crypto_alg');
    for (let i = 0; i < count; i++) {
      const error = yield* registerPlain(k, algorithms + i * size);
      if (error === 0) continue;
      for (let j = i - 1; j >= 0; j--) yield* unregisterAlgorithm(k, algorithms + j * size);
      return error;
    }
    return 0;
  },
  'void crypto_unregister_algs(struct crypto_alg *algs, int count)': function* (k, algorithms, count) {
    const size = k.sizeof('crypto_alg');
    for (let i = 0; i < count; i++) yield* unregisterAlgorithm(k, algorithms + i * size);
  },
  'int crypto_register_template(struct crypto_template *tmpl)': addTemplate,
  'void crypto_unregister_template(struct crypto_template *tmpl)': unregisterTemplate,
  'int crypto_register_templates(struct crypto_template *tmpls, int count)': function* (k, at, count) {
    const size = k.sizeof('crypto_template');
    for (let i = 0; i < count; i++) {
      const error = addTemplate(k, at + i * size);
      if (error === 0) continue;
      for (let j = i - 1; j >= 0; j--) yield* unregisterTemplate(k, at + j * size);
      return error;
    }
    return 0;
  },
  'void crypto_unregister_templates(struct crypto_template *tmpls, int count)': function* (k, at, count) {
    const size = k.sizeof('crypto_template');
    for (let i = count - 1; i >= 0; i--) yield* unregisterTemplate(k, at + i * size);
  },
  'void crypto_unregister_instance(struct crypto_instance *inst)': function* (k, instance) {
    yield* removeSpawns(k, instance);
    if (removeInstance(k, instance)) yield* dropAlgorithm(k, instance);
  },
  'void crypto_destroy_instance(struct crypto_alg *alg)': destroyInstance,
});

/** The types of algorithms without a struct crypto_type. */
const PLAIN: Readonly<Record<number, AlgorithmKind>> = { 1: 'cipher', 2: 'compression' };

function* registerPlain(k: Linux, algorithm: Address): Steps<number> {
  const kind = PLAIN[k.read('crypto_alg.cra_flags', algorithm) & TYPE_MASK];
  return kind === undefined ? -Errno.EINVAL : yield* registerAlgorithm(k, kind, algorithm);
}

export const cryptoRegistrations: FunctionTable<Linux> = new Map([
  ...kindFunctions(),
  ...instanceFunctions(),
  ...templates,
]);
