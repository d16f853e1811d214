// Forking an address space: page tables copied, pages shared and write-protected.
#include "twin_space.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PTE_ACCESSED = 1 << 5, PAGE_ANON_EXCLUSIVE = 1 << 15 };

struct twin_fork {
  twin_space *parent;
  twin_entry (*tables)[ENTRIES];
  uint32_t *used;
  uint32_t *free_tables;
  uint32_t free_count, table_count;
  uint64_t resident;
  _Alignas(128) twin_lock parent_lock;
  _Alignas(128) twin_lock child_lock;
};

twin_fork *twin_fork_create(uint32_t pages) {
  twin_fork *f = aligned_alloc(128, sizeof *f);
  if (!f) return NULL;
  memset(f, 0, sizeof *f);
  f->table_count = pages / ENTRIES + 8;
  f->parent = twin_space_create(pages, 0, false, 1);
  f->tables = twin_reserve((size_t)f->table_count * sizeof *f->tables);
  f->used = calloc(f->table_count, sizeof *f->used);
  f->free_tables = calloc(f->table_count, sizeof *f->free_tables);
  if (!f->parent || !f->tables || !f->used || !f->free_tables) {
    twin_fork_destroy(f);
    return NULL;
  }
  for (uint32_t i = 0; i < f->table_count; i++) f->free_tables[f->free_count++] = f->table_count - 1 - i;
  for (uint32_t i = 0; i < pages; i++) {
    f->parent->map[i].mapping = 1;
    atomic_fetch_or_explicit(&f->parent->map[i].flags, PAGE_ANON_EXCLUSIVE, memory_order_relaxed);
  }
  return f;
}

void twin_fork_destroy(twin_fork *f) {
  if (f->parent) twin_space_destroy(f->parent);
  if (f->tables) munmap(f->tables, (size_t)f->table_count * sizeof *f->tables);
  free(f->used);
  free(f->free_tables);
  free(f);
}

static uint32_t take_table(twin_fork *f) {
  uint32_t table = f->free_tables[--f->free_count];
  memset(f->tables[table], 0, sizeof f->tables[table]);
  f->used[table] = 0;
  return table;
}

/// The child's table for an address, made on the way down.
static uint32_t child_table(twin_fork *f, uint32_t root, uint64_t address) {
  uint32_t table = root;
  for (uint32_t shift = 39; shift > 12; shift -= 9) {
    twin_entry *entry = &f->tables[table][(address >> shift) & 511];
    uint64_t value = entry_load(entry);
    if (!(value & PTE_PRESENT)) {
      value = ((uint64_t)take_table(f) << 12) | PTE_PRESENT | PTE_WRITE | PTE_USER;
      atomic_store_explicit(entry, value, memory_order_release);
      f->used[table]++;
    }
    table = entry_frame(value);
  }
  return table;
}

/// One table of the parent to one of the child, under both locks.
static __attribute__((noinline)) void copy_table(twin_fork *f, uint32_t from, uint32_t to) {
  twin_space *s = f->parent;
  uint32_t filled = 0;
  for (uint32_t i = 0; i < ENTRIES; i++) {
    twin_entry *source = &s->tables[from][i];
    uint64_t entry = atomic_load_explicit(source, memory_order_relaxed);
    if (!entry) continue;
    if (!(entry & PTE_SPECIAL)) {
      uint32_t frame = entry_frame(entry);
      struct twin_page *page = &s->map[frame];
      struct twin_page *head =
        &s->map[frame - atomic_load_explicit(&page->head_offset, memory_order_acquire)];
      if (!head->mapping) continue;
      atomic_fetch_add_explicit(&head->refcount, 1, memory_order_seq_cst);
      if (entry & PTE_WRITE)
        atomic_store_explicit(source, entry & ~(uint64_t)PTE_WRITE, memory_order_release);
      if (atomic_load_explicit(&page->flags, memory_order_acquire) & PAGE_ANON_EXCLUSIVE)
        atomic_fetch_and_explicit(&page->flags, ~(uint64_t)PAGE_ANON_EXCLUSIVE, memory_order_seq_cst);
      __atomic_fetch_add(&page->mapcount, 1, __ATOMIC_SEQ_CST);
    }
    atomic_store_explicit(
      &f->tables[to][i], entry & ~(uint64_t)(PTE_WRITE | PTE_ACCESSED), memory_order_release);
    filled++;
  }
  f->resident += filled;
  f->used[to] += filled;
}

