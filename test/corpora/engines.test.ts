/** Real modules of the systems besides Linux, some of each folder below ~/.cache/lkm: every engine comes to the same. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runLine } from '../cli/fake.ts';
import { seedOfRun } from '../cpu/x86/random.ts';
import { leaveOut } from '../leave-out.ts';
import { cacheDirectory } from '../real/require.ts';

const SAMPLE = process.env.LKM_FULL === '1' ? 60 : 8;

describe.each(['windows', 'solaris/drivers', 'macos/kexts', 'freebsd', 'vxworks'])(
  'modules of %s',
  (folder) => {
    const directory = join(cacheDirectory(), folder);
    const absent = !existsSync(directory) && `no ${folder} in ${cacheDirectory()}`;

    it.skipIf(leaveOut(import.meta.url, absent))(
      'come to the same under every engine',
      async () => {
        const seed = String(seedOfRun());
        const line = ['lab', 'agree', directory, '--sample', `${SAMPLE}`, '--seed', seed, '--json'];
        const { code, out, err } = await runLine(line);
        expect([code, err], `seed ${seed}`).toEqual([0, '']);
        expect(JSON.parse(out), `seed ${seed}`).toMatchObject({ differing: [] });
      },
      1_800_000,
    );
  },
);
