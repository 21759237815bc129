/**
 * Files kept in memory: the page cache of filesystems without a device (mm/filemap.c, fs/libfs.c ram_aops), and the
 * iterators that carry their data. Pages are guest memory, found by address_space and index.
 */

import { perKernel } from '../../../kernel/kernel.ts';
import { MissingFunctionReached } from '../../../kernel/missing.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import { advance, copyFromIterator, copyToIterator, overPages } from '../iterator.ts';
import type { Linux } from '../linux.ts';
import { pageCaches } from '../vfs/dentry.ts';
import { kernelFunctions } from './define.ts';

const PAGE = 4096;
/** IOCB_APPEND (include/linux/fs.h) is RWF_APPEND. */
const IOCB_APPEND = 0x10;

function cacheOf(k: Linux, mapping: Address): Map<number, Address> {
  const caches = k.state(pageCaches);
  const cache = caches.get(mapping) ?? new Map<number, Address>();
  caches.set(mapping, cache);
  return cache;
}

/** Only pages that live in memory alone are served: a filesystem that reads them from a device needs its own. */
function requireMemoryOnly(k: Linux, mapping: Address): void {
  const operations = k.read('address_space.a_ops', mapping);
  if (operations === k.addressOf('ram_aops')) return;
  const readFolio = operations === 0 ? 0 : k.read('address_space_operations.read_folio', operations);
  if (readFolio !== 0 && k.modules.at(readFolio) !== undefined) {
    throw new MissingFunctionReached('page cache', 'filemap_read_folio', k.describe(readFolio));
  }
}

function pageAt(k: Linux, mapping: Address, index: number): Address {
  const cache = cacheOf(k, mapping);
  let page = cache.get(index);
  if (page === undefined) {
    page = k.heap.allocateZeroed(PAGE);
    cache.set(index, page);
  }
  return page;
}

/** What holes of files read as: the kernel's own page of zeros. */
const zeros = perKernel<Address, Linux>((k) => k.heap.allocateZeroed(PAGE));

/** Copies file bytes into kernel or user memory through `put`; holes read as zeros. */
export function readPages(
  k: Linux,
  inode: Address,
  position: number,
  wanted: number,
  put: (at: Address, bytes: number) => number,
): number {
  const mapping = k.read('inode.i_mapping', inode);
  const end = Math.min(position + wanted, k.read('inode.i_size', inode));
  let at = position;
  while (at < end) {
    const bytes = Math.min(end - at, PAGE - (at % PAGE));
    const page = cacheOf(k, mapping).get(Math.floor(at / PAGE)) ?? k.state(zeros);
    const done = put(page + (at % PAGE), bytes);
    at += done;
    if (done < bytes) break;
  }
  return Math.max(0, at - position);
}

function* readIterator(k: Linux, request: Address, iterator: Address): Steps<number> {
  const inode = k.read('file.f_inode', k.read('kiocb.ki_filp', request));
  requireMemoryOnly(k, k.read('inode.i_mapping', inode));
  const position = k.read('kiocb.ki_pos', request);
  const wanted = k.read('iov_iter.count', iterator);
  const done = readPages(k, inode, position, wanted, (at, bytes) => copyToIterator(k, iterator, at, bytes));
  k.write('kiocb.ki_pos', request, position + done);
  const stuck = done === 0 && wanted > 0 && position < k.read('inode.i_size', inode);
  return stuck ? -Errno.EFAULT : done;
}

/** Takes file bytes from kernel or user memory through `take`, and lets the file grow; how many they were. */
export function writePages(
  k: Linux,
  inode: Address,
  position: number,
  wanted: number,
  take: (at: Address, bytes: number) => number,
): number {
  const mapping = k.read('inode.i_mapping', inode);
  let at = position;
  while (at - position < wanted) {
    const bytes = Math.min(wanted - (at - position), PAGE - (at % PAGE));
    const done = take(pageAt(k, mapping, Math.floor(at / PAGE)) + (at % PAGE), bytes);
    at += done;
    if (done < bytes) break;
  }
  if (at > k.read('inode.i_size', inode)) k.write('inode.i_size', inode, at);
  return at - position;
}

