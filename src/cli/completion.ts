/** Completion scripts for three shells, made from the command table. They are static: TAB starts no process. */
import type { CommandSpec } from './command.ts';
import { optionsOf } from './help.ts';
import type { Completion, OptionSpec } from './option.ts';

export type ShellName = 'bash' | 'zsh' | 'fish';

export function completionScript(shell: ShellName, commands: readonly CommandSpec[]): string {
  return { bash, zsh, fish }[shell](commands);
}

/** Words a command's arguments can be, and whether they are files. `help` takes the names of commands. */
function argumentWords(spec: CommandSpec, commands: readonly CommandSpec[]): readonly string[] {
  if (spec.name === 'help') return commands.map((one) => one.name);
  return spec.arguments.flatMap((one) => (isWords(one.complete) ? one.complete : []));
}

function takesPaths(spec: CommandSpec): 'file' | 'directory' | undefined {
  const kinds = spec.arguments.map((one) => one.complete);
  if (kinds.includes('file') || kinds.includes('module')) return 'file';
  return kinds.includes('directory') ? 'directory' : undefined;
}

function isWords(complete: Completion | undefined): complete is readonly string[] {
  return typeof complete === 'object';
}

const forms = (option: OptionSpec) => [...(option.short ? [`-${option.short}`] : []), `--${option.name}`];

// bash

function bash(commands: readonly CommandSpec[]): string {
  const names = commands.map((one) => one.name).join(' ');
  return `# bash completion for lkm: eval "$(lkm completion bash)"
_lkm() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD - 1]}" command="" word
  COMPREPLY=()
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in
    ${commands.map((one) => one.name).join('|')}) command="$word"; break ;;
    esac
  done
  case "$command" in
${commands.map((spec) => bashCommand(spec, commands)).join('')}  *)
    case "$current" in
    -*) COMPREPLY=($(compgen -W "--help --version --color" -- "$current")) ;;
    *) COMPREPLY=($(compgen -W "${names}" -- "$current") $(compgen -f -- "$current")) ;;
    esac ;;
  esac
}
complete -o filenames -F _lkm lkm
`;
}

function bashCommand(spec: CommandSpec, commands: readonly CommandSpec[]): string {
  const options = optionsOf(spec);
  const values = options.filter((option) => option.value !== undefined);
  const cases = values
    .map((option) => `    ${forms(option).join('|')}) ${bashValue(option)}; return ;;\n`)
    .join('');
  const words = argumentWords(spec, commands).join(' ');
  const paths = takesPaths(spec);
  const parts = [
    words ? `$(compgen -W "${words}" -- "$current")` : '',
    paths ? `$(compgen ${paths === 'file' ? '-f' : '-d'} -- "$current")` : '',
  ].filter((part) => part !== '');
  const all = options.flatMap(forms).join(' ');
  return `  ${spec.name})
    case "$previous" in
${cases}    esac
    case "$current" in
    -*) COMPREPLY=($(compgen -W "${all}" -- "$current")) ;;
    *) COMPREPLY=(${parts.join(' ')}) ;;
    esac ;;
`;
}

function bashValue(option: OptionSpec): string {
  if (option.choices) return `COMPREPLY=($(compgen -W "${option.choices.join(' ')}" -- "$current"))`;
  if (option.complete === 'directory') return 'COMPREPLY=($(compgen -d -- "$current"))';
  if (option.complete === 'file' || option.complete === 'module')
    return 'COMPREPLY=($(compgen -f -- "$current"))';
  return ':';
}

// zsh

/** In _arguments brackets and colons end a description. */
const zshText = (text: string) => text.replace(/[[\]:\\]/g, '\\$&').replace(/'/g, "'\\''");

function zsh(commands: readonly CommandSpec[]): string {
  const list = commands.map((spec) => `    '${spec.name}:${zshText(spec.summary)}'`).join('\n');
  return `#compdef lkm
# zsh completion for lkm: lkm completion zsh > a folder of $fpath/_lkm
_lkm() {
  local -a commands
  commands=(
${list}
  )
  local -i at=2
  while (( at < CURRENT )) && [[ \${words[at]} == -* ]]; do (( at++ )); done
  if (( at >= CURRENT )); then
    _describe -t commands command commands
    _files
    return
  fi
  local command=\${words[at]}
  words=(\${words[at,-1]})
  (( CURRENT -= at - 1 ))
  case $command in
${commands.map((spec) => zshCommand(spec, commands)).join('')}  *) _files ;;
  esac
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _lkm "$@"; else compdef _lkm lkm; fi
`;
}

function zshCommand(spec: CommandSpec, commands: readonly CommandSpec[]): string {
  const specs = optionsOf(spec).flatMap((option) => forms(option).map((form) => zshOption(form, option)));
  const words = argumentWords(spec, commands);
  const paths = takesPaths(spec);
  if (words.length > 0) specs.push(`'1:argument:(${words.join(' ')})'`);
  if (paths) specs.push(`'*:file:${paths === 'file' ? '_files' : '_files -/'}'`);
  return `  ${spec.name})\n    _arguments -s \\\n      ${specs.join(' \\\n      ')} ;;\n`;
}

function zshOption(form: string, option: OptionSpec): string {
  const again = option.repeat ? '*' : '';
  const description = `[${zshText(option.summary)}]`;
  if (option.value === undefined) return `'${again}${form}${description}'`;
  const equals = form.startsWith('--') ? '=' : '+';
  return `'${again}${form}${equals}${description}:${option.value}:${zshValue(option)}'`;
}

function zshValue(option: OptionSpec): string {
  if (option.choices) return `(${option.choices.join(' ')})`;
  if (option.complete === 'directory') return '_files -/';
  return option.complete === 'file' || option.complete === 'module' ? '_files' : '';
}

// fish

const fishText = (text: string) => `'${text.replace(/[\\']/g, '\\$&')}'`;

function fish(commands: readonly CommandSpec[]): string {
  const names = commands.map((one) => one.name).join(' ');
  const lines = ['# fish completion for lkm: lkm completion fish > ~/.config/fish/completions/lkm.fish'];
  const none = `not __fish_seen_subcommand_from ${names}`;
  for (const spec of commands) {
    lines.push(`complete -c lkm -n '${none}' -a ${spec.name} -d ${fishText(spec.summary)}`);
    const seen = `-n '__fish_seen_subcommand_from ${spec.name}'`;
    for (const option of optionsOf(spec)) lines.push(`complete -c lkm ${seen} ${fishOption(option)}`);
    const words = argumentWords(spec, commands);
    if (words.length > 0) lines.push(`complete -c lkm ${seen} -a '${words.join(' ')}'`);
    if (!takesPaths(spec)) lines.push(`complete -c lkm ${seen} -f`);
  }
  return lines.join('\n') + '\n';
}

function fishOption(option: OptionSpec): string {
  const short = option.short ? `-s ${option.short} ` : '';
  const named = `${short}-l ${option.name}`;
  const description = `-d ${fishText(option.summary)}`;
  if (option.value === undefined) return `${named} ${description}`;
  if (option.choices) return `${named} -x -a '${option.choices.join(' ')}' ${description}`;
  const files = option.complete === 'file' || option.complete === 'module' || option.complete === 'directory';
  return `${named} ${files ? '-r -F' : '-x'} ${description}`;
}
