// Buddy lists under the zone lock, per-CPU lists in front of them.
#include "twin_zone.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void account(twin_zone *z, uint32_t type, int64_t pages) {
  if (type == TWIN_ISOLATE) return;
  atomic_store_explicit(
    &z->free_pages, atomic_load_explicit(&z->free_pages, memory_order_relaxed) + (uint64_t)pages,
    memory_order_relaxed);
  if (type == TWIN_CMA)
    atomic_store_explicit(
      &z->free_cma, atomic_load_explicit(&z->free_cma, memory_order_relaxed) + (uint64_t)pages,
      memory_order_relaxed);
}

ALWAYS_INLINE void insert(twin_zone *z, uint32_t frame, uint32_t order, uint32_t type, bool tail) {
  struct twin_page *page = &z->map[frame];
  page->type = TYPE_BUDDY;
  page->order = (uint8_t)order;
  page->migratetype = (uint8_t)type;
  if (tail) list_add_tail(z->map, &z->areas[order].lists[type], frame);
  else list_add_head(z->map, &z->areas[order].lists[type], frame);
  z->areas[order].count++;
}

ALWAYS_INLINE void take(twin_zone *z, uint32_t frame, uint32_t order) {
  struct twin_page *page = &z->map[frame];
  list_remove(z->map, &z->areas[order].lists[page->migratetype], frame);
  page->type = TYPE_NONE;
  z->areas[order].count--;
}

static void set_type(twin_zone *z, uint32_t frame, uint32_t order, uint32_t type) {
  memset(&z->pageblocks[frame >> PAGEBLOCK_ORDER], (int)type, 1u << (order - PAGEBLOCK_ORDER));
}

void twin_add_free(twin_zone *z, uint32_t frame, uint32_t order, uint32_t type, bool tail) {
  insert(z, frame, order, type, tail);
  account(z, type, INT64_C(1) << order);
}

void twin_remove_free(twin_zone *z, uint32_t frame) {
  uint32_t order = z->map[frame].order;
  account(z, z->map[frame].migratetype, -(INT64_C(1) << order));
  take(z, frame, order);
}

void twin_free_one(twin_zone *z, uint32_t frame, uint32_t order) {
  uint32_t type = z->pageblocks[frame >> PAGEBLOCK_ORDER];
  account(z, type, INT64_C(1) << order);
  while (order < MAX_ORDER) {
    uint32_t buddy = frame ^ (1u << order);
    if (buddy >= z->pages) break;
    const struct twin_page *page = &z->map[buddy];
    if (page->type != TYPE_BUDDY || page->order != order) break;
    if (order >= PAGEBLOCK_ORDER) {
      uint32_t other = z->pageblocks[buddy >> PAGEBLOCK_ORDER];
      if (other != type && (other >= PCP_TYPES || type >= PCP_TYPES)) break;
      if (other != type) set_type(z, buddy, order, type);  // or a later split would list it wrongly
    }
    take(z, buddy, order);
    frame &= buddy;
    order++;
  }
  insert(z, frame, order, type, false);
}

static uint32_t take_smallest(twin_zone *z, uint32_t order, uint32_t type) {
  for (uint32_t found = order; found <= MAX_ORDER; found++) {
    uint32_t frame = peek(&z->areas[found].lists[type].head);
    if (frame == TWIN_NIL) continue;
    take(z, frame, found);
    while (found > order) {
      found--;
      insert(z, frame + (1u << found), found, type, false);
    }
    account(z, type, -(INT64_C(1) << order));
    return frame;
  }
  return TWIN_NIL;
}

/// Moves one block of another type to `type`'s lists, with its pageblocks where it is that large.
static bool steal(twin_zone *z, uint32_t order, uint32_t type) {
  static const uint8_t fallback[PCP_TYPES][2] = {
    [TWIN_UNMOVABLE] = { TWIN_RECLAIMABLE, TWIN_MOVABLE },
    [TWIN_MOVABLE] = { TWIN_RECLAIMABLE, TWIN_UNMOVABLE },
    [TWIN_RECLAIMABLE] = { TWIN_UNMOVABLE, TWIN_MOVABLE },
  };
  for (uint32_t found = MAX_ORDER + 1; found-- > order;) {
    for (uint32_t i = 0; i < 2; i++) {
      uint32_t frame = peek(&z->areas[found].lists[fallback[type][i]].head);
      if (frame == TWIN_NIL) continue;
      take(z, frame, found);
      if (found >= PAGEBLOCK_ORDER) set_type(z, frame, found, type);
      insert(z, frame, found, type, false);
      return true;
    }
  }
  return false;
}

