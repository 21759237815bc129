/**
 * Types of the Solaris kernel as its public headers and manual section 9S give them, written down anew. Structures
 * that drivers only hold pointers to (dev_info, kthread, cred, modctl) have layouts of ours where nothing but kernel
 * functions reaches into them; those that drivers read and write are in the system's own layout.
 */
import { Declarations } from '../../ctypes/declarations.ts';
import { ILP32_I386, LP64 } from '../../ctypes/model.ts';
import { TypeTable } from '../../ctypes/table.ts';

const BASIC = `
typedef unsigned char uchar_t; typedef unsigned short ushort_t; typedef unsigned int uint_t;
typedef unsigned long ulong_t; typedef unsigned long size_t; typedef long ssize_t;
typedef long long longlong_t; typedef unsigned long long u_longlong_t;
typedef signed char int8_t; typedef unsigned char uint8_t; typedef short int16_t; typedef unsigned short uint16_t;
typedef int int32_t; typedef unsigned int uint32_t; typedef long long int64_t; typedef unsigned long long uint64_t;
typedef long intptr_t; typedef unsigned long uintptr_t; typedef char *caddr_t;
typedef unsigned long dev_t; typedef uint_t major_t; typedef uint_t minor_t; typedef int id_t; typedef int pid_t;
typedef uint_t uid_t; typedef uint_t gid_t; typedef uint_t mode_t; typedef uint_t nlink_t; typedef short pri_t;
typedef long clock_t; typedef long time_t; typedef long daddr_t; typedef ulong_t pgcnt_t; typedef ulong_t pfn_t;
typedef enum { B_FALSE, B_TRUE } boolean_t;
typedef void *timeout_id_t; typedef void *va_list;
typedef int index_t; typedef unsigned long vm_offset_t; typedef int processorid_t;
typedef struct mutex { void *_opaque[MUTEXWORDS]; } kmutex_t;
typedef struct _krwlock { void *_opaque[1]; } krwlock_t;
typedef struct { ushort_t _opaque; } kcondvar_t;
typedef struct _ksema { void *_opaque[2]; } ksema_t;
typedef struct __timespec { time_t tv_sec; long tv_nsec; } timespec_t;
typedef timespec_t timestruc_t;
`;

const MODULES = `
struct modlinkage { int ml_rev; void *ml_linkage[MAXLINK]; };
struct mod_ops { void *modm_install; void *modm_remove; void *modm_info; };
struct modlany { struct mod_ops *ops; char *linkinfo; void *data; };
struct modspecific_info { char msi_linkinfo[32]; int msi_p0; };
struct modinfo { int mi_info; int mi_state; int mi_id; int mi_nextid; caddr_t mi_base; size_t mi_size; int mi_rev;
  int mi_loadcnt; char mi_name[32]; struct modspecific_info mi_msinfo[10]; };
struct modctl_list { struct modctl_list *modl_next; struct modctl *modl_modp; };
struct modctl { struct modctl *mod_next; struct modctl *mod_prev; int mod_id; void *mod_mp;
  void *mod_inprogress_thread; struct modinfo *mod_modinfo; struct modlinkage *mod_linkage; char *mod_filename;
  char *mod_modname; char mod_busy; char mod_want; char mod_prim; int mod_ref; char mod_loaded; char mod_installed;
  char mod_loadflags; char mod_delay_unload; struct modctl_list *mod_requisites; void *__unused; int mod_loadcnt;
  int mod_nenabled; char *mod_text; size_t mod_text_size; int mod_gencount; void *mod_requisite_loading; };
`;

