/** The commands of a FreeBSD session. */
import type { Tool } from './answer.ts';
import { loader, reboot } from './boot-tools.ts';
import { devmatch, service } from './devmatch.ts';
import { fileTools } from './file-tools.ts';
import { kldconfig } from './kldconfig.ts';
import { kldload } from './kldload.ts';
import { kldstat } from './kldstat.ts';
import { kldunload } from './kldunload.ts';
import { kldxref } from './kldxref.ts';
import { mountTools } from './mount-tools.ts';
import { sysctl } from './sysctl.ts';
import { systemTools } from './system-tools.ts';

export const TOOLS: readonly Tool[] = [
  kldload,
  kldunload,
  kldstat,
  kldconfig,
  kldxref,
  sysctl,
  ...fileTools,
  ...mountTools,
  ...systemTools,
  devmatch,
  service,
  loader,
  reboot,
];
