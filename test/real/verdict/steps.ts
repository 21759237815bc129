/** What a real kernel is asked, put together case by case. */
import type { KernelFile } from '../../../src/systems/linux/kernelfile/kernelfile.ts';
import { buildModule, type ModuleSpec } from './module-builder.ts';
import type { LoadStep } from './qemu.ts';

/** Adds one module, made as `spec` says, and how it is loaded where that is not plainly by finit_module(2). */
export type Add = (name: string, spec?: ModuleSpec, more?: Partial<LoadStep>) => void;

export function collect(kernel: KernelFile): { readonly steps: LoadStep[]; readonly add: Add } {
  const steps: LoadStep[] = [];
  const add: Add = (name, spec = {}, more = {}) =>
    steps.push({ name, how: 'finit', bytes: buildModule(kernel, spec).bytes, ...more });
  return { steps, add };
}