const DRIVERS = `
typedef struct dev_info dev_info_t;
struct devo_any;
struct cb_ops { void *cb_open; void *cb_close; void *cb_strategy; void *cb_print; void *cb_dump; void *cb_read;
  void *cb_write; void *cb_ioctl; void *cb_devmap; void *cb_mmap; void *cb_segmap; void *cb_chpoll; void *cb_prop_op;
  struct streamtab *cb_str; int cb_flag; int cb_rev; void *cb_aread; void *cb_awrite; };
struct dev_ops { int devo_rev; int devo_refcnt; void *devo_getinfo; void *devo_identify; void *devo_probe;
  void *devo_attach; void *devo_detach; void *devo_reset; struct cb_ops *devo_cb_ops; void *devo_bus_ops;
  void *devo_power; void *devo_quiesce; };
struct dev_info { struct dev_info *devi_next; char *devi_node_name; char *devi_addr; char *devi_binding_name;
  major_t devi_major; int devi_instance; struct dev_ops *devi_ops; void *devi_private; int devi_ref; int devi_state;
  struct minor_node *devi_minor; };
struct minor_node { struct minor_node *next; char *name; char *node_type; dev_t dev; int spec_type; };
typedef struct iovec { caddr_t iov_base; size_t iov_len; } iovec_t;
typedef struct uio { iovec_t *uio_iov; int uio_iovcnt; longlong_t uio_loffset; int uio_segflg; uint16_t uio_fmode;
  uint16_t uio_extflg; longlong_t uio_limit; ssize_t uio_resid; } uio_t;
struct cred { uint_t cr_ref; uid_t cr_uid; gid_t cr_gid; uid_t cr_ruid; gid_t cr_rgid; uid_t cr_suid; gid_t cr_sgid; };
typedef struct cred cred_t;
struct kthread { void *t_link; caddr_t t_stk; void *t_procp; struct cred *t_cred; int t_tid; pri_t t_pri;
  signed char t_preempt; uint64_t t_did; struct cpu *t_cpu; struct kthread *t_intr;
  void *t_lockp; };
struct cpu { processorid_t cpu_id; processorid_t cpu_seqid; uint_t cpu_flags; struct cpu *cpu_self;
  struct kthread *cpu_thread; struct kthread *cpu_idle_thread; char cpu_runrun; char cpu_kprunrun; int cpu_pri; };
typedef struct kthread kthread_t;
struct kstat { longlong_t ks_crtime; struct kstat *ks_next; int ks_kid; char ks_module[31]; uchar_t ks_resv;
  int ks_instance; char ks_name[31]; uchar_t ks_type; char ks_class[31]; uchar_t ks_flags; void *ks_data;
  uint_t ks_ndata; size_t ks_data_size; longlong_t ks_snaptime; void *ks_update; void *ks_private; void *ks_snapshot;
  void *ks_lock; };
struct kstat_named { char name[31]; uchar_t data_type; union { char c[16]; u_longlong_t wide[2]; } value; };
struct sysent { char sy_narg; ushort_t sy_flags; void *sy_call; krwlock_t *sy_lock; void *sy_callc; };
`;

const STREAMS = `
struct fmodsw { char f_name[9]; struct streamtab *f_str; int f_flag; };
struct module_info { ushort_t mi_idnum; char *mi_idname; ssize_t mi_minpsz; ssize_t mi_maxpsz; size_t mi_hiwat;
  size_t mi_lowat; };
struct qinit { void *qi_putp; void *qi_srvp; void *qi_qopen; void *qi_qclose; void *qi_qadmin;
  struct module_info *qi_minfo; void *qi_mstat; void *qi_rwp; void *qi_infop; int qi_struiot; };
struct streamtab { struct qinit *st_rdinit; struct qinit *st_wrinit; struct qinit *st_muxrinit;
  struct qinit *st_muxwinit; };
typedef struct queue { struct qinit *q_qinfo; struct msgb *q_first; struct msgb *q_last; struct queue *q_next;
  struct queue *q_link; void *q_ptr; size_t q_count; uint_t q_flag; ssize_t q_minpsz; ssize_t q_maxpsz; size_t q_hiwat;
  size_t q_lowat; void *q_bandp; kmutex_t q_lock; void *q_stream; void *q_syncq; uchar_t q_nband; kcondvar_t q_wait;
  struct queue *q_nfsrv; ushort_t q_draining; short q_struiot; clock_t q_qtstamp; size_t q_mblkcnt;
  uint_t q_syncqmsgs; size_t q_rwcnt; pri_t q_spri; struct msgb *q_sqhead; struct msgb *q_sqtail;
  struct queue *q_sqnext; struct queue *q_sqprev; uint_t q_sqflags; clock_t q_sqtstamp; void *q_fp; } queue_t;
typedef struct datab { void *db_frtnp; uchar_t *db_base; uchar_t *db_lim; uchar_t db_ref; uchar_t db_type;
  uchar_t db_flags; uchar_t db_struioflag; pid_t db_cpid; void *db_cache; struct msgb *db_mblk; void *db_free;
  void *db_lastfree; intptr_t db_cksumstart; intptr_t db_cksumend; intptr_t db_cksumstuff; uint64_t db_struioun;
  void *db_fthdr; cred_t *db_credp; } dblk_t;
typedef struct msgb { struct msgb *b_next; struct msgb *b_prev; struct msgb *b_cont; uchar_t *b_rptr; uchar_t *b_wptr;
  struct datab *b_datap; uchar_t b_band; uchar_t b_tag; ushort_t b_flag; queue_t *b_queue; } mblk_t;
struct iocblk { int ioc_cmd; cred_t *ioc_cr; uint_t ioc_id; uint_t ioc_flag; size_t ioc_count; int ioc_rval;
  int ioc_error; void *dummy; };
`;

