/** The commands of a session, in the order help lists them. */
import type { Tool } from './answer.ts';
import { codesign } from './codesign.ts';
import { CONNECTION_TOOLS } from './connection-tools.ts';
import { FILE_TOOLS } from './file-tools.ts';
import { kextfind } from './kextfind/kextfind.ts';
import { kextlibs } from './kextlibs.ts';
import { kextload } from './kextload.ts';
import { kextstat } from './kextstat.ts';
import { kextunload } from './kextunload.ts';
import { kextutil } from './kextutil.ts';
import { kmutil } from './kmutil.ts';
import { MOUNT_TOOLS } from './mount-tools.ts';
import { REGISTRY_TOOLS } from './registry-tools.ts';
import { withShims } from './shims.ts';
import { SYSTEM_TOOLS } from './system-tools.ts';

export const TOOLS: readonly Tool[] = [
  ...withShims([kextload, kextunload, kextstat, kextutil]),
  kmutil,
  kextlibs,
  kextfind,
  codesign,
  ...REGISTRY_TOOLS,
  ...CONNECTION_TOOLS,
  ...FILE_TOOLS,
  ...MOUNT_TOOLS,
  ...SYSTEM_TOOLS,
];
