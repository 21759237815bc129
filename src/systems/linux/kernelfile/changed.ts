import type { KernelFile } from './kernelfile.ts';

/** The same kernel, but for what is given; everything else is read from the original, whatever it is made of. */
export function changedKernel(kernel: KernelFile, changes: Partial<KernelFile>): KernelFile {
  return new Proxy(kernel, {
    get(target, key): unknown {
      if (Object.hasOwn(changes, key)) return Reflect.get(changes, key);
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