static uint32_t take_locked(twin_zone *z, uint32_t order, uint32_t type) {
  bool cma = type == TWIN_MOVABLE;
  if (cma) {
    uint64_t free = atomic_load_explicit(&z->free_pages, memory_order_relaxed);
    if (atomic_load_explicit(&z->free_cma, memory_order_relaxed) > free / 2) {
      uint32_t frame = take_smallest(z, order, TWIN_CMA);
      if (frame != TWIN_NIL) return frame;
    }
  }
  for (;;) {
    uint32_t frame = take_smallest(z, order, type);
    if (frame == TWIN_NIL && cma) frame = take_smallest(z, order, TWIN_CMA);
    if (frame != TWIN_NIL || !steal(z, order, type)) return frame;
  }
}

static bool watermark_ok(const twin_zone *z, uint32_t order, uint32_t type) {
  uint64_t free = atomic_load_explicit(&z->free_pages, memory_order_relaxed);
  uint64_t unusable = (UINT64_C(1) << order) - 1;
  if (type != TWIN_MOVABLE) unusable += atomic_load_explicit(&z->free_cma, memory_order_relaxed);
  if (free <= unusable || free - unusable <= z->watermark_low) return false;
  if (order == 0) return true;
  for (uint32_t o = order; o <= MAX_ORDER; o++) {
    const struct page_list *lists = z->areas[o].lists;
    for (uint32_t t = 0; t < PCP_TYPES; t++)
      if (!list_empty(&lists[t])) return true;
    if (type == TWIN_MOVABLE && !list_empty(&lists[TWIN_CMA])) return true;
  }
  return false;
}

ALWAYS_INLINE uint32_t pcp_list(uint32_t order, uint32_t type) {
  return order == PAGEBLOCK_ORDER ? PCP_HUGE + (type == TWIN_MOVABLE) : order * PCP_TYPES + type;
}
ALWAYS_INLINE uint32_t pcp_order(uint32_t list) {
  return list >= PCP_HUGE ? PAGEBLOCK_ORDER : list / PCP_TYPES;
}
ALWAYS_INLINE bool on_pcp(uint32_t order) { return order < PCP_ORDERS || order == PAGEBLOCK_ORDER; }

static __attribute__((noinline)) void refill(
  twin_zone *z, struct pcp *p, struct page_list *list, uint32_t order, uint32_t type
) {
  uint32_t batch = p->batch;
  if (batch > 1) {
    batch >>= order;
    if (batch < 2) batch = 2;
  }
  lock(&z->lock);
  for (uint32_t i = 0; i < batch; i++) {
    uint32_t frame = take_locked(z, order, type);
    if (frame == TWIN_NIL) break;
    list_add_tail(z->map, list, frame);
    p->count += 1u << order;
  }
  unlock(&z->lock);
}

/// Gives `pages` pages of the lists back, the lists in turn from `first` on, oldest pages first.
static __attribute__((noinline)) void spill(twin_zone *z, struct pcp *p, uint32_t pages, uint32_t first) {
  uint32_t target = p->count > pages ? p->count - pages : 0;
  lock(&z->lock);
  for (uint32_t index = first; p->count > target; index = index + 1 == PCP_LISTS ? 0 : index + 1) {
    struct page_list *list = &p->lists[index];
    uint32_t order = pcp_order(index);
    while (p->count > target && !list_empty(list)) {
      uint32_t frame = peek(&list->tail);
      list_remove(z->map, list, frame);
      p->count -= 1u << order;
      twin_free_one(z, frame, order);
    }
  }
  unlock(&z->lock);
}

ALWAYS_INLINE void prepare(struct twin_page *page, uint32_t order) {
  atomic_store_explicit(
    &page->flags, atomic_load_explicit(&page->flags, memory_order_relaxed) & ZONE_BITS,
    memory_order_relaxed);
  page->private_ = 0;
  page->mapping = TWIN_NIL;
  page->order = (uint8_t)order;
  atomic_store_explicit(&page->refcount, 1, memory_order_release);
}

uint32_t twin_alloc(twin_zone *z, uint32_t cpu, uint32_t order, uint32_t type) {
  if (order > MAX_ORDER || !watermark_ok(z, order, type)) return TWIN_NIL;
  struct pcp *p = &z->pcps[cpu];
  uint32_t frame;
  if (on_pcp(order)) {
    lock(&p->lock);
    struct page_list *list = &p->lists[pcp_list(order, type)];
    if (list_empty(list)) refill(z, p, list, order, type);
    frame = peek(&list->head);
    if (frame != TWIN_NIL) {
      list_remove(z->map, list, frame);
      p->count -= 1u << order;
      p->allocated += 1u << order;
    }
    unlock(&p->lock);
  } else {
    lock(&z->lock);
    frame = take_locked(z, order, type);
    unlock(&z->lock);
  }
  if (frame != TWIN_NIL) prepare(&z->map[frame], order);
  return frame;
}

