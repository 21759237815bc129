/** The buffers of the process on whose behalf a system call runs. */
import { perKernel } from '../../kernel/kernel.ts';
import { UserBuffers } from '../../kernel/user-buffers.ts';
import type { FreeBsd } from './freebsd.ts';

export const userSpace = perKernel<UserBuffers, FreeBsd>(
  (k) => new UserBuffers(k, k.map.user.base, k.map.user.pages),
);
