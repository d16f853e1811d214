// Offlining a range of free pages, and the host's share of removing its bytes.
#define _GNU_SOURCE
#include "twin_zone.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static uint32_t block_pages(const struct twin_page *page) {
  return page->type == TYPE_BUDDY ? 1u << page->order : 1u;
}

/// Per-CPU lists hold nothing between these two: frees go straight to the buddy lists.
static void set_pcp(twin_zone *z, uint32_t high, uint32_t batch) {
  for (uint32_t cpu = 0; cpu < z->cpus; cpu++) {
    lock(&z->pcps[cpu].lock);
    z->pcps[cpu].high = high;
    z->pcps[cpu].batch = batch;
    unlock(&z->pcps[cpu].lock);
  }
}

/// Retypes one pageblock and moves the free blocks that start in it.
///
/// The second half of a free block of order 10 has none: the block moved with its first half.
static int isolate_pageblock(twin_zone *z, uint32_t first) {
  int result = 0;
  lock(&z->lock);
  uint8_t *type = &z->pageblocks[first >> PAGEBLOCK_ORDER];
  uint32_t outer = first & ~((1u << MAX_ORDER) - 1);
  bool inside = outer != first && z->map[outer].type == TYPE_BUDDY && z->map[outer].order == MAX_ORDER;
  if (*type == TWIN_ISOLATE || *type == TWIN_CMA) {
    result = EBUSY;
    goto out;
  }
  uint32_t end = inside ? first : first + PAGEBLOCK_PAGES;
  for (uint32_t frame = first; frame < end; frame += block_pages(&z->map[frame]))
    if (atomic_load_explicit(&z->map[frame].flags, memory_order_relaxed) & PAGE_RESERVED) {
      result = EBUSY;
      goto out;
    }
  *type = TWIN_ISOLATE;
  z->isolated_pageblocks++;
  for (uint32_t frame = first; frame < end;) {
    uint32_t step = block_pages(&z->map[frame]);
    if (z->map[frame].type == TYPE_BUDDY && z->map[frame].migratetype != TWIN_ISOLATE) {
      uint32_t order = z->map[frame].order;
      twin_remove_free(z, frame);
      twin_add_free(z, frame, order, TWIN_ISOLATE, true);
    }
    frame += step;
  }
out:
  unlock(&z->lock);
  return result;
}

static void unisolate(twin_zone *z, uint32_t first, uint32_t end) {
  lock(&z->lock);
  for (uint32_t block = first; block < end; block += PAGEBLOCK_PAGES) {
    z->pageblocks[block >> PAGEBLOCK_ORDER] = TWIN_MOVABLE;
    z->isolated_pageblocks--;
  }
  for (uint32_t frame = first; frame < end;) {
    uint32_t step = block_pages(&z->map[frame]);
    if (z->map[frame].type == TYPE_BUDDY) {
      uint32_t order = z->map[frame].order;
      twin_remove_free(z, frame);
      twin_add_free(z, frame, order, TWIN_MOVABLE, true);
    }
    frame += step;
  }
  unlock(&z->lock);
}

int twin_offline(twin_zone *z, uint32_t first, uint32_t pages) {
  uint32_t end = first + pages;
  if (pages == 0 || first % (1u << MAX_ORDER) || pages % (1u << MAX_ORDER) || end > z->pages) return EINVAL;
  set_pcp(z, 0, 1);
  twin_zone_drain(z);
  int result = 0;
  uint32_t isolated = first;
  for (; isolated < end && result == 0; isolated += PAGEBLOCK_PAGES) result = isolate_pageblock(z, isolated);
  if (result) {
    unisolate(z, first, isolated - PAGEBLOCK_PAGES);
    goto out;
  }

  // What the scan for movable pages finds would be migrated; the block is meant to be free, so it is in use.
  for (uint32_t frame = first; frame < end && result == 0; frame += block_pages(&z->map[frame]))
    if (atomic_load_explicit(&z->map[frame].flags, memory_order_relaxed) & PAGE_LRU) result = EBUSY;
  lock(&z->lock);
  for (uint32_t frame = first; frame < end && result == 0; frame += block_pages(&z->map[frame]))
    if (z->map[frame].type != TYPE_BUDDY) result = EBUSY;
  unlock(&z->lock);
  if (result) {
    unisolate(z, first, end);
    goto out;
  }

  lock(&z->lock);
  for (uint32_t frame = first; frame < end;) {
    uint32_t step = block_pages(&z->map[frame]);
    twin_remove_free(z, frame);
    z->map[frame].type = TYPE_OFFLINE;
    frame += step;
  }
  z->isolated_pageblocks -= pages / PAGEBLOCK_PAGES;
  z->managed -= pages;
  z->present -= pages;
  twin_zone_size(z);
  unlock(&z->lock);
out:
  set_pcp(z, z->pcp_high, z->pcp_batch);
  return result;
}

