// The published kernel of each release that what is made from xnu's sources is made from.
import { execFileSync } from 'node:child_process';

/** Release and a published kernel of it; the subject of a commit, or a tag, names its version. */
export const TAGS = {
  10.5: 'xnu-1228',
  10.6: 'xnu-1504.3.12',
  10.7: 'xnu-1699.22.73',
  10.8: 'xnu-2050.7.9',
  10.9: 'xnu-2422.1.72',
  '10.10': 'xnu-2782.1.97',
  10.11: 'xnu-3248.20.55',
  10.12: 'xnu-3789.1.32',
  10.13: 'xnu-4570.1.46',
  10.14: 'xnu-4903.270.47',
  10.15: 'xnu-6153.141.1',
  11: 'xnu-7195.141.2',
  12: 'xnu-8020.140.41',
  13: 'xnu-8796.141.3',
  14: 'xnu-10063.101.15',
  15: 'xnu-11417.101.15',
};

/** Version to commit, for those that no tag names. */
export function commitsOf(repository) {
  const log = execFileSync('git', ['-C', repository, 'log', '--all', '--format=%h %s'], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  return new Map(
    log
      .trim()
      .split('\n')
      .map((line) => line.split(' ').reverse()),
  );
}
