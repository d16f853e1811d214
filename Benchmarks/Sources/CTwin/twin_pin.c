// Lockless pinning: the walk, the grab, the rechecks, the ledger.
#include "twin_space.h"

ALWAYS_INLINE uint32_t head_of(const twin_space *s, uint32_t frame) {
  return frame - atomic_load_explicit(&s->map[frame].head_offset, memory_order_acquire);
}

ALWAYS_INLINE bool is_large(const struct twin_page *head) {
  return atomic_load_explicit(&head->flags, memory_order_relaxed) & PAGE_HEAD;
}

ALWAYS_INLINE bool may_pin_longterm(const twin_space *s, uint32_t head) {
  uint8_t type = s->pageblocks[head >> PAGEBLOCK_ORDER];
  if (type == TWIN_CMA || type == TWIN_ISOLATE) return false;
  return (atomic_load_explicit(&s->map[head].flags, memory_order_relaxed) >> ZONE_SHIFT) != ZONE_MOVABLE;
}

static __attribute__((noinline, cold)) void free_page(struct pin_cpu *cpu, struct twin_page *head) {
  uint64_t flags = atomic_load_explicit(&head->flags, memory_order_relaxed);
  atomic_store_explicit(&head->flags, flags & ZONE_BITS, memory_order_relaxed);
  cpu->freed++;
}

ALWAYS_INLINE void put_refs(struct pin_cpu *cpu, struct twin_page *head, uint32_t refs, bool large) {
  cpu->released += refs;
  if (large) atomic_fetch_sub_explicit(&head->pincount, (int32_t)refs, memory_order_relaxed);
  int32_t drop = large ? (int32_t)refs : (int32_t)(refs * PIN_BIAS);
  if (atomic_fetch_sub_explicit(&head->refcount, drop, memory_order_acq_rel) == drop) free_page(cpu, head);
}

/// Takes `refs` pins of the folio of `frame`, unless it is free or frozen, or its head changes meanwhile.
ALWAYS_INLINE struct twin_page *try_grab(
  twin_space *s, struct pin_cpu *cpu, uint32_t frame, uint32_t refs, uint32_t flags
) {
  uint32_t head_frame = head_of(s, frame);
  struct twin_page *head = &s->map[head_frame];
  if ((flags & TWIN_LONGTERM) && !may_pin_longterm(s, head_frame)) return NULL;
  bool large = is_large(head);
  int32_t add = large ? (int32_t)refs : (int32_t)(refs * PIN_BIAS);
  int32_t count = atomic_load_explicit(&head->refcount, memory_order_relaxed);
  do {
    if (count <= 0) return NULL;
  } while (!atomic_compare_exchange_weak_explicit(
    &head->refcount, &count, count + add, memory_order_acq_rel, memory_order_relaxed));
  if (head_of(s, frame) != head_frame) {
    atomic_fetch_sub_explicit(&head->refcount, add, memory_order_release);
    return NULL;
  }
  if (large) atomic_fetch_add_explicit(&head->pincount, (int32_t)refs, memory_order_acq_rel);
  cpu->acquired += refs;
  return head;
}

ALWAYS_INLINE void set_referenced(struct twin_page *head) {
  if (!(atomic_load_explicit(&head->flags, memory_order_relaxed) & PAGE_REFERENCED))
    atomic_fetch_or_explicit(&head->flags, PAGE_REFERENCED, memory_order_relaxed);
}

/// What a walk collects.
struct walk {
  uint32_t *frames;
  uint32_t taken, runs, last;
};

// The two leaf walks are functions of their own, so that the outer levels do not take their registers.
static __attribute__((noinline)) bool pin_ptes(
  twin_space *s, struct pin_cpu *cpu, twin_entry *pmd, uint64_t pmd_value, uint64_t address, uint64_t end,
  uint32_t flags, struct walk *w
) {
  const uint64_t needed = PTE_PRESENT | PTE_USER | ((flags & TWIN_WRITE) ? PTE_WRITE : 0);
  twin_entry *pte = &s->tables[entry_frame(pmd_value)][(address >> 12) & 511];
  uint32_t *out = w->frames + w->taken, *const last_out = out + ((end - address) >> 12);
  uint32_t runs = w->runs, last = w->last;
  for (; out < last_out; pte++) {
    uint64_t value = entry_load(pte);
    if ((value & (needed | PTE_SPECIAL)) != needed) break;
    uint32_t frame = entry_frame(value);
    struct twin_page *head = try_grab(s, cpu, frame, 1, flags);
    if (!head) break;
    if (pmd_value != entry_load(pmd) || value != entry_load(pte)) {
      put_refs(cpu, head, 1, is_large(head));
      break;
    }
    set_referenced(head);
    runs += frame != last + 1;
    last = frame;
    *out++ = frame;
  }
  w->taken = (uint32_t)(out - w->frames);
  w->runs = runs;
  w->last = last;
  return out == last_out;
}

