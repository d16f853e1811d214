// The address space that pins are taken in: descriptors, page tables, counters, the ledger.
#ifndef TWIN_SPACE_H
#define TWIN_SPACE_H

#include "twin_page.h"

enum {
  PTE_PRESENT = 1 << 0, PTE_WRITE = 1 << 1, PTE_USER = 1 << 2, PTE_HUGE = 1 << 7, PTE_SPECIAL = 1 << 9
};
enum { ENTRIES = 512, PIN_BIAS = 1024, LEDGER_RECORDS = 65536 };

typedef _Atomic uint64_t twin_entry;

struct pin_cpu {
  _Alignas(128) uint64_t acquired;
  uint64_t released;
  uint64_t freed;
  _Atomic uint32_t walkers;
};

struct pin_record {
  uint32_t owner, purpose, pages, runs, first_frame, next_free;
  uint64_t address, tick;
};

struct twin_space {
  struct twin_page *map;
  twin_entry (*tables)[ENTRIES];
  uint8_t *pageblocks;
  struct pin_cpu *cpus;
  struct pin_record *records;
  uint64_t base;
  uint32_t pages, table_count, cpu_count, folio_order;
  _Alignas(128) _Atomic uint32_t write_protect_seq;
  _Atomic uint64_t tick;
  _Alignas(128) twin_lock ledger_lock;
  uint32_t free_record, used_records, open_records;
};

ALWAYS_INLINE uint64_t entry_load(twin_entry *e) { return atomic_load_explicit(e, memory_order_acquire); }
ALWAYS_INLINE uint32_t entry_frame(uint64_t entry) { return (uint32_t)(entry >> 12); }

#endif
