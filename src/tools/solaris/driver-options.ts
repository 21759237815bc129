/**
 * What add_drv(1M), rem_drv(1M) and update_drv(1M) have in common: getopt(3C), the words of their usage, and the checks of
 * what is given with -m, -i, -p and -P (cmd/modload: errmsg.h, drvsubr.c, plcysubr.c of illumos, where the texts stand).
 */
import type { MinorPermission } from '../../systems/solaris/etc/name-files.ts';

export const TEXT = {
  notRoot: 'You must be root to run this program.',
  addUsage: [
    'Usage:',
    "\tadd_drv [ -m '<permission> ','<...>' ]",
    '\t\t[ -n ]',
    '\t\t[ -f ]',
    '\t\t[ -v ]',
    "\t\t[ -i '<identify_name  <...>' ] ",
    '\t\t[ -b <basedir> ]',
    '\t\t[ -c <class_name> ]',
    '\t\t[ -p <dev_policy> ]',
    '\t\t<driver_module>',
    'Example:',
    "\tadd_drv -m '* 0666 bin bin' -i 'acme,sd new,sd' sd ",
    "\tAdd 'sd' drive with identify names: acme,sd and new,sd.",
    '\tEvery minor node will have the permission 0666,',
    '\tand be owned by bin with group bin.',
    '',
  ].join('\n'),
  removeUsage: 'Usage:\n\t rem_drv [ -C ] [ -b <basedir> ] [ -n ] driver_name\n',
  updateUsage: [
    'Usage:\tupdate_drv [ -f | -v ] <driver_module>',
    '\tupdate_drv [ -b basedir ] [ -f | -v | -n ] -a',
    "\t\t[-m 'permission'] [-i 'identify_name']",
    "\t\t[-P privilege] [-p 'policy']  <driver_module>",
    '\tupdate_drv [ -b basedir ] [ -f | -v | -n ] -d',
    "\t\t[-m 'permission'] [-i 'identify_name']",
    "\t\t[-P privilege] [-p 'policy']  <driver_module>",
    '',
    'NOTE: at least one of m/i/P/p must be specified with -a and -d.',
    '',
  ].join('\n'),
} as const;

export interface Options {
  readonly flags: ReadonlySet<string>;
  readonly values: ReadonlyMap<string, string>;
  /** The one operand. */
  readonly driver: string;
}

/** getopt(3C): letters with and without a value, then one driver; otherwise what is printed before the usage. */
export function optionsOf(
  program: string,
  args: readonly string[],
  plain: string,
  valued: string,
): Options | { readonly wrong: string } {
  const flags = new Set<string>();
  const values = new Map<string, string>();
  let i = 0;
  for (; i < args.length && /^-./.test(args[i]); i++) {
    if (args[i] === '--') {
      i++;
      break;
    }
    const letters = args[i].slice(1);
    for (let at = 0; at < letters.length; at++) {
      const letter = letters[at];
      if (plain.includes(letter)) flags.add(letter);
      else if (!valued.includes(letter)) return { wrong: `${program}: illegal option -- ${letter}\n` };
      else {
        const value = at + 1 < letters.length ? letters.slice(at + 1) : args[++i];
        if (value === undefined) return { wrong: `${program}: option requires an argument -- ${letter}\n` };
        values.set(letter, value);
        break;
      }
    }
  }
  return i === args.length - 1 ? { flags, values, driver: args[i] } : { wrong: '' };
}

/** A blank inside of double quotes is none of an alias. */
export function blankInQuotes(aliases: string): string | undefined {
  const quoted = aliases.split('"').some((part, i) => i % 2 === 1 && part.includes(' '));
  return quoted
    ? `Can't have space within double quote: ${aliases}. Use octal escape sequence "\\040".\n`
    : undefined;
}

/** Aliases apart from each other by blanks, with quotes or without. */
export const aliasesOf = (text = ''): string[] =>
  [...text.matchAll(/"([^"]*)"|([^\s"]+)/g)].map((match) => match[1] ?? match[2]);

/** A name that the kernel would take for the beginning of a comment is none. */
export function badToken(alias: string): string | undefined {
  const bad = [...alias].some((one) => one === '#' || one < ' ' || one === '\x7f');
  return bad ? `Option (-i) : bad token: (${alias})\n` : undefined;
}

/**
 * Permissions, apart from each other by commas; a comma may stand in the name of a minor node: four words each, of which
 * the second is a mode.
 */
export function permissionsOf(text: string): { entries: string[]; errors: string } {
  const entries: string[] = [];
  let errors = '';
  for (let rest = text.trim(); rest !== ''; ) {
    const { entry, behind } = nextPermission(rest);
    rest = behind;
    const words = entry.trim().split(/\s+/);
    if (words.length < 4) errors += `Option (-m) : missing token: (${entry})\n`;
    if (words.length > 4) errors += `Option (-m) : too many arguments: (${entry})\n`;
    // The command reads the mode as a decimal number, up to where it ends.
    const mode = Number.parseInt(words[1] ?? '0', 10) || 0;
    if (mode < 0 || mode > 4777) errors += `Bad mode: (${words[1] ?? ''})\n`;
    entries.push(entry.trim());
  }
  return { entries, errors };
}

