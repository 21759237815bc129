/** Devices that appear and go, by a command of ours: what a bus would find, and what the device manager lists. */
import type { Steps } from '../../kernel/steps.ts';
import { deviceName } from '../../systems/windows/devices.ts';
import {
  addNode,
  type DeviceNode,
  deviceNodes,
  nodeNamed,
  removeNode,
  surpriseNode,
} from '../../systems/windows/pnp.ts';
import type { SessionPolicy } from '../../systems/windows/policy.ts';
import { statusText, win32Error } from '../../systems/windows/status.ts';
import type { Windows } from '../../systems/windows/windows.ts';
import type { ToolResult } from '../system.ts';
import { errorText } from './errors.ts';

export interface NodeContext {
  readonly k: Windows;
  readonly policy: SessionPolicy;
  readonly perform: <T>(name: string, steps: Steps<T>) => T;
}

const USAGE = 'device add SERVICE [NAME] | remove INSTANCE [/surprise] | list\n';

const ok = (out: string): ToolResult => ({ code: 0, out, err: '' });
function failed({ release }: Windows, status: number, what: string, why = ''): ToolResult {
  const error = win32Error(status, release);
  const note = `${what}: ${statusText(status)}${why === '' ? '' : `. ${why}`}`;
  return { code: error || 1, out: '', err: `${errorText(error)}\n`, note };
}

export function deviceCommand(context: NodeContext, [verb, name, more]: readonly string[]): ToolResult {
  if (verb === 'list')
    return ok(
      deviceNodes(context.k)
        .map((node) => line(context.k, node))
        .join(''),
    );
  if (name === undefined) return { code: 87, out: '', err: USAGE };
  if (verb === 'add') return add(context, name, more ?? name);
  return verb === 'remove' ? remove(context, name, more === '/surprise') : { code: 87, out: '', err: USAGE };
}

/** An instance, its state, and the device objects of its stack from the bottom up. */
function line(k: Windows, { instance, pdo, started, problem }: DeviceNode): string {
  const stack: string[] = [];
  for (let at = pdo; at !== 0 && stack.length < 64; at = k.read('DEVICE_OBJECT.AttachedDevice', at)) {
    const driver = k.objects.at(k.read('DEVICE_OBJECT.DriverObject', at))?.name ?? '';
    const name = deviceName(k, at);
    stack.push(driver.slice(driver.lastIndexOf('\\') + 1) + (name === undefined ? '' : ` (${name})`));
  }
  const state = started
    ? 'started'
    : problem === undefined
      ? 'stopped'
      : `${problem.what}: ${statusText(problem.status)}`;
  return `${instance}  ${state}\n    ${stack.join(' < ')}\n`;
}

function add({ k, policy, perform }: NodeContext, service: string, name: string): ToolResult {
  const node = perform('System', addNode(k, policy, name.replaceAll('\\', '_'), service));
  if (typeof node === 'number') return failed(k, node, 'the device');
  const { problem } = node;
  return problem === undefined ? ok(line(k, node)) : failed(k, problem.status, problem.what, problem.why);
}

function remove({ k, perform }: NodeContext, instance: string, surprise: boolean): ToolResult {
  const node = nodeNamed(k, instance);
  if (node === undefined) return failed(k, 0xc0000034 | 0, instance);
  const status = perform('System', surprise && node.started ? surpriseNode(k, node) : removeNode(k, node));
  return status === 0 ? ok('') : failed(k, status, `${node.instance} stays`);
}