void twin_free(twin_zone *z, uint32_t cpu, uint32_t frame, uint32_t order) {
  struct twin_page *page = &z->map[frame];
  if (atomic_fetch_sub_explicit(&page->refcount, 1, memory_order_acq_rel) != 1) return;
  atomic_store_explicit(
    &page->flags, atomic_load_explicit(&page->flags, memory_order_relaxed) & ZONE_BITS,
    memory_order_relaxed);
  uint32_t type = z->pageblocks[frame >> PAGEBLOCK_ORDER];
  if (!on_pcp(order) || type == TWIN_ISOLATE) {
    lock(&z->lock);
    twin_free_one(z, frame, order);
    unlock(&z->lock);
    return;
  }
  if (type >= PCP_TYPES) type = TWIN_MOVABLE;
  struct pcp *p = &z->pcps[cpu];
  uint32_t index = pcp_list(order, type);
  lock(&p->lock);
  list_add_head(z->map, &p->lists[index], frame);
  p->count += 1u << order;
  p->freed += 1u << order;
  if (p->count >= p->high) spill(z, p, p->batch, index);
  unlock(&p->lock);
}

void twin_zone_drain(twin_zone *z) {
  for (uint32_t cpu = 0; cpu < z->cpus; cpu++) {
    struct pcp *p = &z->pcps[cpu];
    lock(&p->lock);
    if (p->count) spill(z, p, p->count, 0);
    unlock(&p->lock);
  }
}

// MARK: Building a zone

static uint64_t square_root(uint64_t value) {
  uint64_t root = 0;
  for (uint64_t bit = UINT64_C(1) << 31; bit; bit >>= 1)
    if ((root | bit) * (root | bit) <= value) root |= bit;
  return root;
}

void twin_zone_size(twin_zone *z) {
  uint64_t root = square_root(16 * 4 * z->managed);
  uint64_t least = (root < 128 ? 128 : root > 262144 ? 262144 : root) / 4;
  uint64_t step = z->managed / 1000 > least / 4 ? z->managed / 1000 : least / 4;
  z->watermark_low = least + step;
  uint64_t quarter = z->managed / 4096 < 64 ? z->managed / 4096 : 64, power = 1;
  while (power * 2 <= quarter + quarter / 2) power *= 2;
  z->pcp_batch = power > 1 ? (uint32_t)power - 1 : 1;
  uint64_t high = z->watermark_low / z->cpus;
  z->pcp_high = high > 4 * z->pcp_batch ? (uint32_t)high : 4 * z->pcp_batch;
}

twin_zone *twin_zone_create(uint32_t pages, uint32_t cpus) {
  if (pages == 0 || pages % (1u << MAX_ORDER)) return NULL;
  twin_zone *z = aligned_alloc(128, sizeof *z);
  if (!z) return NULL;
  memset(z, 0, sizeof *z);
  z->pages = pages;
  z->cpus = cpus;
  z->managed = z->present = pages;
  z->map = twin_reserve((size_t)pages * sizeof *z->map);
  z->pageblocks = twin_reserve(pages >> PAGEBLOCK_ORDER);
  z->pcps = twin_reserve(cpus * sizeof *z->pcps);
  if (!z->map || !z->pageblocks || !z->pcps) {
    twin_zone_destroy(z);
    return NULL;
  }
  twin_zone_size(z);
  memset(z->pageblocks, TWIN_MOVABLE, pages >> PAGEBLOCK_ORDER);
  for (uint32_t o = 0; o <= MAX_ORDER; o++)
    for (uint32_t t = 0; t < TWIN_MIGRATETYPES; t++) list_init(&z->areas[o].lists[t]);
  for (uint32_t cpu = 0; cpu < cpus; cpu++) {
    z->pcps[cpu].high = z->pcp_high;
    z->pcps[cpu].batch = z->pcp_batch;
    for (uint32_t i = 0; i < PCP_LISTS; i++) list_init(&z->pcps[cpu].lists[i]);
  }
  for (uint32_t frame = 0; frame < pages; frame++)
    atomic_store_explicit(&z->map[frame].flags, (uint64_t)ZONE_NORMAL << ZONE_SHIFT, memory_order_relaxed);
  for (uint32_t frame = 0; frame < pages; frame += 1u << MAX_ORDER)
    twin_add_free(z, frame, MAX_ORDER, TWIN_MOVABLE, true);
  return z;
}

