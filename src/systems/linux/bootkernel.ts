/** Boots a Linux base kernel with every subsystem there is. */
import type { KernelFile } from './kernelfile/kernelfile.ts';
import { Linux, type LinuxOptions } from './linux.ts';
import { populateNet } from './net/files.ts';
import { populateProc } from './proc.ts';
import { linuxData, linuxFunctions } from './registry.ts';
import { populateMemoryDevices } from './vfs/memdev.ts';

export type BootOptions = Omit<LinuxOptions, 'kernel' | 'functions' | 'data'>;

export function bootLinux(kernel: KernelFile, options: BootOptions = {}): Linux {
  const k = new Linux({ ...options, kernel, functions: linuxFunctions, data: linuxData });
  populateProc(k);
  populateNet(k);
  populateMemoryDevices(k);
  return k;
}
