/** Tasks by their numbers (kernel/pid.c), and signals sent that way (kernel/signal.c). */
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { getPid, pidNumber, pidOf, pidTask, putPid } from '../pid.ts';
import { kernelFunctions } from './define.ts';
import { sendSignal } from './signals.ts';

function findPid(k: Linux, number: number): Address {
  const task = k.tasks.byNumber(number);
  return task === 0 ? 0 : pidOf(k, task);
}

/** get_task_struct */
function getTask(k: Linux, task: Address): Address {
  const count = 'task_struct.usage.refs.counter';
  if (task !== 0) k.write(count, task, k.read(count, task) + 1);
  return task;
}

const numberOf = (k: Linux, task: Address): number => pidNumber(k, pidOf(k, task));

export const pidFunctions = kernelFunctions({
  'struct pid *find_vpid(int nr)': findPid,
  'struct pid *find_pid_ns(int nr, struct pid_namespace *ns)': findPid,
  'struct pid *find_get_pid(pid_t nr)': (k, number) => getPid(k, findPid(k, number)),
  'struct task_struct *pid_task(struct pid *pid, enum pid_type type)': pidTask,
  'struct task_struct *get_pid_task(struct pid *pid, enum pid_type type)': (k, pid, kind) =>
    getTask(k, pidTask(k, pid, kind)),
  'struct pid *get_task_pid(struct task_struct *task, enum pid_type type)': (k, task) =>
    getPid(k, pidOf(k, task)),
  'void put_pid(struct pid *pid)': putPid,
  'pid_t pid_nr_ns(struct pid *pid, struct pid_namespace *ns)': (k, pid) => pidNumber(k, pid),
  'pid_t pid_vnr(struct pid *pid)': pidNumber,
  'pid_t __task_pid_nr_ns(struct task_struct *task, enum pid_type type, struct pid_namespace *ns)': (
    k,
    task,
  ) => numberOf(k, task),
  'struct pid_namespace *task_active_pid_ns(struct task_struct *tsk)': (k) =>
    k.file.exports.find('init_pid_ns')?.address ?? 0,
  'int send_sig_info(int sig, struct kernel_siginfo *info, struct task_struct *p)': (
    k,
    signal,
    _info,
    task,
  ) => sendSignal(k, signal, task),
  'int kill_pid(struct pid *pid, int sig, int priv)': (k, pid, signal) => {
    const task = pidTask(k, pid, 0);
    return task === 0 ? -Errno.ESRCH : sendSignal(k, signal, task);
  },
});