void twin_zone_destroy(twin_zone *z) {
  if (z->map) munmap(z->map, (size_t)z->pages * sizeof *z->map);
  if (z->pageblocks) munmap(z->pageblocks, z->pages >> PAGEBLOCK_ORDER);
  if (z->pcps) munmap(z->pcps, z->cpus * sizeof *z->pcps);
  free(z);
}

bool twin_zone_consistent(twin_zone *z, uint64_t allocated) {
  uint64_t buddy = 0, isolated = 0, listed = 0;
  for (uint32_t o = 0; o <= MAX_ORDER; o++) {
    uint64_t count = 0;
    for (uint32_t t = 0; t < TWIN_MIGRATETYPES; t++) {
      uint32_t last = TWIN_NIL;
      for (uint32_t f = peek(&z->areas[o].lists[t].head); f != TWIN_NIL; last = f, f = z->map[f].next) {
        const struct twin_page *page = &z->map[f];
        if (page->type != TYPE_BUDDY || page->order != o || page->migratetype != t) return false;
        if (page->prev != last || (f & ((1u << o) - 1)) || page->refcount != 0) return false;
        if (z->pageblocks[f >> PAGEBLOCK_ORDER] != t && o >= PAGEBLOCK_ORDER) return false;
        *(t == TWIN_ISOLATE ? &isolated : &buddy) += UINT64_C(1) << o;
        count++;
      }
      if (peek(&z->areas[o].lists[t].tail) != last) return false;
    }
    if (count != z->areas[o].count) return false;
  }
  for (uint32_t cpu = 0; cpu < z->cpus; cpu++) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < PCP_LISTS; i++)
      for (uint32_t f = peek(&z->pcps[cpu].lists[i].head); f != TWIN_NIL; f = z->map[f].next)
        count += 1u << pcp_order(i);
    if (count != z->pcps[cpu].count) return false;
    listed += count;
  }
  return buddy == z->free_pages && buddy + isolated + listed + allocated == z->managed;
}

// MARK: Self-test

#define CHECK(condition) do { if (!(condition)) { failure = "alloc: " #condition; goto out; } } while (0)

const char *twin_alloc_self_test(void) {
  const char *failure = NULL;
  enum { PAGES = 8192, BLOCKS = PAGES >> MAX_ORDER };
  uint32_t *frames = malloc(PAGES * sizeof *frames), *orders = malloc(PAGES * sizeof *orders);
  twin_zone *z = twin_zone_create(PAGES, 2);
  CHECK(frames && orders && z && twin_zone_consistent(z, 0));

  // Random orders and types on two CPUs, freed in another order: nothing lost, nothing twice.
  uint64_t random = 1, pages = 0;
  uint32_t held = 0;
  for (uint32_t step = 0; step < 200000; step++) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    uint32_t r = (uint32_t)(random >> 33), cpu = r & 1;
    if (r & 2) {
      uint32_t order = (r >> 8) % (MAX_ORDER + 1), frame = twin_alloc(z, cpu, order, (r >> 4) % 3);
      if (frame == TWIN_NIL) continue;
      CHECK(z->map[frame].refcount == 1 && z->map[frame].type == TYPE_NONE);
      frames[held] = frame;
      orders[held++] = order;
      pages += UINT64_C(1) << order;
    } else if (held) {
      uint32_t i = (r >> 8) % held;
      twin_free(z, cpu, frames[i], orders[i]);
      pages -= UINT64_C(1) << orders[i];
      frames[i] = frames[--held];
      orders[i] = orders[held];
    }
    if (step % 4096 == 0) CHECK(twin_zone_consistent(z, pages));
  }
  while (held) {
    held--;
    twin_free(z, 0, frames[held], orders[held]);
  }
  CHECK(twin_zone_consistent(z, 0));
  twin_zone_drain(z);
  // All types that are left are mergeable, so the buddies are whole again.
  CHECK(twin_zone_consistent(z, 0) && z->areas[MAX_ORDER].count == BLOCKS);

  // The low watermark is kept back; every page above it can be had.
  while ((frames[held] = twin_alloc(z, 0, 0, TWIN_MOVABLE)) != TWIN_NIL) held++;
  CHECK(twin_zone_consistent(z, held) && z->free_pages <= z->watermark_low);
  CHECK(held + z->free_pages + z->pcps[0].count == PAGES);
  while (held) twin_free(z, 0, frames[--held], 0);
  twin_zone_drain(z);
  CHECK(z->areas[MAX_ORDER].count == BLOCKS);
out:
  if (z) twin_zone_destroy(z);
  free(frames);
  free(orders);
  return failure;
}
