/**
 * The structures that kernel and modules share, as C declarations of our own: field names, order and types are those of
 * FreeBSD's headers (named at each), so that the layouts follow for i386 and amd64 alike. What changed between major
 * versions is chosen by the kernel's `__FreeBSD_version`; versions below 8 and above 15 use the nearest known one. For 9.3,
 * 10.2, 10.4, 12.1 and 15.0 every offset is that of the headers, compiled for both machines.
 */
import { Declarations } from '../../ctypes/declarations.ts';
import { ILP32_I386, LP64 } from '../../ctypes/model.ts';
import { TypeTable } from '../../ctypes/table.ts';
import { majorOf } from './version.ts';

const BASIC = `
typedef unsigned char u_char; typedef unsigned short u_short; typedef unsigned int u_int; typedef unsigned long u_long;
typedef signed char int8_t; typedef unsigned char uint8_t; typedef short int16_t; typedef unsigned short uint16_t;
typedef int int32_t; typedef unsigned int uint32_t; typedef long long int64_t; typedef unsigned long long uint64_t;
typedef unsigned int u_int32_t; typedef unsigned char u_int8_t; typedef unsigned short u_int16_t;
typedef unsigned long long u_int64_t; typedef long long quad_t; typedef unsigned long long u_quad_t;
typedef unsigned long size_t; typedef long ssize_t; typedef long intptr_t; typedef unsigned long uintptr_t;
typedef long register_t; typedef long long off_t; typedef unsigned short mode_t; typedef unsigned int uid_t;
typedef unsigned int gid_t; typedef int pid_t; typedef char *caddr_t; typedef const char *c_caddr_t;
typedef unsigned long vm_offset_t; typedef unsigned long vm_size_t; typedef int64_t sbintime_t; typedef int64_t daddr_t;
typedef long long intmax_t; typedef unsigned long long uintmax_t; typedef struct va_list_tag { long words[3]; } va_list;
typedef int boolean_t; typedef unsigned long rman_res_t; typedef unsigned char bool_t;
`;

/** sys/module.h, sys/kernel.h, sys/linker.h. */
const MODULES = `
struct mod_metadata { int md_version; int md_type; const void *md_data; const char *md_cval; };
struct mod_depend { int md_ver_minimum; int md_ver_preferred; int md_ver_maximum; };
struct mod_version { int mv_version; };
struct mod_pnp_match_info { const char *descr; const char *bus; const void *table; int entry_len; int num_entry; };
struct moduledata { const char *name; void *evhand; void *priv; };
/* What follows these two differs: see KldFile.sysinitFunction. */
struct sysinit { unsigned int subsystem; unsigned int order; };

/* sys/linker.h: what modules may walk; TAILQ_ENTRY is a pointer and the address of the pointer to it. */
struct tailq_entry { void *tqe_next; void *tqe_prev; };
struct tailq_head { void *tqh_first; void *tqh_last; };
/* kern_module.c: opaque to modules, who only pass its address on. */
struct module {
  struct tailq_entry link; struct tailq_entry flink; struct linker_file *file; int refs; int id; char *name;
  void *handler; void *arg; long data;
};
`;

/** sys/linker.h: constructors came with 11 (10.4 has none, 12.1 has them), destructors with 15 at the latest. */
function linkerFile(major: number): string {
  const constructors = major < 11 ? '' : 'char *ctors_addr; size_t ctors_size;';
  const destructors = major < 15 ? '' : 'int ctors_invoked; char *dtors_addr; size_t dtors_size;';
  return `
struct linker_file {
  void *ops; int refs; int userrefs; int flags; struct tailq_entry link; char *filename; char *pathname; int id;
  char *address; size_t size; ${constructors} ${destructors} int ndeps; struct linker_file **deps;
  struct tailq_head common; struct tailq_head modules; struct tailq_entry loaded; int loadcnt; int nenabled; int fbt_nentries;
};`;
}

/** sys/malloc.h up to 12 and from 13 on: the magic number gave way to a version, what was allocated apart moved inside. */
const MALLOC_OLD = `struct malloc_type { struct malloc_type *ks_next; u_long ks_magic; const char *ks_shortdesc; void *ks_handle; };`;
const MALLOC_NEW = `
struct malloc_type {
  struct malloc_type *ks_next; u_long ks_version; const char *ks_shortdesc;
  unsigned int mti_probes[2]; u_char mti_zone; void *mti_stats; u_long mti_spare[8];
};`;

