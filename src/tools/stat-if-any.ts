/** Looking whether there is something at a path at all. */
import { lstatSync, realpathSync, type Stats, statSync } from 'node:fs';

/**
 * undefined where nothing can be looked at. `throwIfNoEntry` alone still throws for a path that goes on below a file
 * (ENOTDIR), has too long a name or runs in a circle of links; whoever opens the path then says why it does not work.
 */
export const statIfAny = (path: string | Buffer): Stats | undefined => lookedAt(statSync, path);

/** The same of a link itself. */
export const lstatIfAny = (path: string | Buffer): Stats | undefined => lookedAt(lstatSync, path);

/** Where a path leads once all links are followed; undefined where there is nothing. */
export function realPathIfAny(path: string): string | undefined {
  return statIfAny(path) === undefined ? undefined : realpathSync(path);
}

function lookedAt(look: typeof statSync, path: string | Buffer): Stats | undefined {
  try {
    return look(path, { throwIfNoEntry: false });
  } catch (error) {
    if (typeof (error as { code?: unknown }).code === 'string') return undefined;
    throw error;
  }
}
