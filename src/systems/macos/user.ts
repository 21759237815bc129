/** Buffers of the calling process, in the user half of the address space. */
import { perKernel } from '../../kernel/kernel.ts';
import { UserBuffers } from '../../kernel/user-buffers.ts';
import type { Macos } from './macos.ts';

/** Larger than any single transfer of the shell; pages take memory once they are touched. */
const PAGES = 1024;

export const userBuffers = perKernel<UserBuffers, Macos>((k) => new UserBuffers(k, k.map.user, PAGES));