const SYSCTL_TAIL = `
  int oid_number; unsigned int oid_kind; void *oid_arg1; oid_arg2_t oid_arg2; const char *oid_name; void *oid_handler;
  const char *oid_fmt;`;

/** sys/sysctl.h: children moved into the oid with 11, became a tree with 14. */
function sysctlOid(major: number): string {
  const tail = SYSCTL_TAIL;
  if (major < 9) {
    return `struct sysctl_oid { void *oid_parent; struct sysctl_oid *oid_link; ${tail} int oid_refcnt; const char *oid_descr; };`;
  }
  const counts = 'int oid_refcnt; unsigned int oid_running; const char *oid_descr;';
  if (major < 11)
    return `struct sysctl_oid { void *oid_parent; struct sysctl_oid *oid_link; ${tail} ${counts} };`;
  const label = major < 12 ? '' : 'const char *oid_label;';
  const link = major < 14 ? 'struct sysctl_oid *oid_link;' : 'struct sysctl_oid *oid_link; void *oid_rb[2];';
  return `struct sysctl_oid { void *oid_children; void *oid_parent; ${link} ${tail} ${counts} ${label} };`;
}

const SYSCTL = `
struct sysctl_req {
  void *td; int lock; char *oldptr; size_t oldlen; size_t oldidx; void *oldfunc; char *newptr; size_t newlen;
  size_t newidx; void *newfunc; size_t validlen; int flags;
};
struct sysctl_ctx_entry { struct sysctl_oid *entry; struct tailq_entry link; };
`;

/** sys/conf.h, D_VERSION_03. */
const DEVICES = `
struct cdevsw {
  int d_version; unsigned int d_flags; const char *d_name; void *d_open; void *d_fdopen; void *d_close; void *d_read;
  void *d_write; void *d_ioctl; void *d_poll; void *d_mmap; void *d_strategy; void *d_dump; void *d_kqfilter;
  void *d_purge; void *d_mmap_single; int d_spare0[3]; void *d_spare1[3]; void *d_devs; int d_spare2; void *d_gianttrick;
};
struct make_dev_args {
  size_t mda_size; int mda_flags; struct cdevsw *mda_devsw; void *mda_cr; uid_t mda_uid; gid_t mda_gid; int mda_mode;
  int mda_unit; void *mda_si_drv1; void *mda_si_drv2;
};
struct iovec { void *iov_base; size_t iov_len; };
struct uio {
  struct iovec *uio_iov; int uio_iovcnt; off_t uio_offset; ssize_t uio_resid; int uio_segflg; int uio_rw; void *uio_td;
};
`;

/**
 * sys/conf.h, struct cdev, and what devfs keeps behind it (fs/devfs/devfs_int.h): up to 9 the name is a pointer to the
 * array at the end, from 13 on that array is longer.
 */
function cdev(major: number): string {
  const [pointer, mount] = major < 10 ? ['char *si_name;', ''] : ['', 'void *si_mountpt;'];
  const first = major === 9 ? 'void *si_mountpt;' : 'void *si_spare0;';
  const name = major < 10 ? 'si_namebuf[64]' : major < 13 ? 'si_name[64]' : 'si_name[256]';
  return `
struct cdev {
  ${first} unsigned int si_flags; long si_atime[2]; long si_ctime[2]; long si_mtime[2]; uid_t si_uid; gid_t si_gid;
  mode_t si_mode; void *si_cred; int si_drv0; int si_refcount; void *si_list[2]; void *si_clone[2]; void *si_children;
  void *si_siblings[2]; struct cdev *si_parent; ${mount} ${pointer} void *si_drv1; void *si_drv2; struct cdevsw *si_devsw;
  int si_iosize_max; u_long si_usecount; u_long si_threadcount; void *si_u; char ${name};
};
struct cdev_priv { struct cdev cdp_c; struct tailq_entry cdp_list; u_int cdp_inode; u_int cdp_flags; u_int cdp_inuse; u_int cdp_maxdirent; void *cdp_rest[7]; ${major < 15 ? '' : 'struct mtx cdp_threadlock;'} };
`;
}

