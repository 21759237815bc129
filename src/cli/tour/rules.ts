/** Steps of the tour: what a kernel asks of a module before it lets it in. */
import { Errno } from '../../systems/linux/errno.ts';
import type { LinuxStep } from './record.ts';

const vermagic: LinuxStep = {
  name: 'vermagic',
  title: 'A module is built for one kernel',
  statement:
    'Linux keeps no stable binary interface for modules: they fit the kernel they were built for. Each carries a ' +
    'line with release and build options, the version magic, and the loader compares it.',
  by: 'wrong_vermagic.ko',
  play(stage) {
    stage.boot();
    const refused = stage.run('insmod wrong_vermagic.ko');
    const forced = stage.run('insmod -f wrong_vermagic.ko');
    stage.fact('a module for a kernel without SMP is refused (ENOEXEC)', refused.errno === Errno.ENOEXEC);
    stage.fact('the kernel names both lines', stage.logged('version magic'));
    stage.fact(
      'by force it loads, and the kernel is marked (taint F)',
      forced.code === 0 && (stage.k.taint & 2) !== 0,
    );
  },
};

const versions: LinuxStep = {
  name: 'versions',
  title: 'Symbols have versions',
  statement:
    'Even with the same release an interface can differ. So each symbol has a checksum over its declaration, and a module ' +
    'that was built against another declaration is refused.',
  by: 'wrong_crc.ko',
  play(stage) {
    stage.boot();
    const refused = stage.run('insmod wrong_crc.ko');
    stage.fact('the module is refused (EINVAL)', refused.errno === Errno.EINVAL);
    stage.fact('the kernel names the symbol', stage.logged('disagrees about version of symbol _printk'));
  },
};

const namespaces: LinuxStep = {
  name: 'namespaces',
  title: 'Symbols can be in a namespace',
  statement:
    'Symbols that are meant for one subsystem are exported into a namespace; who uses them has to say so in the module.',
  by: 'spaced.ko',
  play(stage) {
    stage.boot();
    stage.run('insmod spaced.ko');
    const refused = stage.run('insmod no_namespace.ko');
    const allowed = stage.run('insmod spaced_importer.ko');
    stage.fact('a module that does not name it is refused (EINVAL)', refused.errno === Errno.EINVAL);
    stage.fact('one that does is loaded', allowed.code === 0);
  },
};

const signatures: LinuxStep = {
  name: 'signatures',
  title: 'Modules can be signed',
  statement:
    'A kernel can ask for modules that are signed with a key it knows. This one only marks itself when it takes in an ' +
    'unsigned one, unless it was started with module.sig_enforce=1.',
  by: 'sig_enforce=1',
  play(stage) {
    stage.boot();
    const lax = stage.run('insmod hello.ko');
    const broken = stage.run('insmod bad_signature.ko');
    const marked = (stage.k.taint & (1 << 13)) !== 0;
    stage.boot('module.sig_enforce=1');
    const strict = stage.run('insmod hello.ko');
    stage.fact('unsigned, it loads, and the kernel is marked (taint E)', lax.code === 0 && marked);
    stage.fact('a broken signature is refused in any case (EBADMSG)', broken.errno === Errno.EBADMSG);
    stage.fact('an enforcing kernel refuses it (EKEYREJECTED)', strict.errno === Errno.EKEYREJECTED);
  },
};

const gplOnly: LinuxStep = {
  name: 'gpl-only',
  title: 'Some symbols are for GPL modules only',
  statement:
    'A kernel developer can export a symbol for modules under the GPL only. To a module with another licence such a symbol ' +
    'does not exist.',
  by: 'proprietary_gplonly',
  play(stage) {
    stage.boot();
    stage.run('insmod exporter.ko');
    const refused = stage.run('insmod proprietary_gplonly.ko');
    const free = stage.run('insmod importer_gpl.ko');
    stage.fact('a proprietary module does not get the symbol (ENOENT)', refused.errno === Errno.ENOENT);
    stage.fact('a module under the GPL gets it', free.code === 0 && stage.logged('the product is 42'));
  },
};

const taint: LinuxStep = {
  name: 'taint',
  title: 'A proprietary module taints the kernel',
  statement:
    'A kernel that took in code whose source cannot be seen says so: it is tainted, for as long as it runs, and every report ' +
    'of a fault shows it. Developers then need not look at such a report.',
  by: 'proprietary.ko',
  play(stage) {
    stage.boot();
    const clean = stage.run('cat /proc/sys/kernel/tainted');
    stage.run('insmod proprietary.ko');
    const row = stage.run('cat /proc/modules');
    stage.run('rmmod proprietary');
    const after = stage.run('cat /proc/sys/kernel/tainted');
    stage.fact('a fresh kernel is clean', clean.output === '0\n');
    stage.fact('the module is marked P, out of tree (O) and unsigned (E)', row.output.includes('(POE)'));
    stage.fact('the mark outlives the module', after.output === '12289\n' && stage.k.taint === 12289);
  },
};

const nulTrick: LinuxStep = {
  name: 'nul-trick',
  title: 'A NUL byte hid a licence',
  statement:
    'A vendor once wrote a licence that begins with "GPL" and a NUL byte: the kernel, written in C, reads as far as the NUL ' +
    'and takes the module for free. It still does. lkm reports the rest of the text, and can refuse it.',
  by: 'nul_licence: --strict',
  play(stage) {
    stage.boot();
    const loaded = stage.run('insmod nul_licence.ko');
    const findings = stage.k.modules.find('nul_licence')?.findings ?? [];
    for (const { text } of findings) stage.say(`found: ${text}`);
    const notMarked = (stage.k.taint & 1) === 0;
    stage.run('rmmod nul_licence');
    const strict = stage.loadStrictly('nul_licence.ko');
    stage.fact(
      'the kernel is deceived: GPL-only symbols, and no taint P',
      loaded.code === 0 && notMarked && stage.logged('I can use kernel'),
    );
    stage.fact('the hidden text is found', findings.length > 0);
    stage.fact('with --strict the module is refused', strict.outcome === 'refused');
  },
};

export const rules: readonly LinuxStep[] = [
  vermagic,
  versions,
  namespaces,
  signatures,
  gplOnly,
  taint,
  nulTrick,
];