const FILES = `
typedef struct vnode { kmutex_t v_lock; uint_t v_flag; uint_t v_count; void *v_data; struct vfs *v_vfsp;
  void *v_stream; int v_type; dev_t v_rdev; struct vfs *v_vfsmountedhere; struct vnodeops *v_op; void *v_pages;
  void *v_filocks; void *v_shrlocks; krwlock_t v_nbllock; kcondvar_t v_cv; void *v_locality; void *v_femhead;
  char *v_path; longlong_t v_path_stamp; uint_t v_rdcnt; uint_t v_wrcnt; u_longlong_t v_mmap_read;
  u_longlong_t v_mmap_write; void *v_mpssdata; void *v_fopdata; kmutex_t v_vsd_lock; void *v_vsd;
  struct vnode *v_xattrdir; uint_t v_count_dnlc; } vnode_t;
typedef struct { int val[2]; } fsid_t;
typedef struct mntopts { uint_t mo_count; void *mo_list; } mntopts_t;
typedef struct vfs { struct vfs *vfs_next; struct vfs *vfs_prev; struct vfsops *vfs_op; struct vnode *vfs_vnodecovered;
  uint_t vfs_flag; uint_t vfs_bsize; int vfs_fstype; fsid_t vfs_fsid; void *vfs_data; dev_t vfs_dev; ulong_t vfs_bcount;
  struct vfs *vfs_list; struct vfs *vfs_hash; ksema_t vfs_reflock; uint_t vfs_count; mntopts_t vfs_mntopts;
  void *vfs_resource; void *vfs_mntpt; time_t vfs_mtime; void *vfs_implp; void *vfs_zone; struct vfs *vfs_zone_next;
  struct vfs *vfs_zone_prev; void *vfs_femhead; uint32_t vfs_lofi_id; } vfs_t;
struct mounta { char *spec; char *dir; int flags; char *fstype; char *dataptr; int datalen; char *optptr; int optlen; };
struct vfsdef { int def_version; char *name; void *init; int flags; mntopts_t *optproto; };
struct vfssw { char *vsw_name; void *vsw_init; int vsw_flag; mntopts_t vsw_optproto; uint_t vsw_count;
  kmutex_t vsw_lock; struct vfsops *vsw_vfsops; };
typedef struct vattr { uint_t va_mask; int va_type; mode_t va_mode; uid_t va_uid; gid_t va_gid; dev_t va_fsid;
  u_longlong_t va_nodeid; nlink_t va_nlink; u_longlong_t va_size; timestruc_t va_atime; timestruc_t va_mtime;
  timestruc_t va_ctime; dev_t va_rdev; uint_t va_blksize; u_longlong_t va_nblocks; uint_t va_seq; } vattr_t;
struct fs_operation_def { char *name; void *func; };
struct dirent64 { u_longlong_t d_ino; longlong_t d_off; ushort_t d_reclen; char d_name[1]; };
struct vfsops; struct vnodeops; struct kmem_cache; struct taskq; struct ddi_taskq; struct callb; struct pollhead;
typedef struct kmem_cache kmem_cache_t; typedef struct taskq taskq_t; typedef struct ddi_taskq ddi_taskq_t;
typedef struct vfsops vfsops_t; typedef struct vnodeops vnodeops_t; typedef struct fs_operation_def fs_operation_def_t;
`;

