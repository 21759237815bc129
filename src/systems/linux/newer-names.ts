/**
 * Functions and data that later kernels export under another name: the new name, and the one they have in 6.1. Arguments
 * are the same or more of them at the end; where the order or the meaning changed, functions/newer.ts has the prototype.
 */
const RENAMED: Readonly<Record<string, string>> = {
  // 6.10, memory allocation profiling: the old names became macros around these.
  __kmalloc_cache_noprof: 'kmalloc_trace',
  __kmalloc_cache_node_noprof: 'kmalloc_node_trace',
  __kmalloc_noprof: '__kmalloc',
  __kmalloc_large_noprof: 'kmalloc_large',
  __kmalloc_large_node_noprof: 'kmalloc_large_node',
  krealloc_noprof: 'krealloc',
  kmemdup_noprof: 'kmemdup',
  kmem_cache_alloc_noprof: 'kmem_cache_alloc',
  kmem_cache_alloc_node_noprof: 'kmem_cache_alloc_node',
  kmem_cache_alloc_lru_noprof: 'kmem_cache_alloc_lru',
  kmem_cache_alloc_bulk_noprof: 'kmem_cache_alloc_bulk',
  alloc_pages_noprof: 'alloc_pages',
  __alloc_pages_noprof: '__alloc_pages',
  get_free_pages_noprof: '__get_free_pages',
  get_zeroed_page_noprof: 'get_zeroed_page',
  alloc_pages_exact_noprof: 'alloc_pages_exact',
  folio_alloc_noprof: 'folio_alloc',
  __folio_alloc_noprof: '__folio_alloc',
  vmalloc_noprof: 'vmalloc',
  __vmalloc_noprof: '__vmalloc',
  vzalloc_noprof: 'vzalloc',
  vmalloc_node_noprof: 'vmalloc_node',
  vzalloc_node_noprof: 'vzalloc_node',
  vmalloc_user_noprof: 'vmalloc_user',
  vmalloc_32_noprof: 'vmalloc_32',
  mempool_alloc_noprof: 'mempool_alloc',
  mempool_create_node_noprof: 'mempool_create_node',
  mempool_init_noprof: 'mempool_init',
  alloc_workqueue_noprof: 'alloc_workqueue',
  // 6.6, CONFIG_LIST_HARDENED; 6.8 and 6.9, fortified strings.
  __list_add_valid_or_report: '__list_add_valid',
  __list_del_entry_valid_or_report: '__list_del_entry_valid',
  sized_strscpy: 'strscpy',
  // 6.4: a class knows its module by itself.
  class_register: '__class_register',
  __devm_add_action: 'devm_add_action',
  __seq_puts: 'seq_puts',
  // 6.16: a timer's functions begin with timer_.
  timer_init_key: 'init_timer_key',
  // 6.17: work queues named by what they do.
  system_percpu_wq: 'system_wq',
  system_dfl_wq: 'system_unbound_wq',
};

/** The 6.1 name of what a later kernel calls `name`. */
export function earlierName(name: string): string | undefined {
  return Object.hasOwn(RENAMED, name) ? RENAMED[name] : undefined;
}
