/** The boot loader's prompt and what the system does when it starts: loader.conf, preloaded files, kld_list. */
import { Loader } from '../../systems/freebsd/loader.ts';
import { emptyLoaderConf, kldList, readLoaderConf } from '../../systems/freebsd/loaderconf.ts';
import { Answer, type Tool } from './answer.ts';
import { kldload } from './kldload.ts';
import type { FreeBsdSession } from './session.ts';

/** The files that the loader reads, in this order; then those of loader.conf.d by name. */
const CONF_FILES = ['/boot/loader.conf', '/boot/loader.conf.local'];
const CONF_FOLDER = '/boot/loader.conf.d';

export const loader: Tool = {
  name: 'loader',
  usage: '[load FILE | unload | lsmod | set NAME=VALUE | unset NAME | show [NAME] | boot]',
  summary: 'give a line to the boot loader, for the next boot',
  run(session, args) {
    const answer = new Answer();
    session.loader ??= configured(session, answer);
    const output = session.loader.command(args.join(' '));
    if (output !== undefined) answer.out += output;
    else boot(session, answer);
    return answer.result();
  },
};

export const reboot: Tool = {
  name: 'reboot',
  usage: '',
  summary: 'start the system again, as /boot/loader.conf and /etc/rc.conf say',
  run(session) {
    const answer = new Answer();
    session.loader = configured(session, answer);
    boot(session, answer);
    return answer.result();
  },
};

/** A loader that has read its files. */
function configured(session: FreeBsdSession, answer: Answer): Loader {
  const { files, choices } = session;
  const fresh = new Loader(files, choices.modulePath);
  const extra = (files.list(CONF_FOLDER) ?? []).filter((name) => name.endsWith('.conf'));
  const conf = emptyLoaderConf();
  for (const path of [...CONF_FILES, ...extra.map((name) => `${CONF_FOLDER}/${name}`)]) {
    const bytes = files.read(path);
    if (bytes !== undefined) readLoaderConf(new TextDecoder('latin1').decode(bytes), conf);
  }
  answer.out += fresh.configure(conf);
  for (const command of conf.commands) answer.out += fresh.command(command) ?? '';
  return fresh;
}

function boot(session: FreeBsdSession, answer: Answer): void {
  const { loader: ready } = session;
  if (ready === undefined) return;
  session.restart(ready.environment);
  session.loader = undefined;
  const paths = ready.preloaded.map(({ path }) => path);
  const result = session.call('kernel', session.booted.linker.preload(paths));
  if (result.outcome === 'killed') answer.explain(`${result.why}.`);
  if (result.outcome === 'missing') answer.explain(result.missing.message);
  const rc = session.files.read('/etc/rc.conf');
  const list = rc === undefined ? [] : kldList(new TextDecoder('latin1').decode(rc));
  if (list.length === 0) return;
  answer.out += `Loading kernel modules:\n`;
  for (const name of list) {
    const loaded = kldload.run(session, ['-n', name]);
    answer.out += loaded.out;
    answer.err += loaded.err;
    if (loaded.note !== undefined) answer.explain(loaded.note);
  }
}