/** sys/mac_provider.h and sys/gld.h: what network drivers fill in. */
const NETWORK = `
struct mac_callbacks { uint_t mc_callbacks; void *mc_getstat; void *mc_start; void *mc_stop; void *mc_setpromisc;
  void *mc_multicst; void *mc_unicst; void *mc_tx; void *mc_reserved; void *mc_ioctl; void *mc_getcapab; void *mc_open;
  void *mc_close; void *mc_setprop; void *mc_getprop; void *mc_propinfo; };
typedef struct mac_register { uint_t m_version; char *m_type_ident; void *m_driver; dev_info_t *m_dip; uint_t m_instance;
  uint8_t *m_src_addr; uint8_t *m_dst_addr; struct mac_callbacks *m_callbacks; uint_t m_min_sdu; uint_t m_max_sdu;
  void *m_pdata; size_t m_pdata_size; char **m_priv_props; uint32_t m_margin; uint32_t m_v12n;
  uint_t m_multicast_sdu; } mac_register_t;
typedef struct gld_mac_info { struct gld_mac_info *gldm_next; struct gld_mac_info *gldm_prev; caddr_t reserved1;
  caddr_t reserved2; uint16_t gldm_driver_version; uint16_t gldm_GLD_version; uint16_t gldm_GLD_flags;
  uint16_t gldm_options; dev_info_t *gldm_devinfo; uchar_t *gldm_vendor_addr; uchar_t *gldm_broadcast_addr;
  kmutex_t gldm_lock; void *gldm_cookie; uint32_t reserved3; uint32_t reserved4; uint32_t gldm_maxpkt;
  uint32_t gldm_minpkt; char *gldm_ident; uint32_t gldm_type; uint32_t reserved5; uint32_t gldm_addrlen;
  int32_t gldm_saplen; uchar_t reserved7[6]; uchar_t reserved8[6]; uchar_t reserved9[6]; uint_t gldm_ppa;
  int32_t reserved10; uint32_t gldm_capabilities; int32_t gldm_linkstate; uint32_t reserved11; caddr_t reserved12;
  int32_t reserved13; uint32_t reserved14; int32_t reserved15; caddr_t gldm_mac_pvt; caddr_t reserved16;
  char reserved17[1352]; caddr_t reserved18; caddr_t gldm_private; void *gldm_reset; void *gldm_start; void *gldm_stop;
  void *gldm_set_mac_addr; void *gldm_send; void *gldm_set_promiscuous; void *gldm_get_stats; void *gldm_ioctl;
  void *gldm_set_multicast; void *gldm_intr; void *gldm_mctl; void *gldm_send_tagged; void *gldm_mdt_pre;
  void *gldm_mdt_send; void *gldm_mdt_post; int gldm_mdt_sgl; int gldm_mdt_segs; } gld_mac_info_t;
struct __mac_handle; struct __mac_resource; struct __mac_prop_info;
`;

/** sys/buf.h, sys/ddidmareq.h, sys/dditypes.h: block transfers and direct memory access. */
const TRANSFERS = `
typedef struct buf { int b_flags; struct buf *b_forw; struct buf *b_back; struct buf *av_forw; struct buf *av_back;
  ushort_t b_dev; size_t b_bcount; caddr_t b_addr; longlong_t b_lblkno; char b_obs1; size_t b_resid; clock_t b_start;
  void *b_proc; void *b_pages; clock_t b_obs2; size_t b_bufsize; void *b_iodone; struct vnode *b_vp; struct buf *b_chain;
  int b_obs3; int b_error; void *b_private; dev_t b_edev; ksema_t b_sem; ksema_t b_io; struct buf *b_list; void **b_shadow;
  void *b_dip; struct vnode *b_file; longlong_t b_offset; } buf_t;
typedef struct { uint64_t dmac_laddress; size_t dmac_size; uint_t dmac_type; } ddi_dma_cookie_t;
typedef struct ddi_dma_attr { uint_t dma_attr_version; uint64_t dma_attr_addr_lo; uint64_t dma_attr_addr_hi;
  uint64_t dma_attr_count_max; uint64_t dma_attr_align; uint_t dma_attr_burstsizes; uint32_t dma_attr_minxfer;
  uint64_t dma_attr_maxxfer; uint64_t dma_attr_seg; int dma_attr_sgllen; uint32_t dma_attr_granular;
  uint_t dma_attr_flags; } ddi_dma_attr_t;
struct ddi_device_acc_attr;
`;

export interface SolarisTypes {
  readonly types: TypeTable;
  readonly declarations: Declarations;
}

/**
 * The types as a 64-bit or 32-bit kernel has them: ml_linkage has 7 places in one and 4 in the other (sys/modctl.h), a
 * mutex one word and two (sys/mutex.h).
 */
export function solarisTypes(bits: 32 | 64): SolarisTypes {
  const modules = MODULES.replace('MAXLINK', bits === 64 ? '7' : '4');
  const basic = BASIC.replace('MUTEXWORDS', bits === 64 ? '1' : '2');
  const declarations = new Declarations(bits === 64 ? LP64 : ILP32_I386);
  for (const text of [basic, modules, DRIVERS, STREAMS, FILES, NETWORK, TRANSFERS]) declarations.add(text);
  return { types: new TypeTable(declarations), declarations };
}
