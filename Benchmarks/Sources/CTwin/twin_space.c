// Building an address space, and what must hold of pins in it.
#include "twin_space.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static uint64_t table_below(twin_space *s, twin_entry *entry) {
  uint64_t value = entry_load(entry);
  if (!(value & PTE_PRESENT)) {
    value = ((uint64_t)s->table_count++ << 12) | PTE_PRESENT | PTE_WRITE | PTE_USER;
    atomic_store_explicit(entry, value, memory_order_release);
  }
  return entry_frame(value);
}

static void map_folio(twin_space *s, uint64_t address, uint32_t frame, uint32_t order) {
  struct twin_page *head = &s->map[frame];
  for (uint32_t i = 0; i < 1u << order; i++) {
    struct twin_page *page = &head[i];
    atomic_store_explicit(&page->flags, (uint64_t)ZONE_NORMAL << ZONE_SHIFT, memory_order_relaxed);
    atomic_store_explicit(&page->head_offset, i, memory_order_relaxed);
  }
  head->order = (uint8_t)order;
  if (order) atomic_fetch_or_explicit(&head->flags, PAGE_HEAD, memory_order_relaxed);
  atomic_store_explicit(&head->refcount, 1, memory_order_relaxed);

  uint64_t pud_table = table_below(s, &s->tables[0][(address >> 39) & 511]);
  uint64_t pmd_table = table_below(s, &s->tables[pud_table][(address >> 30) & 511]);
  twin_entry *pmd = &s->tables[pmd_table][(address >> 21) & 511];
  uint64_t value = ((uint64_t)frame << 12) | PTE_PRESENT | PTE_WRITE | PTE_USER;
  if (order) {
    head->entire_mapcount++;
    atomic_store_explicit(pmd, value | PTE_HUGE, memory_order_release);
  } else {
    head->mapcount++;
    uint64_t pte_table = table_below(s, pmd);
    atomic_store_explicit(&s->tables[pte_table][(address >> 12) & 511], value, memory_order_release);
  }
}

twin_space *twin_space_create(uint32_t pages, uint32_t folio_order, bool scattered, uint32_t cpus) {
  uint32_t span = 1u << folio_order;
  if (pages == 0 || pages % span || (folio_order != 0 && folio_order != PAGEBLOCK_ORDER)) return NULL;
  twin_space *s = aligned_alloc(128, sizeof *s);
  if (!s) return NULL;
  memset(s, 0, sizeof *s);
  s->pages = pages;
  s->cpu_count = cpus;
  s->folio_order = folio_order;
  s->base = UINT64_C(0x7f0000000000);
  s->free_record = TWIN_NIL;
  s->table_count = 1;
  s->map = twin_reserve((size_t)pages * sizeof *s->map);
  s->tables = twin_reserve((size_t)(pages / ENTRIES + 8) * sizeof *s->tables);
  s->pageblocks = twin_reserve(pages / PAGEBLOCK_PAGES + 1);
  s->cpus = twin_reserve(cpus * sizeof *s->cpus);
  s->records = twin_reserve(LEDGER_RECORDS * sizeof *s->records);
  if (!s->map || !s->tables || !s->pageblocks || !s->cpus || !s->records) {
    twin_space_destroy(s);
    return NULL;
  }
  memset(s->pageblocks, TWIN_MOVABLE, pages / PAGEBLOCK_PAGES + 1);

  uint32_t folios = pages / span;
  uint32_t *order = malloc(folios * sizeof *order);
  if (!order) {
    twin_space_destroy(s);
    return NULL;
  }
  for (uint32_t i = 0; i < folios; i++) order[i] = i;
  uint64_t random = 0x9e3779b97f4a7c15;
  for (uint32_t i = folios; scattered && i > 1; i--) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    uint32_t j = (uint32_t)((random >> 33) % i), kept = order[i - 1];
    order[i - 1] = order[j];
    order[j] = kept;
  }
  for (uint32_t i = 0; i < folios; i++)
    map_folio(s, s->base + (uint64_t)i * span * PAGE_BYTES, order[i] * span, folio_order);
  free(order);
  return s;
}

void twin_space_destroy(twin_space *s) {
  if (s->map) munmap(s->map, (size_t)s->pages * sizeof *s->map);
  if (s->tables) munmap(s->tables, (size_t)(s->pages / ENTRIES + 8) * sizeof *s->tables);
  if (s->pageblocks) munmap(s->pageblocks, s->pages / PAGEBLOCK_PAGES + 1);
  if (s->cpus) munmap(s->cpus, s->cpu_count * sizeof *s->cpus);
  if (s->records) munmap(s->records, LEDGER_RECORDS * sizeof *s->records);
  free(s);
}

