// A machine's metadata: reserved for all of it, touched for none of it.
#include "twin_zone.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { SECTION_PRESENT = 1, SECTION_ONLINE = 2, SECTION_TOUCHED = 4 };

struct section { uint32_t first; uint8_t node, zone, state, reserved; };
struct memory_block { uint32_t first_section, sections; uint8_t state, zone; };

struct twin_machine {
  struct twin_page *map;
  struct section *sections;
  struct memory_block *blocks;
  uint8_t *pageblocks;
  uint64_t pages, free_pages, managed, watermark_low;
  uint32_t section_count, touched, next_untouched;
  struct free_area areas[MAX_ORDER + 1];
};

twin_machine *twin_machine_start(uint64_t bytes) {
  uint64_t pages = bytes / PAGE_BYTES;
  if (pages == 0 || pages % SECTION_PAGES || pages >= TWIN_NIL) return NULL;
  twin_machine *m = calloc(1, sizeof *m);
  if (!m) return NULL;
  m->pages = m->free_pages = m->managed = pages;
  m->watermark_low = pages / 512;
  m->section_count = (uint32_t)(pages / SECTION_PAGES);
  m->map = twin_reserve(pages * sizeof *m->map);
  m->sections = calloc(m->section_count, sizeof *m->sections);
  m->blocks = calloc(m->section_count, sizeof *m->blocks);
  m->pageblocks = twin_reserve(pages >> PAGEBLOCK_ORDER);
  if (!m->map || !m->sections || !m->blocks || !m->pageblocks) {
    twin_machine_stop(m);
    return NULL;
  }
  memset(m->pageblocks, TWIN_MOVABLE, pages >> PAGEBLOCK_ORDER);
  for (uint32_t i = 0; i < m->section_count; i++) {
    m->sections[i] = (struct section) {
      .first = i * SECTION_PAGES, .zone = ZONE_NORMAL, .state = SECTION_PRESENT | SECTION_ONLINE,
    };
    m->blocks[i] = (struct memory_block) {
      .first_section = i, .sections = 1, .state = 1, .zone = ZONE_NORMAL,
    };
  }
  for (uint32_t o = 0; o <= MAX_ORDER; o++)
    for (uint32_t t = 0; t < TWIN_MIGRATETYPES; t++) list_init(&m->areas[o].lists[t]);
  return m;
}

void twin_machine_stop(twin_machine *m) {
  if (m->map) munmap(m->map, m->pages * sizeof *m->map);
  if (m->pageblocks) munmap(m->pageblocks, m->pages >> PAGEBLOCK_ORDER);
  free(m->sections);
  free(m->blocks);
  free(m);
}

uint64_t twin_machine_free_pages(const twin_machine *m) { return m->free_pages; }
uint32_t twin_machine_touched_sections(const twin_machine *m) { return m->touched; }

static bool touch_next_section(twin_machine *m) {
  if (m->next_untouched == m->section_count) return false;
  struct section *section = &m->sections[m->next_untouched++];
  section->state |= SECTION_TOUCHED;
  m->touched++;
  for (uint32_t i = 0; i < SECTION_PAGES; i++)
    atomic_store_explicit(
      &m->map[section->first + i].flags, (uint64_t)section->zone << ZONE_SHIFT, memory_order_relaxed);
  for (uint32_t i = 0; i < SECTION_PAGES; i += 1u << MAX_ORDER) {
    struct twin_page *page = &m->map[section->first + i];
    page->type = TYPE_BUDDY;
    page->order = MAX_ORDER;
    page->migratetype = TWIN_MOVABLE;
    list_add_tail(m->map, &m->areas[MAX_ORDER].lists[TWIN_MOVABLE], section->first + i);
    m->areas[MAX_ORDER].count++;
  }
  return true;
}

uint32_t twin_machine_take_page(twin_machine *m) {
  for (;;) {
    for (uint32_t found = 0; found <= MAX_ORDER; found++) {
      struct page_list *list = &m->areas[found].lists[TWIN_MOVABLE];
      uint32_t frame = peek(&list->head);
      if (frame == TWIN_NIL) continue;
      list_remove(m->map, list, frame);
      m->areas[found].count--;
      while (found > 0) {
        uint32_t half = frame + (1u << --found);
        m->map[half].type = TYPE_BUDDY;
        m->map[half].order = (uint8_t)found;
        m->map[half].migratetype = TWIN_MOVABLE;
        list_add_head(m->map, &m->areas[found].lists[TWIN_MOVABLE], half);
        m->areas[found].count++;
      }
      m->map[frame].type = TYPE_NONE;
      atomic_store_explicit(&m->map[frame].refcount, 1, memory_order_relaxed);
      m->free_pages--;
      return frame;
    }
    if (!touch_next_section(m)) return TWIN_NIL;
  }
}

// MARK: Self-test

#define CHECK(condition) do { if (!(condition)) { failure = "start: " #condition; goto out; } } while (0)

const char *twin_start_self_test(void) {
  const char *failure = NULL;
  uint64_t before = twin_resident_bytes();
  twin_machine *m = twin_machine_start(UINT64_C(1) << 40);
  CHECK(m && twin_machine_free_pages(m) == UINT64_C(1) << 28 && m->section_count == 8192);
  for (uint32_t i = 0; i < SECTION_PAGES; i++) CHECK(twin_machine_take_page(m) == i);
  CHECK(twin_machine_touched_sections(m) == 1);
  CHECK(twin_machine_take_page(m) == SECTION_PAGES && twin_machine_touched_sections(m) == 2);
  CHECK(twin_machine_free_pages(m) == (UINT64_C(1) << 28) - SECTION_PAGES - 1);
  // Two sections of descriptors and the flat tables; 16 GiB are only reserved.
  CHECK(twin_resident_bytes() - before < UINT64_C(16) << 20);
out:
  if (m) twin_machine_stop(m);
  return failure;
}
