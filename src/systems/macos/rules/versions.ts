/** Ranges of versions as the exclude list writes them: `1.0, LE 2.0, LT 3.0, 2.0.0 thru 3.1.4`. */
import { INVALID_VERSION, parseVersion } from '../version.ts';

/** Does any of the comma-separated ranges hold the version? A range that cannot be read holds none. */
export function matchesVersions(text: string, version: bigint): boolean {
  return text.split(',').some((part) => matches(part.trim(), version));
}

function matches(range: string, version: bigint): boolean {
  const thru = /^(\S+)\s+thru\s+(\S+)$/i.exec(range);
  if (thru !== null) {
    const [low, high] = [parseVersion(thru[1]), parseVersion(thru[2])];
    return low !== INVALID_VERSION && high !== INVALID_VERSION && low <= version && version <= high;
  }
  const compare = /^(LE|LT)\s*(\S+)$/.exec(range);
  const bound = parseVersion(compare?.[2] ?? range);
  if (bound === INVALID_VERSION) return false;
  if (compare === null) return version === bound;
  return compare[1] === 'LE' ? version <= bound : version < bound;
}