void twin_online(twin_zone *z, uint32_t first, uint32_t pages) {
  lock(&z->lock);
  memset(&z->pageblocks[first >> PAGEBLOCK_ORDER], TWIN_MOVABLE, pages / PAGEBLOCK_PAGES);
  for (uint32_t frame = first; frame < first + pages; frame += 1u << MAX_ORDER) {
    z->map[frame].type = TYPE_NONE;
    twin_free_one(z, frame, MAX_ORDER);
  }
  z->managed += pages;
  z->present += pages;
  twin_zone_size(z);
  unlock(&z->lock);
}

int twin_block_store_open(twin_block_store *store, size_t bytes, bool touch) {
  store->bytes = bytes;
  store->window = MAP_FAILED;
  store->descriptor = memfd_create("twin-block", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (store->descriptor < 0) return errno;
  if (ftruncate(store->descriptor, (off_t)bytes) == 0)
    store->window = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, store->descriptor, 0);
  if (store->window == MAP_FAILED) {
    int cause = errno;
    close(store->descriptor);
    return cause;
  }
  if (touch) memset(store->window, 1, bytes);
  return 0;
}

int twin_block_store_release(twin_block_store *store) {
  int result = 0;
  if (munmap(store->window, store->bytes)) result = errno;
  // Refused while the host still holds a writable mapping or a pin of any page of it.
  if (fcntl(store->descriptor, F_ADD_SEALS, F_SEAL_WRITE) && !result) result = errno;
  if (close(store->descriptor) && !result) result = errno;
  store->window = MAP_FAILED;
  store->descriptor = -1;
  return result;
}

// MARK: Self-test

#define CHECK(condition) do { if (!(condition)) { failure = "offline: " #condition; goto out; } } while (0)

const char *twin_offline_self_test(void) {
  const char *failure = NULL;
  const uint32_t pages = 4 * SECTION_PAGES, first = SECTION_PAGES;
  uint32_t frames[600];
  twin_zone *z = twin_zone_create(pages, 2);
  CHECK(z);
  CHECK(twin_offline(z, first, SECTION_PAGES) == 0);
  CHECK(z->managed == pages - SECTION_PAGES && z->free_pages == z->managed && z->isolated_pageblocks == 0);
  CHECK(twin_zone_consistent(z, 0));
  twin_online(z, first, SECTION_PAGES);
  CHECK(z->managed == pages && twin_zone_consistent(z, 0));
  CHECK(z->areas[MAX_ORDER].count == pages >> MAX_ORDER);

  // One page in use anywhere in the range: refused, and everything as before.
  uint32_t held = 0, inside = TWIN_NIL;
  for (; held < 600; held++) {
    frames[held] = twin_alloc(z, 0, 3, TWIN_MOVABLE);
    CHECK(frames[held] != TWIN_NIL);
  }
  inside = frames[300] / SECTION_PAGES * SECTION_PAGES;
  CHECK(twin_offline(z, inside, SECTION_PAGES) == EBUSY);
  CHECK(z->managed == pages && z->isolated_pageblocks == 0 && twin_zone_consistent(z, 600 * 8));
  while (held) twin_free(z, 1, frames[--held], 3);
  twin_zone_drain(z);
  CHECK(twin_offline(z, inside, SECTION_PAGES) == 0);
  twin_online(z, inside, SECTION_PAGES);
  CHECK(twin_zone_consistent(z, 0) && z->areas[MAX_ORDER].count == pages >> MAX_ORDER);

  twin_block_store store;
  CHECK(twin_block_store_open(&store, 1 << 20, true) == 0);
  void *second = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, store.descriptor, 0);
  CHECK(second != MAP_FAILED);
  CHECK(fcntl(store.descriptor, F_ADD_SEALS, F_SEAL_WRITE) == -1 && errno == EBUSY);
  munmap(second, 4096);
  CHECK(twin_block_store_release(&store) == 0);
out:
  if (z) twin_zone_destroy(z);
  return failure;
}
