/** A real kernel's payload and real modules, packed by the real programs. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { compressionOf, decompress, decompressAs } from '../../src/bytes/decompress.ts';
import { seeded, testSeed } from './random.ts';
import { describeWith, moduleFiles, needs, needsTool } from './require.ts';

const tools = needsTool('xz') && needsTool('zstd') && needsTool('gzip');
const debian = needs('debian-amd64');

const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

function pipe(command: readonly string[], input: Uint8Array): Uint8Array {
  const settings = {
    input,
    maxBuffer: 2 ** 30,
    stdio: ['pipe', 'pipe', 'ignore'] as ['pipe', 'pipe', 'ignore'],
  };
  return new Uint8Array(execFileSync(command[0], command.slice(1), settings));
}

describeWith(tools && debian, 'real files', (kernel) => {
  const { vmlinuz, modules } = kernel as NonNullable<typeof debian>;

  it('the payload of vmlinuz unpacks as xz(1) unpacks it', { timeout: 120_000 }, () => {
    const image = new Uint8Array(readFileSync(vmlinuz));
    // Linux/x86 boot protocol: setup_sects at 0x1f1, payload_offset and payload_length at 0x248.
    const view = new DataView(image.buffer);
    const start = (view.getUint8(0x1f1) + 1) * 512 + view.getUint32(0x248, true);
    const payload = image.subarray(start, start + view.getUint32(0x24c, true));
    expect(compressionOf(payload)).toBe('xz');
    const ours = decompressAs('xz', payload, { trailing: 'ignore' });
    const theirs = pipe(['xz', '-dc'], payload.subarray(0, -4));
    expect(sha(ours)).toBe(sha(theirs));
  });

  const seed = testSeed();
  it(`modules of seed ${seed} come back from every packer`, { timeout: 120_000 }, () => {
    for (const file of seeded(seed).sample(moduleFiles(modules), 8)) {
      const plain = new Uint8Array(readFileSync(file));
      const packers = [
        ['xz', '-c', '--check=crc32', '--lzma2=dict=1MiB'],
        ['gzip', '-9c'],
        ['zstd', '-qc', '-19'],
      ];
      for (const packer of packers)
        expect(sha(decompress(pipe(packer, plain))), `${file} ${packer[0]}`).toBe(sha(plain));
    }
  });
});
