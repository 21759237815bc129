/**
 * Functions of the kernel that it does not export and that nobody wrote here, for those who look them up by name: probes, function
 * tracing, kallsyms_lookup_name. A kernel image without its symbol table does not say what they are called, so the names are
 * kept here. Such a function has an address and can be watched; who calls it is told that it is missing, by name.
 */
import { perKernel } from '../../kernel/kernel.ts';
import type { Address } from '../../memory/address.ts';
import type { Linux } from './linux.ts';
import { nativeGate } from './syscall.ts';

/** Entry points of system calls, without their prefix (arch/x86/entry/syscalls/syscall_64.tbl of 6.1). */
const SYSTEM_CALLS = new Set(
  (
    'read write open close newstat newfstat newlstat poll lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask ' +
    'rt_sigreturn ioctl pread64 pwrite64 readv writev access pipe select sched_yield mremap msync mincore madvise ' +
    'shmget shmat shmctl dup dup2 pause nanosleep getitimer alarm setitimer getpid sendfile64 socket connect accept ' +
    'sendto recvfrom sendmsg recvmsg shutdown bind listen getsockname getpeername socketpair setsockopt getsockopt ' +
    'clone fork vfork execve exit wait4 kill newuname semget semop semctl shmdt msgget msgsnd msgrcv msgctl fcntl ' +
    'flock fsync fdatasync truncate ftruncate getdents getcwd chdir fchdir rename mkdir rmdir creat link unlink ' +
    'symlink readlink chmod fchmod chown fchown lchown umask gettimeofday getrlimit getrusage sysinfo times ptrace ' +
    'getuid syslog getgid setuid setgid geteuid getegid setpgid getppid getpgrp setsid setreuid setregid getgroups ' +
    'setgroups setresuid getresuid setresgid getresgid getpgid setfsuid setfsgid getsid capget capset rt_sigpending ' +
    'rt_sigtimedwait rt_sigqueueinfo rt_sigsuspend sigaltstack utime mknod personality ustat statfs fstatfs ' +
    'getpriority setpriority sched_setparam sched_getparam sched_setscheduler sched_getscheduler ' +
    'sched_get_priority_max sched_get_priority_min sched_rr_get_interval mlock munlock mlockall munlockall vhangup ' +
    'modify_ldt pivot_root prctl arch_prctl adjtimex setrlimit chroot sync acct settimeofday mount umount swapon ' +
    'swapoff reboot sethostname setdomainname iopl ioperm init_module delete_module quotactl gettid readahead ' +
    'setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr removexattr ' +
    'lremovexattr fremovexattr tkill time futex sched_setaffinity sched_getaffinity io_setup io_destroy io_getevents ' +
    'io_submit io_cancel epoll_create remap_file_pages getdents64 set_tid_address restart_syscall semtimedop ' +
    'fadvise64 timer_create timer_settime timer_gettime timer_getoverrun timer_delete clock_settime clock_gettime ' +
    'clock_getres clock_nanosleep exit_group epoll_wait epoll_ctl tgkill utimes mbind set_mempolicy get_mempolicy ' +
    'mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr kexec_load waitid add_key request_key ' +
    'keyctl ioprio_set ioprio_get inotify_init inotify_add_watch inotify_rm_watch migrate_pages openat mkdirat ' +
    'mknodat fchownat futimesat newfstatat unlinkat renameat linkat symlinkat readlinkat fchmodat faccessat pselect6 ' +
    'ppoll unshare set_robust_list get_robust_list splice tee sync_file_range vmsplice move_pages utimensat ' +
    'epoll_pwait signalfd timerfd_create eventfd fallocate timerfd_settime timerfd_gettime accept4 signalfd4 eventfd2 ' +
    'epoll_create1 dup3 pipe2 inotify_init1 preadv pwritev rt_tgsigqueueinfo perf_event_open recvmmsg fanotify_init ' +
    'fanotify_mark prlimit64 name_to_handle_at open_by_handle_at clock_adjtime syncfs sendmmsg setns getcpu ' +
    'process_vm_readv process_vm_writev kcmp finit_module sched_setattr sched_getattr renameat2 seccomp getrandom ' +
    'memfd_create kexec_file_load bpf execveat userfaultfd membarrier mlock2 copy_file_range preadv2 pwritev2 ' +
    'pkey_mprotect pkey_alloc pkey_free statx io_pgetevents rseq pidfd_send_signal io_uring_setup io_uring_enter ' +
    'io_uring_register open_tree move_mount fsopen fsconfig fsmount fspick pidfd_open clone3 close_range openat2 ' +
    'pidfd_getfd faccessat2 process_madvise epoll_pwait2 mount_setattr quotactl_fd landlock_create_ruleset ' +
    'landlock_add_rule landlock_restrict_self memfd_secret process_mrelease futex_waitv set_mempolicy_home_node'
  ).split(' '),
);

/** What modules that watch processes, files and connections put their probes on. */
const FUNCTIONS = new Set(
  (
    'kernel_clone do_exit do_group_exit do_sys_open do_sys_openat2 do_filp_open do_unlinkat do_rmdir do_mkdirat ' +
    'do_linkat do_renameat2 vfs_read vfs_write ksys_read ksys_write do_execveat_common begin_new_exec ' +
    'wake_up_new_task copy_process finish_task_switch handle_mm_fault do_mmap exit_mmap do_init_module load_module ' +
    'free_module tcp_v4_connect tcp_v6_connect tcp_v4_rcv tcp_v4_do_rcv tcp_sendmsg_locked tcp4_seq_show ' +
    'tcp6_seq_show udp4_seq_show udp6_seq_show udp_rcv ip_rcv packet_rcv tpacket_rcv inet_csk_accept filldir ' +
    'filldir64 compat_filldir fillonedir iterate_dir security_file_open security_bprm_check security_inode_create ' +
    'security_inode_unlink security_task_kill security_socket_connect do_send_sig_info __do_sys_kill ' +
    'account_process_tick update_process_times do_nanosleep do_notify_resume random_read urandom_read ' +
    'input_handle_event kbd_event do_mount path_mount blk_mq_start_request blk_account_io_done'
  ).split(' '),
);

const made = perKernel<Map<string, Address>, Linux>(() => new Map());

/** The address of such a function; undefined for a name that is none. */
export function probedName(k: Linux, name: string): Address | undefined {
  const { prefix } = nativeGate(k);
  const ofCall = name.startsWith(prefix) && SYSTEM_CALLS.has(name.slice(prefix.length));
  if (!ofCall && !FUNCTIONS.has(name)) return undefined;
  const known = k.state(made).get(name);
  if (known !== undefined) return known;
  const at = k.takeGate();
  k.bindMissing(name, at);
  k.state(made).set(name, at);
  return at;
}