uint32_t twin_fork_copy(twin_fork *f) {
  twin_space *s = f->parent;
  uint32_t root = take_table(f);
  atomic_fetch_add_explicit(&s->write_protect_seq, 1, memory_order_seq_cst);
  for (uint32_t page = 0; page < s->pages; page += ENTRIES) {
    uint64_t address = s->base + (uint64_t)page * PAGE_BYTES;
    uint32_t table = 0;
    for (uint32_t shift = 39; shift > 12; shift -= 9)
      table = entry_frame(entry_load(&s->tables[table][(address >> shift) & 511]));
    uint32_t copy = child_table(f, root, address);
    lock(&f->parent_lock);
    lock(&f->child_lock);
    copy_table(f, table, copy);
    unlock(&f->child_lock);
    unlock(&f->parent_lock);
  }
  atomic_fetch_add_explicit(&s->write_protect_seq, 1, memory_order_seq_cst);
  return root;
}

/// Drops the references of one table and frees it; `level` is 0 for a table of PTEs.
static void drop_table(twin_fork *f, uint32_t table, uint32_t level) {
  twin_space *s = f->parent;
  for (uint32_t i = 0; i < ENTRIES; i++) {
    uint64_t entry = entry_load(&f->tables[table][i]);
    if (!entry) continue;
    if (level) {
      drop_table(f, entry_frame(entry), level - 1);
      continue;
    }
    struct twin_page *page = &s->map[entry_frame(entry)];
    __atomic_fetch_sub(&page->mapcount, 1, __ATOMIC_SEQ_CST);
    atomic_fetch_sub_explicit(&page->refcount, 1, memory_order_seq_cst);
    f->resident--;
  }
  f->free_tables[f->free_count++] = table;
}

void twin_fork_drop(twin_fork *f, uint32_t root) {
  drop_table(f, root, 3);
  // As stores of the parent would: each page is its own again, and writable.
  twin_space *s = f->parent;
  for (uint32_t page = 0; page < s->pages; page++)
    atomic_fetch_or_explicit(&s->map[page].flags, PAGE_ANON_EXCLUSIVE, memory_order_relaxed);
  for (uint32_t page = 0; page < s->pages; page++) {
    uint64_t address = s->base + (uint64_t)page * PAGE_BYTES;
    uint32_t table = 0;
    for (uint32_t shift = 39; shift > 12; shift -= 9)
      table = entry_frame(entry_load(&s->tables[table][(address >> shift) & 511]));
    atomic_fetch_or_explicit(&s->tables[table][(address >> 12) & 511], PTE_WRITE, memory_order_relaxed);
  }
}

uint64_t twin_fork_resident(const twin_fork *f) { return f->resident; }

// MARK: Self-test

#define CHECK(condition) do { if (!(condition)) { failure = "fork: " #condition; goto out; } } while (0)

const char *twin_fork_self_test(void) {
  const char *failure = NULL;
  twin_fork *f = twin_fork_create(1024);
  CHECK(f);
  uint32_t free_tables = f->free_count;
  uint32_t root = twin_fork_copy(f);
  CHECK(f->resident == 1024 && f->free_count == free_tables - 5 && f->parent->write_protect_seq == 2);
  for (uint32_t i = 0; i < 1024; i++) {
    struct twin_page *page = &f->parent->map[i];
    CHECK(page->refcount == 2 && page->mapcount == 2 && !(page->flags & PAGE_ANON_EXCLUSIVE));
  }
  twin_fork_drop(f, root);
  CHECK(f->resident == 0 && f->free_count == free_tables && f->parent->map[7].refcount == 1);
  CHECK(f->parent->map[7].flags & PAGE_ANON_EXCLUSIVE);
out:
  if (f) twin_fork_destroy(f);
  return failure;
}
