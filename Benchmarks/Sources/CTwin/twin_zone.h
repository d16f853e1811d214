// The zone that allocation and offlining share.
#ifndef TWIN_ZONE_H
#define TWIN_ZONE_H

#include "twin_page.h"

enum {
  PCP_TYPES = 3, PCP_ORDERS = 4, PCP_HUGE = PCP_TYPES * PCP_ORDERS, PCP_LISTS = PCP_HUGE + 2
};

/// Ends are atomic because the watermark test looks without the lock.
struct page_list { _Atomic uint32_t head, tail; };

struct free_area {
  struct page_list lists[TWIN_MIGRATETYPES];
  uint64_t count;
};

struct pcp {
  _Alignas(128) twin_lock lock;
  uint32_t count, high, batch;
  struct page_list lists[PCP_LISTS];
  uint64_t allocated, freed;
};

struct twin_zone {
  struct twin_page *map;
  uint8_t *pageblocks;
  struct pcp *pcps;
  uint32_t pages, cpus, pcp_high, pcp_batch;
  uint64_t watermark_low;
  _Alignas(128) twin_lock lock;
  _Atomic uint64_t free_pages, free_cma;
  uint64_t managed, present;
  uint32_t isolated_pageblocks;
  struct free_area areas[MAX_ORDER + 1];
};

ALWAYS_INLINE uint32_t peek(const _Atomic uint32_t *end) {
  return atomic_load_explicit(end, memory_order_relaxed);
}
ALWAYS_INLINE void poke(_Atomic uint32_t *end, uint32_t frame) {
  atomic_store_explicit(end, frame, memory_order_relaxed);
}
ALWAYS_INLINE bool list_empty(const struct page_list *l) { return peek(&l->head) == TWIN_NIL; }
ALWAYS_INLINE void list_init(struct page_list *l) { poke(&l->head, TWIN_NIL); poke(&l->tail, TWIN_NIL); }

ALWAYS_INLINE void list_add_head(struct twin_page *map, struct page_list *l, uint32_t frame) {
  uint32_t first = peek(&l->head);
  map[frame].prev = TWIN_NIL;
  map[frame].next = first;
  if (first == TWIN_NIL) poke(&l->tail, frame);
  else map[first].prev = frame;
  poke(&l->head, frame);
}

ALWAYS_INLINE void list_add_tail(struct twin_page *map, struct page_list *l, uint32_t frame) {
  uint32_t last = peek(&l->tail);
  map[frame].next = TWIN_NIL;
  map[frame].prev = last;
  if (last == TWIN_NIL) poke(&l->head, frame);
  else map[last].next = frame;
  poke(&l->tail, frame);
}

ALWAYS_INLINE void list_remove(struct twin_page *map, struct page_list *l, uint32_t frame) {
  uint32_t next = map[frame].next, prev = map[frame].prev;
  if (prev == TWIN_NIL) poke(&l->head, next);
  else map[prev].next = next;
  if (next == TWIN_NIL) poke(&l->tail, prev);
  else map[next].prev = prev;
}

// With the zone's lock held.
void twin_add_free(twin_zone *z, uint32_t frame, uint32_t order, uint32_t type, bool tail);
void twin_remove_free(twin_zone *z, uint32_t frame);
void twin_free_one(twin_zone *z, uint32_t frame, uint32_t order);
/// Watermark and per-CPU sizes by the kernel's formulas, for a machine that has no other zone.
void twin_zone_size(twin_zone *z);

/// Free pages on the lists of the buddy, recounted by walking them; checks links, types and alignment.
bool twin_zone_consistent(twin_zone *z, uint64_t allocated);

#endif
