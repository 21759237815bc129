/** Kernel images of every machine that Debian has: each takes the modules that were built with it. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { decompress } from '../../src/bytes/decompress.ts';
import { FormatError } from '../../src/bytes/errors.ts';
import { checkModule, type OtherModules } from '../../src/systems/linux/check/check.ts';
import { Subject } from '../../src/systems/linux/check/subject.ts';
import { readBuiltInCertificates } from '../../src/systems/linux/kernelfile/certificates.ts';
import { readKernel } from '../../src/systems/linux/kernelfile/open.ts';
import { ARCHITECTURES, describeWith, moduleFiles, needs } from './require.ts';

const state = {
  commandLine: '',
  taints: 0,
  privileged: true,
  modulesDisabled: false,
  flags: {},
  args: '',
  certificates: [],
  loaded: new Set<string>(),
};
/** What other modules export is not looked for. */
const others: OtherModules = { find: () => undefined, absent: () => undefined, complete: false };

for (const architecture of ARCHITECTURES) {
  describeWith(needs(`debian-${architecture}`), `the kernel image of ${architecture}`, (debian) => {
    const kernel = readKernel(new Uint8Array(readFileSync(debian.vmlinuz)), {
      config: readFileSync(debian.config, 'utf8'),
    });

    it('says what it is', () => {
      expect(kernel.release).toBe(debian.release);
      expect(kernel.vermagic).toContain(`${debian.release} SMP`);
      expect(kernel.exports.size).toBeGreaterThan(5000);
      expect(kernel.exports.find('_printk')?.crc).toBeGreaterThan(0);
      expect(kernel.exports.find('kobject_create_and_add')?.gplOnly).toBe(true);
    });

    it('takes its own modules', { timeout: 120_000 }, () => {
      const files = moduleFiles(debian.modules);
      const some = files.filter((_, i) => i % Math.ceil(files.length / 60) === 0);
      const answers = some.map((file) => {
        const subject = new Subject(file, decompress(new Uint8Array(readFileSync(file))));
        const { answer, rules } = checkModule({ kernel, others, state }, subject);
        return { file, answer, rule: rules.find(({ outcome }) => outcome === 'refuse')?.why };
      });
      expect(answers.filter(({ answer }) => answer === 'refused')).toEqual([]);
      expect(answers.some(({ answer }) => answer === 'loads')).toBe(true);
    });

    it('has the certificate of its build, so that a module that was changed is refused', () => {
      expect(readBuiltInCertificates(kernel)).toHaveLength(1);
      const file = moduleFiles(debian.modules).find((name) => name.includes('/crc7.ko')) ?? '';
      const bytes = decompress(new Uint8Array(readFileSync(file))).slice();
      // Not every architecture's modules are signed.
      if (!new TextDecoder('latin1').decode(bytes.subarray(-28)).startsWith('~Module signature')) return;
      bytes[0x60] ^= 1;
      const { rules } = checkModule({ kernel, others, state }, new Subject(file, bytes));
      const refused = rules.find(({ outcome }) => outcome === 'refuse');
      expect([refused?.rule, refused?.errno]).toEqual(['signature', 129]);
    });

    it('is refused when it is cut, or read as far as it goes', () => {
      const bytes = new Uint8Array(readFileSync(debian.vmlinuz));
      for (const part of [0.02, 0.5, 0.9]) {
        try {
          readKernel(bytes.subarray(0, Math.floor(bytes.length * part)));
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
        }
      }
    });
  });
}