uint64_t twin_space_base(const twin_space *s) { return s->base; }

// MARK: Self-test

#define CHECK(condition) do { if (!(condition)) { failure = "pin: " #condition; goto out; } } while (0)

/// Every page has its one mapping reference, no pin, and the counters balance.
static bool at_rest(const twin_space *s) {
  uint32_t span = 1u << s->folio_order;
  for (uint32_t frame = 0; frame < s->pages; frame += span)
    if (s->map[frame].refcount != 1 || s->map[frame].pincount != 0) return false;
  uint64_t acquired = 0, released = 0, freed = 0, walkers = 0;
  for (uint32_t i = 0; i < s->cpu_count; i++) {
    acquired += s->cpus[i].acquired;
    released += s->cpus[i].released;
    freed += s->cpus[i].freed;
    walkers += s->cpus[i].walkers;
  }
  return acquired == released && freed == 0 && walkers == 0 && s->open_records == 0;
}

const char *twin_pin_self_test(void) {
  const char *failure = NULL;
  uint32_t record, frames[1024];
  twin_space *small = twin_space_create(2048, 0, true, 2);
  twin_space *large = twin_space_create(2048, 9, false, 2);
  CHECK(small && large);

  uint64_t start = small->base + 100 * PAGE_BYTES;
  CHECK(twin_pin_fast(small, 0, start, 1024, TWIN_WRITE, 7, 1, frames, &record) == 1024);
  CHECK(small->open_records == 1 && small->records[record].pages == 1024);
  CHECK(small->records[record].owner == 7 && small->cpus[0].acquired == 1024);
  for (uint32_t i = 0; i < 1024; i++) CHECK(small->map[frames[i]].refcount == 1 + PIN_BIAS);
  twin_unpin(small, 1, frames, 1024, record);
  CHECK(at_rest(small));

  // From the middle of one folio to the middle of the next: two groups, counted exactly.
  start = large->base + 256 * PAGE_BYTES;
  CHECK(twin_pin_fast(large, 0, start, 512, TWIN_WRITE, 7, 1, frames, &record) == 512);
  CHECK(large->map[0].pincount == 256 && large->map[512].pincount == 256 && large->map[0].refcount == 257);
  CHECK(large->records[record].runs == 1 && frames[0] == 256 && frames[511] == 767);
  twin_unpin(large, 0, frames, 512, record);
  CHECK(at_rest(large));

  // The walk stops where the kernel's would: read-only, special, CMA for long, fork in progress, free page.
  twin_entry *pmd_table = small->tables[2];
  twin_entry *pte = &small->tables[entry_frame(pmd_table[0])][3];
  uint64_t good = *pte;
  *pte = good & ~(uint64_t)PTE_WRITE;
  CHECK(twin_pin_fast(small, 0, small->base, 8, TWIN_WRITE, 7, 1, frames, &record) == 3);
  twin_unpin(small, 0, frames, 3, record);
  CHECK(twin_pin_fast(small, 0, small->base, 8, 0, 7, 1, frames, &record) == 8);
  twin_unpin(small, 0, frames, 8, record);
  *pte = good | PTE_SPECIAL;
  CHECK(twin_pin_fast(small, 0, small->base + 3 * PAGE_BYTES, 1, 0, 7, 1, frames, &record) == 0);
  CHECK(record == TWIN_NIL);
  *pte = good;
  large->pageblocks[1] = TWIN_CMA;
  CHECK(twin_pin_fast(large, 0, large->base, 1024, TWIN_LONGTERM, 7, 1, frames, &record) == 512);
  twin_unpin(large, 0, frames, 512, record);
  large->write_protect_seq = 1;
  CHECK(twin_pin_fast(large, 0, large->base, 1, TWIN_WRITE, 7, 1, frames, &record) == 0);
  large->write_protect_seq = 2;
  small->map[entry_frame(good)].refcount = 0;
  CHECK(twin_pin_fast(small, 0, small->base, 8, TWIN_WRITE, 7, 1, frames, &record) == 3);
  twin_unpin(small, 0, frames, 3, record);
  small->map[entry_frame(good)].refcount = 1;
  CHECK(at_rest(small) && at_rest(large));
out:
  if (small) twin_space_destroy(small);
  if (large) twin_space_destroy(large);
  return failure;
}
