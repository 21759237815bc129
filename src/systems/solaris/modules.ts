/** The ring of modctls of a kernel. */
import { perKernel } from '../../kernel/kernel.ts';
import { Modctls } from './modctl.ts';
import type { Solaris } from './solaris.ts';

export const modctls = perKernel<Modctls, Solaris>((k) => new Modctls(k));
