/** All steps of the tour, in order. */
import { additions } from './additions.ts';
import { basics } from './basics.ts';
import { beforehand } from './beforehand.ts';
import { freebsd } from './freebsd.ts';
import { macos } from './macos.ts';
import { memory } from './memory.ts';
import { netware } from './netware.ts';
import type { TourStep } from './record.ts';
import { relations } from './relations.ts';
import { rules } from './rules.ts';
import { solaris } from './solaris.ts';
import { trouble } from './trouble.ts';
import { vxworks } from './vxworks.ts';
import { windowsSteps } from './windows.ts';

export const STEPS: readonly TourStep[] = [
  ...basics,
  ...additions,
  ...relations,
  ...memory,
  ...rules,
  ...trouble,
  ...beforehand,
  ...vxworks,
  ...netware,
  ...freebsd,
  ...solaris,
  ...macos,
  ...windowsSteps,
];