/** One entry ends behind its fourth word, or at a comma behind the first. */
function nextPermission(text: string): { entry: string; behind: string } {
  let words = 0;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === ',' && words > 0) return { entry: text.slice(0, at), behind: text.slice(at + 1).trim() };
    if (!/\s/.test(text[at])) continue;
    while (/\s/.test(text[at + 1] ?? '')) at++;
    words++;
    if (words === 4) return { entry: text.slice(0, at), behind: text.slice(at + 1).replace(/^\s*,?\s*/, '') };
  }
  return { entry: text, behind: '' };
}

/** `minor mode owner group` as a line of /etc/minor_perm. */
export const permissionLine = (driver: string, entry: string): string => `${driver}:${entry}`;

/** Is it the line of that driver and that minor node? */
export const isAbout = ({ driver, minor }: MinorPermission, name: string, entry: string): boolean =>
  driver === name && minor === entry.split(/\s+/)[0];

// -- -p: device_policy(4) ---------------------------------------------------------------------------------------

/** Privileges that a set of device_policy(4) may name (privileges(5)); others come with -P. */
const PRIVILEGES: ReadonlySet<string> = new Set(
  (
    'contract_event contract_identity contract_observer cpc_cpu dtrace_kernel dtrace_proc dtrace_user file_chown ' +
    'file_chown_self file_dac_execute file_dac_read file_dac_search file_dac_write file_downgrade_sl file_flag_set ' +
    'file_link_any file_owner file_read file_setid file_upgrade_sl file_write graphics_access graphics_map ipc_dac_read ' +
    'ipc_dac_write ipc_owner net_access net_bindmlp net_icmpaccess net_mac_aware net_mac_implicit net_observability ' +
    'net_privaddr net_rawaccess proc_audit proc_chroot proc_clock_highres proc_exec proc_fork proc_info proc_lock_memory ' +
    'proc_owner proc_prioup proc_priocntl proc_session proc_setid proc_taskid proc_zone sys_acct sys_admin sys_audit ' +
    'sys_config sys_devices sys_dl_config sys_flow_config sys_ip_config sys_iptun_config sys_ipc_config sys_linkdir ' +
    'sys_mount sys_net_config sys_nfs sys_ppp_config sys_res_bind sys_res_config sys_resource sys_share sys_smb ' +
    'sys_suser_compat sys_time sys_trans_label virt_manage win_colormap win_config win_dac_read win_dac_write ' +
    'win_devices win_dga win_downgrade_sl win_fontpath win_mac_read win_mac_write win_selection win_upgrade_sl ' +
    'all none basic zone limit'
  ).split(' '),
);

/** `none`, `all`, or names joined by commas, each perhaps with `!` or `-` for without. */
function badPrivilege(value: string, extra: ReadonlySet<string>): string | undefined {
  let at = 0;
  for (const part of value.split(',')) {
    const name = part
      .replace(/^[!-]/, '')
      .replace(/^priv_/i, '')
      .toLowerCase();
    if (!PRIVILEGES.has(name) && !extra.has(name))
      return `Error in privilege set specification: ${value.slice(0, at)}[HERE->]${value.slice(at)}\n`;
    at += part.length + 1;
  }
  return undefined;
}

/** The lines that -p gives, each `driver:minor<TAB>token...`; or why it gives none. */
export function policyOf(
  text: string,
  driver: string,
  toDelete: boolean,
  extra: ReadonlySet<string>,
): { readonly lines: readonly string[] } | { readonly wrong: string } {
  const lines: string[] = [];
  let seen = false;
  for (const token of text.split(/\s+/).filter((one) => one !== '')) {
    const problem = token.includes('=') ? badPolicyToken(token, extra) : badMinor(token, toDelete);
    if (problem !== undefined) return { wrong: problem };
    seen = token.includes('=');
    if (!seen) lines.push(`${driver}:${token}`);
    else if (lines.length === 0) lines.push(`${driver}:*\t${token}`);
    else lines.push(`${lines.pop() ?? ''}\t${token}`);
  }
  if (lines.length === 0 || seen === toDelete) return { wrong: 'Invalid policy specification\n' };
  return { lines };
}

function badPolicyToken(token: string, extra: ReadonlySet<string>): string | undefined {
  const equals = token.indexOf('=');
  const name = token.slice(0, equals);
  if (name !== 'read_priv_set' && name !== 'write_priv_set') return `Bad policy token: \`\`${name}''.\n`;
  return badPrivilege(token.slice(equals + 1), extra);
}

/** A minor node's name with one star at most, or `(low-high)c` for numbers. */
function badMinor(token: string, toDelete: boolean): string | undefined {
  const bad = "Minor device specification cannot include ``:''.\n";
  if (token.includes(':')) return bad;
  if (!token.startsWith('(')) return token.split('*').length > 2 ? bad : undefined;
  const range = /^\((\d+)(?:-(\d+))?\)([cCbB]?)$/.exec(token);
  if (range === null || (!toDelete && range[3] === '')) return bad;
  return range[2] !== undefined && Number(range[2]) < Number(range[1]) ? bad : undefined;
}
