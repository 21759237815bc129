import type { Command } from '../command.ts';

export const command: Command = {
  async run({ options, packaged, readFile, out, json }) {
    const manifest = new TextDecoder().decode(readFile(packaged('package.json')));
    const { version } = JSON.parse(manifest) as { version: string };
    const { node, v8 } = process.versions;
    const platform = `${process.platform}-${process.arch}`;
    if (options.flag('json')) json('lkm.version/1', { version, node, v8, platform });
    else out(`lkm ${version} (Node ${node}, ${platform})\n`);
    return 0;
  },
};
