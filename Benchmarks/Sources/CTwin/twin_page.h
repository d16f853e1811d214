// The descriptor and the lock that all twins share.
#ifndef TWIN_PAGE_H
#define TWIN_PAGE_H

#include "CTwin.h"

#include <stdatomic.h>

#define PAGE_BYTES 4096u
#define PAGEBLOCK_ORDER 9u
#define PAGEBLOCK_PAGES 512u
#define MAX_ORDER 10u
#define SECTION_PAGES 32768u
#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum { PAGE_REFERENCED = 1 << 2, PAGE_LRU = 1 << 4, PAGE_RESERVED = 1 << 10, PAGE_HEAD = 1 << 16 };
enum { ZONE_SHIFT = 60, ZONE_NORMAL = 2, ZONE_MOVABLE = 3 };
enum { TYPE_NONE, TYPE_BUDDY, TYPE_OFFLINE };

#define ZONE_BITS (UINT64_C(15) << ZONE_SHIFT)

/// One frame. `head_offset` is 0 for a head or small page and the distance to the head for a tail.
struct twin_page {
  _Atomic int32_t refcount;
  int32_t mapcount;
  _Atomic uint64_t flags;
  _Atomic int32_t pincount;
  int32_t entire_mapcount;
  _Atomic uint32_t head_offset;
  uint8_t order, type, migratetype, reserved;
  uint32_t mapping, next, prev, private_;
  uint64_t index;
  uint64_t tag;
};
_Static_assert(sizeof(struct twin_page) == 64, "a frame costs one cache line");

/// Zero-filled memory that costs nothing until touched, or NULL.
void *twin_reserve(size_t bytes);

typedef struct { _Atomic uint32_t held; } twin_lock;

void twin_lock_contended(twin_lock *l);

ALWAYS_INLINE void lock(twin_lock *l) {
  bool held = atomic_exchange_explicit(&l->held, 1, memory_order_acquire);
  if (__builtin_expect(held, 0)) twin_lock_contended(l);
}

ALWAYS_INLINE void unlock(twin_lock *l) { atomic_store_explicit(&l->held, 0, memory_order_release); }

#endif