/**
 * sys/proc.h, sys/ucred.h and sys/callout.h: the beginning of struct proc and struct ucred. p_pid of 8.0, 10.1, 11.2 and 14.2
 * is where modules of these releases look for it; 13 and 14 have struct proc as 15 has it, and struct ucred as modules of 14.2
 * read cr_prison.
 */
function processes(version: number, bits: Bits): string {
  const major = majorOf(version);
  const time = major < 10 ? 'int c_time;' : 'sbintime_t c_time; sbintime_t c_precision;';
  const flag2 = version < 903000 ? '' : 'int p_flag2;';
  const paths = major < 13 ? '' : 'void *p_pd;';
  const reaper = major < 11 ? '' : 'struct proc *p_reaper; void *p_reaplist; void *p_reapsibling[2];';
  return `
struct callout { void *c_links[2]; ${time} void *c_arg; void *c_func; void *c_lock; int c_flags; int c_cpu; };
${major < 13 ? oldCredential(major, bits) : newCredential(major)}
struct proc {
  void *p_list[2]; void *p_threads[2]; struct mtx p_slock; struct ucred *p_ucred; void *p_fd; void *p_fdtol; ${paths} void *p_stats;
  void *p_limit; struct callout p_limco; void *p_sigacts; int p_flag; ${flag2} int p_state; pid_t p_pid; void *p_hash[2];
  void *p_pglist[2]; struct proc *p_pptr; void *p_sibling[2]; void *p_children; ${reaper} struct mtx p_mtx;
};
`;
}

/** struct auditinfo_addr, whose flags are aligned to eight bytes on every machine. */
const AUDIT = 'uint64_t cr_audit[6];';

function oldCredential(major: number, bits: Bits): string {
  const login = major < 9 ? '' : 'void *cr_loginclass;';
  const gap = bits === 32 && major >= 9 ? 'int cr_gap;' : '';
  const small = major < 12 ? '' : 'gid_t cr_smallgroups[16];';
  return `
struct ucred {
  unsigned int cr_ref; uid_t cr_uid; uid_t cr_ruid; uid_t cr_svuid; int cr_ngroups; gid_t cr_rgid; gid_t cr_svgid;
  void *cr_uidinfo; void *cr_ruidinfo; void *cr_prison; ${login} unsigned int cr_flags; void *cr_pspare2[2]; void *cr_label;
  ${gap} ${AUDIT} gid_t *cr_groups; int cr_agroups; ${small}
};`;
}

/** A lock came first with 13; 15 counts in a long, and has the effective group beside the others. */
function newCredential(major: number): string {
  const counts = major < 14 ? 'unsigned int cr_ref;' : 'long cr_ref;';
  const ids =
    major < 15
      ? 'uid_t cr_uid; uid_t cr_ruid; uid_t cr_svuid; int cr_ngroups; gid_t cr_rgid; gid_t cr_svgid;'
      : 'int cr_ngroups; uid_t cr_uid; uid_t cr_ruid; uid_t cr_svuid; gid_t cr_gid; gid_t cr_rgid; gid_t cr_svgid;';
  return `
struct ucred {
  struct mtx cr_mtx; ${counts} unsigned int cr_users; unsigned int cr_flags; ${AUDIT} ${ids} void *cr_uidinfo;
  void *cr_ruidinfo; void *cr_prison; void *cr_loginclass; void *cr_pspare2[2]; void *cr_label; gid_t *cr_groups;
  int cr_agroups; gid_t cr_smallgroups[16];
};`;
}

/** sys/_lock.h, sys/_mutex.h, sys/_sx.h, sys/_rwlock.h. */
const LOCKS = `
struct lock_object { const char *lo_name; unsigned int lo_flags; unsigned int lo_data; void *lo_witness; };
struct mtx { struct lock_object lock_object; uintptr_t mtx_lock; };
struct sx { struct lock_object lock_object; uintptr_t sx_lock; };
struct rwlock { struct lock_object lock_object; uintptr_t rw_lock; };
struct mtx_args { void *ma_mtx; const char *ma_desc; int ma_opts; };
struct sx_args { void *sa_sx; const char *sa_desc; int sa_flags; };
struct rw_args { void *ra_rw; const char *ra_desc; int ra_flags; };
`;

