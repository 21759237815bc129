/**
 * Is that a name of the kernel itself, although nobody wrote the function here? There is no image of unix and genunix
 * to ask, so this goes by the families of names that manual section 9F and the kernel's own headers use. It decides
 * whether an undefined symbol is reported by the kernel's rule, or is a missing function of the base kernel.
 */
const FAMILIES =
  /^(ddi|i_ddi|e_ddi|devi|kmem|mutex|rw|cv|sema|kstat|list|avl|pci|ldi|hat|page|vmem|nvlist|fnvlist|nvpair|cyclic|cpu|taskq|thread|lwp|mod|kobj|vfs|vn|fop|fsop|fs|uio|cr|zone|secpolicy|priv|proc|as|seg|segkmem|poll|drv|csx|net|neti|hook|ip|tcp|str|qwait|atomic|membar|tnf|usba|dld|bp|bio|strlcpy|crypto|random|sysevent|fm|refstr|rctl|callb|callout|tsol|ctf|dtrace|kcpc|sid|acl|pn|dnlc|pvn|dls|smb|xdr|rpc|id|id32|sha[12]|SHA[12]|MD5|kgrep|nv|softmac|spec|copy)_?[A-Za-z0-9_]*_|^(ddi|mod|vn|VN|kmem)_/;

const NAMES = new Set(
  [
    'allocb allocb_wait allocb_cred esballoc desballoc dupb dupmsg copyb copymsg freeb freemsg adjmsg msgdsize msgsize',
    'linkb unlinkb pullupmsg msgpullup rmvb getq putq putbq putnext putctl putctl1 qreply qenable canput canputnext',
    'bcanput bcanputnext flushq flushband noenable enableok insq rmvq qsize qprocson qprocsoff qtimeout quntimeout',
    'qbufcall bufcall unbufcall backq strlog miocack miocnak mcopyin mcopyout miocpullup mexchange merror mcopymsg',
    'copyin copyout copyinstr copyoutstr xcopyin xcopyout fubyte subyte fuword32 suword32 uiomove ureadc uwritec',
    'physio aphysio minphys biodone bioerror biowait geterror getrbuf freerbuf disksort clrbuf max min bp_mapin',
    'cmn_err vcmn_err vzcmn_err zcmn_err dev_err panic vpanic uprintf printf assfail assfail3 nochpoll nodev nulldev',
    'timeout untimeout realtime_timeout delay gethrtime gethrestime gethrestime_sec uniqtime uniqtime32 tod_get',
    'getmajor getminor getemajor geteminor makedevice cmpdev expdev etoimajor itoemajor swab anocancel proc_signal',
    'threadp curcpup setrun preempt kpreempt splr splx getpil installctx removectx xc_call priv_getbyname',
    'kas p0 kcred unix ncpus max_ncpus max_cpuid cpu cpu_lock mod_lock tod_lock kernelbase physmax physmem heap_arena',
    'heaptext_arena nsec_per_tick usec_per_tick minclsyspri maxclsyspri hz lbolt rootdir rootvfs rootdev practive',
    'getudev cmpldev groupmember choose_addr kpm_enable ppmapin ppmapout rwlock_owned supgroupmember suser',
    'hcksum_assoc hcksum_retrieve putnextctl putnextctl1 testb nobufc strqset strqget getmblk mpsize uiopeek',
    'kprintf prom_printf halt mdboot cpr_init tenmicrosec usec_delay hr_clock_lock gethrtime_unscaled',
    'door_ki_open door_ki_rele door_ki_upcall door_ki_upcall_limited door_ki_hold door_ki_lookup ip_cksum hrestime',
    'servicing_interrupt panicstr utsname mb_hashtab thread_lock disp_lock_exit register_cpu_setup_func unregister_cpu_setup_func map_addr contig_alloc contig_free',
    'pollwakeup pollhead_clean freectty ttyclose csx_Get8 inb inw inl outb outw outl repinsb repoutsb hrtime',
    'crget crdup crfree crhold crgetuid crgetruid crgetgid strdup strfree numtos stoi strtolctime bt_getlowbit highbit',
  ].flatMap((line) => line.split(' ')),
);

export const isKernelName = (name: string): boolean => NAMES.has(name) || FAMILIES.test(name);
