// The loops that drive per-page functions, apart from them so that neither language inlines its own.
#include "CTwin.h"

uint64_t twin_pin_rounds(
  twin_space *space, uint32_t cpu, uint32_t first, uint32_t pages, uint32_t batch, uint64_t rounds,
  uint32_t *frames
) {
  uint64_t base = twin_space_base(space) + (uint64_t)first * 4096, pinned = 0;
  for (uint64_t round = 0; round < rounds; round++) {
    for (uint32_t done = 0; done < pages; done += batch) {
      uint32_t record;
      uint32_t got = twin_pin_fast(
        space, cpu, base + (uint64_t)done * 4096, batch, TWIN_WRITE | TWIN_LONGTERM, 1, 1, frames, &record);
      if (got) twin_unpin(space, cpu, frames, got, record);
      pinned += got;
    }
  }
  return pinned;
}

uint64_t twin_alloc_rounds(
  twin_zone *zone, uint32_t cpu, uint32_t order, uint32_t count, uint64_t rounds, uint32_t *frames
) {
  uint64_t got = 0;
  for (uint64_t round = 0; round < rounds; round++) {
    uint32_t held = 0;
    while (held < count) {
      uint32_t frame = twin_alloc(zone, cpu, order, TWIN_MOVABLE);
      if (frame == TWIN_NIL) break;
      frames[held++] = frame;
    }
    got += held;
    for (uint32_t i = 0; i < held; i++) twin_free(zone, cpu, frames[i], order);
  }
  return got;
}