/** sys/sysent.h, sys/syscall.h: a count came with 8.1, made smaller with 13. */
function syscalls(version: number): string {
  const major = majorOf(version);
  const flags = major < 11 ? '' : 'int flags;';
  const count = version < 801000 ? '' : 'unsigned int sy_thrcnt;';
  const fields =
    major < 13
      ? `int sy_narg; void *sy_call; unsigned short sy_auevent; void *sy_systrace_args_func; unsigned int sy_entry;
         unsigned int sy_return; unsigned int sy_flags; ${count}`
      : `void *sy_call; void *sy_systrace_args_func; unsigned char sy_narg; unsigned char sy_flags;
         unsigned short sy_auevent; unsigned int sy_entry; unsigned int sy_return; unsigned int sy_thrcnt;`;
  return `
struct sysent { ${fields} };
struct syscall_module_data {
  void *chainevh; void *chainarg; int *offset; struct sysent *new_sysent; struct sysent old_sysent; ${flags}
};`;
}

/** sys/mount.h: a flag for prisons came with 12, operations that send signals later with 13. */
function filesystems(major: number): string {
  return `
struct vfsconf {
  unsigned int vfc_version; char vfc_name[16]; void *vfc_vfsops; ${major < 13 ? '' : 'void *vfc_vfsops_sd;'} int vfc_typenum;
  int vfc_refcount; int vfc_flags; ${major < 12 ? '' : 'int vfc_prison_flag;'} void *vfc_opts; void *vfc_list[2];
};
`;
}

/** sys/sbuf.h: drains and sizes of the machine's word came with 9. The word that 8 has no use for keeps our error. */
function sbuf(major: number): string {
  if (major < 9) return 'struct sbuf { char *s_buf; long s_error; int s_size; int s_len; int s_flags; };';
  return `struct sbuf {
    char *s_buf; void *s_drain_func; void *s_drain_arg; int s_error; ssize_t s_size; ssize_t s_len; int s_flags;
    ssize_t s_sect_len; ${major < 12 ? '' : 'ssize_t s_rec_off;'} };`;
}

/** sys/bus.h, sys/kobj.h: what an operation does by default stands apart up to 9. */
const buses = (major: number): string => `
struct driver_module_data {
  void *dmd_chainevh; void *dmd_chainarg; const char *dmd_busname; void *dmd_driver; void **dmd_devclass; int dmd_pass;
};
struct kobj_method { struct kobjop_desc *desc; void *func; };
struct kobjop_desc { unsigned int id; struct kobj_method ${major < 10 ? '*' : ''}deflt; };
struct kobj_ops { struct kobj_method *cache[256]; struct kobj_class *cls; };
struct kobj_class {
  const char *name; struct kobj_method *methods; size_t size; void **baseclasses; unsigned int refs; void *ops;
};
`;

/** Major versions whose layouts are written down; others are given the nearest one's. */
export const FIRST_KNOWN = 8;
export const LAST_KNOWN = 15;

/** The architectures whose layouts are known: by bits of a pointer. */
export type Bits = 32 | 64;

/** The layouts of a kernel that calls itself `version` on a machine of so many bits. */
export function freebsdTypes(version: number, bits: Bits): TypeTable {
  return new TypeTable(freebsdDeclarations(version, bits));
}

/** Declarations that prototypes of kernel functions are read with. */
export function freebsdDeclarations(version: number, bits: Bits): Declarations {
  const major = Math.min(LAST_KNOWN, Math.max(FIRST_KNOWN, majorOf(version)));
  return (
    new Declarations(bits === 64 ? LP64 : ILP32_I386)
      .add(BASIC)
      // The second argument of sysctl handlers grew with 11.
      .add(`typedef ${major < 11 ? 'intptr_t' : 'intmax_t'} oid_arg2_t;`)
      .add(MODULES)
      .add(linkerFile(major))
      .add(major < 13 ? MALLOC_OLD : MALLOC_NEW)
      .add(sysctlOid(major))
      .add(SYSCTL)
      .add(DEVICES)
      .add(LOCKS)
      .add(cdev(major))
      .add(processes(Math.max(version, 800000), bits))
      .add(syscalls(Math.max(version, 800000)))
      .add(filesystems(major))
      .add(buses(major))
      .add(sbuf(major))
  );
}
