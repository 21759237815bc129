/** The boot loader's prompt and what the system does when it starts: loader.conf, preloaded files, kld_list. */
import { Loader } from '../../systems/freebsd/loader.ts';
import {
  type ConfSource,
  grammarOf,
  kldList,
  type RcVariable,
  readLoaderFiles,
  readRcConf,
} from '../../systems/freebsd/loaderconf.ts';
import { Answer, type Tool } from './answer.ts';
import { kldload } from './kldload.ts';
import type { FreeBsdSession } from './session.ts';

export const loader: Tool = {
  name: 'loader',
  usage:
    '[load FILE | unload | lsmod | set NAME=VALUE | unset NAME | show [NAME] | enable-module NAME | boot]',
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
  const fresh = new Loader(files, session.loaderKernel, choices.modulePath);
  const { conf } = readLoaderFiles(files, grammarOf(choices.version));
  answer.out += fresh.configure(conf);
  for (const command of conf.commands) answer.out += fresh.command(command) ?? '';
  return fresh;
}

function boot(session: FreeBsdSession, answer: Answer): void {
  const { loader: ready } = session;
  if (ready === undefined) return;
  answer.out += ready.finish();
  session.restart(ready.environment);
  session.loader = undefined;
  const paths = ready.preloaded.map(({ path }) => path);
  const result = session.call('kernel', session.booted.linker.preload(paths));
  if (result.outcome === 'killed') answer.explain(`${result.why}.`);
  if (result.outcome === 'missing') answer.explain(result.missing.message);
  const list = kldListOf(session.files);
  if (list.names.length === 0) return;
  answer.out += `Loading kernel modules:\n`;
  for (const name of list.names) {
    const loaded = kldload.run(session, ['-n', name]);
    answer.out += loaded.out;
    answer.err += loaded.err;
    if (loaded.note !== undefined) answer.explain(loaded.note);
  }
}

/** Files of rc.conf(5), later ones overrule. */
const RC_FILES = ['/etc/defaults/rc.conf', '/etc/rc.conf', '/etc/rc.conf.local'];

/** What rc(8) knows when it starts. */
export function rcVariables(files: ConfSource): Map<string, RcVariable> {
  const variables = new Map<string, RcVariable>();
  const extra = (files.list('/etc/rc.conf.d') ?? []).filter((name) => !name.endsWith('/'));
  for (const path of [...RC_FILES, ...extra.map((name) => `/etc/rc.conf.d/${name}`)]) {
    const bytes = files.read(path);
    if (bytes !== undefined) readRcConf(new TextDecoder('latin1').decode(bytes), path, variables);
  }
  return variables;
}

/** kld_list, its wildcards filled in from the module path (load_kld of rc.subr). */
export function kldListOf(files: ConfSource): {
  readonly names: string[];
  readonly place: string | undefined;
} {
  const variables = rcVariables(files);
  const names = kldList(variables).flatMap((name) => expandName(files, name));
  return { names, place: variables.get('kld_list')?.place };
}

function expandName(files: ConfSource, name: string): string[] {
  if (!/[*?]/.test(name)) return [name];
  const pattern = new RegExp(
    `^${name
      .replace(/[.+^${'$'}{}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.')}(\\.ko)?$`,
  );
  return ['/boot/kernel', '/boot/modules'].flatMap((folder) =>
    (files.list(folder) ?? []).filter((one) => one.endsWith('.ko') && pattern.test(one)),
  );
}
