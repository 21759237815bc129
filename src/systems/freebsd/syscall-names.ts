/**
 * Which function of the kernel's serves which system call (sys/kern/syscalls.master). A number is never given away twice, so
 * that one list does for releases 8 to 12; later releases add behind. `-` stands for what is obsolete or was never used.
 */

/** From a number on, in order. */
const RANGES: readonly (readonly [first: number, names: string])[] = [
  [
    0,
    'nosys sys_exit fork read write open close wait4 - link unlink - chdir fchdir mknod chmod ' +
      'chown obreak - - getpid mount unmount setuid getuid geteuid ptrace recvmsg sendmsg recvfrom ' +
      'accept getpeername getsockname access chflags fchflags sync kill - getppid - dup pipe ' +
      'getegid profil ktrace - getgid - getlogin setlogin acct - sigaltstack ioctl reboot revoke ' +
      'symlink readlink execve umask chroot',
  ],
  [
    65,
    'msync vfork - - sbrk sstk - ovadvise munmap mprotect madvise - - mincore getgroups setgroups ' +
      'getpgrp setpgid setitimer - swapon getitimer',
  ],
  [89, 'getdtablesize dup2 - fcntl select - fsync setpriority socket connect - getpriority'],
  [104, 'bind setsockopt listen'],
  [
    116,
    'gettimeofday getrusage getsockopt - readv writev settimeofday fchown fchmod - setreuid ' +
      'setregid rename - - flock mkfifo sendto shutdown socketpair mkdir rmdir utimes - adjtime',
  ],
  [147, 'setsid quotactl'],
  [160, 'lgetfh getfh - - - sysarch rtprio'],
  [175, 'setfib ntp_adjtime'],
  [181, 'setgid setegid seteuid'],
  [188, 'stat fstat lstat pathconf fpathconf - getrlimit setrlimit getdirentries'],
  [198, 'nosys - - - __sysctl mlock munlock undelete futimes getpgid - poll'],
  [
    232,
    'clock_gettime clock_settime clock_getres ktimer_create ktimer_delete ktimer_settime ' +
      'ktimer_gettime ktimer_getoverrun nanosleep',
  ],
  [248, 'ntp_gettime - minherit rfork openbsd_poll issetugid lchown'],
  [272, 'getdents - lchmod lchown lutimes msync nstat nfstat nlstat'],
  [289, 'preadv pwritev'],
  [
    298,
    'fhopen fhstat modnext modstat modfnext modfind kldload kldunload kldfind kldnext kldstat ' +
      'kldfirstmod getsid setresuid setresgid',
  ],
  [
    321,
    'yield - - mlockall munlockall __getcwd sched_setparam sched_getparam sched_setscheduler ' +
      'sched_getscheduler sched_yield sched_get_priority_max sched_get_priority_min ' +
      'sched_rr_get_interval utrace - kldsym jail',
  ],
  [
    340,
    'sigprocmask sigsuspend - sigpending - sigtimedwait sigwaitinfo __acl_get_file __acl_set_file ' +
      '__acl_get_fd __acl_set_fd __acl_delete_file __acl_delete_fd __acl_aclcheck_file ' +
      '__acl_aclcheck_fd extattrctl extattr_set_file extattr_get_file extattr_delete_file',
  ],
  [360, 'getresuid getresgid kqueue kevent'],
  [371, 'extattr_set_fd extattr_get_fd extattr_delete_fd __setugid - eaccess - nmount'],
  [
    384,
    '__mac_get_proc __mac_set_proc __mac_get_fd __mac_get_file __mac_set_fd __mac_set_file kenv ' +
      'lchflags uuidgen sendfile mac_syscall getfsstat statfs fstatfs fhstatfs',
  ],
  [
    409,
    '__mac_get_pid __mac_get_link __mac_set_link extattr_set_link extattr_get_link ' +
      'extattr_delete_link __mac_execve sigaction sigreturn - - - getcontext setcontext swapcontext ' +
      'swapoff __acl_get_link __acl_set_link __acl_delete_link __acl_aclcheck_link sigwait ' +
      'thr_create thr_exit thr_self thr_kill _umtx_lock _umtx_unlock jail_attach extattr_list_fd ' +
      'extattr_list_file extattr_list_link',
  ],
  [
    442,
    'thr_suspend thr_wake kldunloadf audit auditon getauid setauid getaudit setaudit ' +
      'getaudit_addr setaudit_addr auditctl _umtx_op thr_new sigqueue',
  ],
  [463, 'abort2 thr_set_name - rtprio_thread'],
  [
    475,
    'pread pwrite mmap lseek truncate ftruncate thr_kill2 shm_open shm_unlink cpuset cpuset_setid ' +
      'cpuset_getid cpuset_getaffinity cpuset_setaffinity faccessat fchmodat fchownat fexecve ' +
      'fstatat futimesat linkat mkdirat mkfifoat mknodat openat readlinkat renameat symlinkat ' +
      'unlinkat posix_openpt',
  ],
  [506, 'jail_get jail_set jail_remove closefrom'],
  [
    518,
    'cap_enter cap_getmode pdfork pdkill pdgetpid - pselect getloginclass setloginclass ' +
      'rctl_get_racct rctl_get_rules rctl_get_limits rctl_add_rule rctl_remove_rule posix_fallocate ' +
      'posix_fadvise wait6 cap_rights_limit cap_ioctls_limit cap_ioctls_get cap_fcntls_limit ' +
      'cap_fcntls_get bindat connectat chflagsat accept4 pipe2 - procctl ppoll futimens utimensat - ' +
      '- fdatasync fstat fstatat fhstat getdirentries statfs fstatfs getfsstat fhstatfs mknodat',
  ],
];

/** Names by number, without the `sys_` that 9.0 put before them. */
export const SYSCALL_NAMES: ReadonlyMap<number, string> = new Map(
  RANGES.flatMap(([first, names]) =>
    names
      .split(' ')
      .map((name, i): readonly [number, string] => [first + i, name])
      .filter(([, name]) => name !== '-'),
  ),
);
