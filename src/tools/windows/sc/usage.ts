/**
 * How sc says that it is used: of create and config as transcripts of Windows 7 to 11 show it; of start, delete and qc from memory, since
 * nobody has published them. Commands whose usage is not known at all answer with the usage of sc itself.
 */

const PROGRAM =
  'DESCRIPTION:\n        SC is a command line program used for communicating with the\n        Service Control Manager and services.\n' +
  'USAGE:\n        sc <server> [command] [service name] <option1> <option2>...\n\n';

const OPTIONS = (types: string, note: string, defaults: boolean): string => {
  const otherwise = (value: string) => (defaults ? `       (default = ${value})\n` : '');
  return (
    '\nOPTIONS:\nNOTE: The option name includes the equal sign.\n' +
    `      A space is required between the equal sign and the value.\n${note}` +
    ` type= <${types}>\n${otherwise('own')}` +
    ` start= <boot|system|auto|demand|disabled|delayed-auto>\n${otherwise('demand')}` +
    ` error= <normal|severe|critical|ignore>\n${otherwise('normal')}` +
    ' binPath= <BinaryPathName to the .exe file>\n group= <LoadOrderGroup>\n tag= <yes|no>\n' +
    ' depend= <Dependencies(separated by / (forward slash))>\n' +
    ` obj= <AccountName|ObjectName>\n${otherwise('LocalSystem')}` +
    ' DisplayName= <display name>\n password= <password>\n'
  );
};

const usage = (description: string, words: string, options = ''): string =>
  `DESCRIPTION:\n        ${description}\nUSAGE:\n        sc <server> ${words}\n${options}`;

const USAGES: Readonly<Record<string, string>> = {
  create: usage(
    'Creates a service entry in the registry and Service Database.',
    'create [service name] [binPath= ] <option1> <option2>...',
    OPTIONS('own|share|interact|kernel|filesys|rec|userown|usershare', '', true),
  ),
  config: usage(
    'Modifies a service entry in the registry and Service Database.',
    'config [service name] <option1> <option2>...',
    OPTIONS(
      'own|share|interact|kernel|filesys|rec|adapt|userown|usershare',
      '      To remove the dependency, use a single / as dependency value.\n',
      false,
    ),
  ),
  start: usage('Starts a service running.', 'start [service name] <arg1> <arg2> ...'),
  delete: usage(
    'Deletes a service entry from the registry.\n        If the service is running, or another process has an\n' +
      '        open handle to the service, the service is simply marked\n        for deletion.',
    'delete [service name]',
  ),
  qc: usage('Queries the configuration information for a service.', 'qc [service name] <bufferSize>'),
};

/** @param command undefined, or one that has no usage of its own: the program's */
export const scUsage = (command?: string): string => USAGES[command ?? ''] ?? PROGRAM;