function* writeIterator(k: Linux, request: Address, iterator: Address): Steps<number> {
  const file = k.read('kiocb.ki_filp', request);
  const inode = k.read('file.f_inode', file);
  const mapping = k.read('inode.i_mapping', inode);
  requireMemoryOnly(k, mapping);
  const size = k.read('inode.i_size', inode);
  const append = (k.read('kiocb.ki_flags', request) & IOCB_APPEND) !== 0;
  const start = append ? size : k.read('kiocb.ki_pos', request);
  const wanted = k.read('iov_iter.count', iterator);
  const done = writePages(k, inode, start, wanted, (page, bytes) =>
    copyFromIterator(k, iterator, page, bytes),
  );
  const at = start + done;
  k.write('kiocb.ki_pos', request, at);
  return at === start && wanted > 0 ? -Errno.EFAULT : at - start;
}

/** Frees pages from `start` on and clears the rest of the page it falls into. */
export function truncatePages(k: Linux, mapping: Address, start: number): void {
  const cache = cacheOf(k, mapping);
  for (const [index, page] of [...cache]) {
    if (index * PAGE >= start) {
      k.heap.free(page);
      cache.delete(index);
    } else if ((index + 1) * PAGE > start) k.memory.fill(page + (start % PAGE), PAGE - (start % PAGE), 0);
  }
}

/** page_symlink: the target is the file's content, with its terminating NUL. */
function symlinkPage(k: Linux, inode: Address, text: Address, length: number): number {
  const bytes = k.memory.bytes(text, length);
  k.memory.write(pageAt(k, k.read('inode.i_mapping', inode), 0), bytes);
  k.write('inode.i_size', inode, length - 1);
  return 0;
}

export const pageCacheFunctions = kernelFunctions({
  'ssize_t generic_file_read_iter(struct kiocb *iocb, struct iov_iter *iter)': readIterator,
  'ssize_t generic_file_write_iter(struct kiocb *iocb, struct iov_iter *from)': writeIterator,
  'void truncate_setsize(struct inode *inode, loff_t newsize)': (k, inode, size) => {
    k.write('inode.i_size', inode, size);
    truncatePages(k, k.read('inode.i_mapping', inode), size);
  },
  'void truncate_inode_pages(struct address_space *mapping, loff_t lstart)': truncatePages,
  'void truncate_inode_pages_final(struct address_space *mapping)': (k, mapping) =>
    truncatePages(k, mapping, 0),
  'void truncate_pagecache(struct inode *inode, loff_t newsize)': (k, inode, size) =>
    truncatePages(k, k.read('inode.i_mapping', inode), size),
  'int page_symlink(struct inode *inode, const char *symname, int len)': symlinkPage,
  'const char *page_get_link(struct dentry *dentry, struct inode *inode, struct delayed_call *callback)': (
    k,
    _dentry,
    inode,
  ) => pageAt(k, k.read('inode.i_mapping', inode), 0),
  'void inode_nohighmem(struct inode *inode)': () => undefined,
  'size_t _copy_to_iter(const void *addr, size_t bytes, struct iov_iter *i)': (k, from, bytes, iterator) =>
    copyToIterator(k, iterator, from, bytes),
  'size_t _copy_from_iter(void *addr, size_t bytes, struct iov_iter *i)': (k, to, bytes, iterator) =>
    copyFromIterator(k, iterator, to, bytes),
  'void iov_iter_bvec(struct iov_iter *i, unsigned int direction, const struct bio_vec *bvec, unsigned long nr_segs, size_t count)':
    overPages,
  'void iov_iter_advance(struct iov_iter *i, size_t size)': (k, iterator, bytes) =>
    advance(k, iterator, bytes),
  'size_t iov_iter_zero(size_t bytes, struct iov_iter *i)': (k, bytes, iterator) => {
    const zeros = k.heap.allocateZeroed(PAGE);
    let left = bytes;
    while (left > 0) {
      const done = copyToIterator(k, iterator, zeros, Math.min(left, PAGE));
      left -= done;
      if (done === 0) break;
    }
    k.heap.free(zeros);
    return bytes - left;
  },
});