static __attribute__((noinline)) bool pin_huge(
  twin_space *s, struct pin_cpu *cpu, twin_entry *pmd, uint64_t value, uint64_t address, uint64_t end,
  uint32_t flags, struct walk *w
) {
  const uint64_t needed = PTE_PRESENT | PTE_USER | ((flags & TWIN_WRITE) ? PTE_WRITE : 0);
  if ((value & (needed | PTE_SPECIAL)) != needed) return false;
  uint32_t frame = entry_frame(value) + ((address >> 12) & 511);
  uint32_t refs = (uint32_t)((end - address) >> 12);
  struct twin_page *head = try_grab(s, cpu, frame, refs, flags);
  if (!head) return false;
  if (value != entry_load(pmd)) {
    put_refs(cpu, head, refs, is_large(head));
    return false;
  }
  set_referenced(head);
  w->runs += frame != w->last + 1;
  uint32_t *out = w->frames + w->taken;
  for (uint32_t i = 0; i < refs; i++) out[i] = frame + i;
  w->taken += refs;
  w->last = frame + refs - 1;
  return true;
}

ALWAYS_INLINE uint64_t boundary(uint64_t address, uint64_t end, uint32_t shift) {
  uint64_t next = ((address >> shift) + 1) << shift;
  return next < end ? next : end;
}

static void walk_range(
  twin_space *s, struct pin_cpu *cpu, uint64_t address, uint64_t end, uint32_t flags, struct walk *w
) {
  while (address < end) {
    uint64_t top = entry_load(&s->tables[0][(address >> 39) & 511]);
    if (!(top & PTE_PRESENT)) return;
    uint64_t top_end = boundary(address, end, 39);
    for (; address < top_end;) {
      uint64_t pud = entry_load(&s->tables[entry_frame(top)][(address >> 30) & 511]);
      if (!(pud & PTE_PRESENT) || (pud & PTE_HUGE)) return;
      uint64_t pud_end = boundary(address, top_end, 30);
      for (; address < pud_end;) {
        twin_entry *pmd = &s->tables[entry_frame(pud)][(address >> 21) & 511];
        uint64_t value = entry_load(pmd);
        uint64_t pmd_end = boundary(address, pud_end, 21);
        if (!(value & PTE_PRESENT)) return;
        bool whole = (value & PTE_HUGE)
          ? pin_huge(s, cpu, pmd, value, address, pmd_end, flags, w)
          : pin_ptes(s, cpu, pmd, value, address, pmd_end, flags, w);
        if (!whole) return;
        address = pmd_end;
      }
    }
  }
}

static uint32_t ledger_open(
  twin_space *s, uint32_t owner, uint32_t purpose, uint64_t address, const struct walk *w
) {
  lock(&s->ledger_lock);
  uint32_t id = s->free_record;
  if (id != TWIN_NIL) s->free_record = s->records[id].next_free;
  else if (s->used_records < LEDGER_RECORDS) id = s->used_records++;
  if (id != TWIN_NIL) {
    s->records[id] = (struct pin_record) {
      .owner = owner, .purpose = purpose, .pages = w->taken, .runs = w->runs, .first_frame = w->frames[0],
      .next_free = TWIN_NIL, .address = address,
      .tick = atomic_load_explicit(&s->tick, memory_order_relaxed),
    };
    s->open_records++;
  }
  unlock(&s->ledger_lock);
  return id;
}

static void ledger_close(twin_space *s, uint32_t id) {
  lock(&s->ledger_lock);
  s->records[id].pages = 0;
  s->records[id].next_free = s->free_record;
  s->free_record = id;
  s->open_records--;
  unlock(&s->ledger_lock);
}

static void release_frames(twin_space *s, struct pin_cpu *cpu, const uint32_t *frames, uint32_t count) {
  for (uint32_t i = 0; i < count;) {
    uint32_t head = head_of(s, frames[i]);
    struct twin_page *page = &s->map[head];
    bool large = is_large(page);
    uint32_t span = large ? 1u << page->order : 1u;
    uint32_t group = 1;
    while (i + group < count && frames[i + group] - head < span) group++;
    put_refs(cpu, page, group, large);
    i += group;
  }
}

uint32_t twin_pin_fast(
  twin_space *s, uint32_t cpu_index, uint64_t address, uint32_t count, uint32_t flags, uint32_t owner,
  uint32_t purpose, uint32_t *frames, uint32_t *record
) {
  struct pin_cpu *cpu = &s->cpus[cpu_index];
  *record = TWIN_NIL;
  uint32_t seq = atomic_load_explicit(&s->write_protect_seq, memory_order_acquire);
  if ((seq & 1) || count == 0) return 0;
  struct walk w = { .frames = frames, .taken = 0, .runs = 0, .last = TWIN_NIL - 1 };
  // A table that a walker may be in is not freed: whoever frees one waits for these to be seen at zero.
  atomic_fetch_add_explicit(&cpu->walkers, 1, memory_order_acquire);
  walk_range(s, cpu, address, address + (uint64_t)count * PAGE_BYTES, flags, &w);
  atomic_fetch_sub_explicit(&cpu->walkers, 1, memory_order_release);
  if (w.taken == 0) return 0;
  if (atomic_load_explicit(&s->write_protect_seq, memory_order_acquire) != seq) {
    release_frames(s, cpu, frames, w.taken);
    return 0;
  }
  *record = ledger_open(s, owner, purpose, address, &w);
  if (*record == TWIN_NIL) {
    release_frames(s, cpu, frames, w.taken);
    return 0;
  }
  return w.taken;
}

void twin_unpin(
  twin_space *s, uint32_t cpu_index, const uint32_t *frames, uint32_t count, uint32_t record
) {
  release_frames(s, &s->cpus[cpu_index], frames, count);
  ledger_close(s, record);
}
