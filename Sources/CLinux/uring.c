#define _GNU_SOURCE
#include "uring.h"
#include "devices.h"
#include <errno.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { maximum_slots = 1024 };
static const size_t slot_size = (size_t)1 << 30;

static int result_of(long value) { return value < 0 ? -errno : (int)value; }

int hf_uring_setup(unsigned entries) {
  struct io_uring_params parameters;
  memset(&parameters, 0, sizeof parameters);
  return result_of(syscall(SYS_io_uring_setup, entries, &parameters));
}

int hf_uring_register_buffer(int ring, void *address, size_t length) {
  struct iovec slots[maximum_slots];
  unsigned count = 0;
  if (length == 0) return -EFAULT;
  for (size_t done = 0; done < length; done += slots[count++].iov_len) {
    if (count == maximum_slots) return -EINVAL;
    size_t left = length - done;
    slots[count].iov_base = (char *)address + done;
    slots[count].iov_len = left < slot_size ? left : slot_size;
  }
  hf_call_begins();
  int result = result_of(syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, slots, count));
  hf_call_ends();
  return result;
}

int hf_uring_unregister_buffers(int ring) {
  return result_of(syscall(SYS_io_uring_register, ring, IORING_UNREGISTER_BUFFERS, NULL, 0));
}

struct hf_uring {
  int descriptor;
  pthread_mutex_t lock;
  void *rings;
  size_t rings_size;
  struct io_uring_sqe *entries;
  size_t entries_size;
  struct io_uring_params parameters;
};

int hf_uring_open(hf_uring **out) {
  hf_uring *ring = calloc(1, sizeof *ring);
  if (ring == NULL) return -ENOMEM;
  struct io_uring_params *parameters = &ring->parameters;
  ring->descriptor = result_of(syscall(SYS_io_uring_setup, 1, parameters));
  if (ring->descriptor < 0) {
    int error = ring->descriptor;
    free(ring);
    return error;
  }
  size_t submission = parameters->sq_off.array + parameters->sq_entries * sizeof(unsigned);
  size_t completion = parameters->cq_off.cqes + parameters->cq_entries * sizeof(struct io_uring_cqe);
  ring->rings_size = submission > completion ? submission : completion;
  ring->entries_size = parameters->sq_entries * sizeof(struct io_uring_sqe);
  int protection = PROT_READ | PROT_WRITE;
  ring->rings = mmap(NULL, ring->rings_size, protection, MAP_SHARED, ring->descriptor, IORING_OFF_SQ_RING);
  ring->entries = mmap(NULL, ring->entries_size, protection, MAP_SHARED, ring->descriptor, IORING_OFF_SQES);
  if (ring->rings == MAP_FAILED || ring->entries == MAP_FAILED) {
    int error = -errno;
    hf_uring_close(ring);
    return error;
  }
  pthread_mutex_init(&ring->lock, NULL);
  *out = ring;
  return 0;
}

int hf_uring_descriptor(const hf_uring *ring) { return ring->descriptor; }

static _Atomic unsigned *word(hf_uring *ring, unsigned offset) {
  return (_Atomic unsigned *)((char *)ring->rings + offset);
}

static int64_t run(hf_uring *ring, const struct io_uring_sqe *entry) {
  struct io_uring_params *parameters = &ring->parameters;
  ring->entries[0] = *entry;
  _Atomic unsigned *tail = word(ring, parameters->sq_off.tail);
  unsigned position = atomic_load(tail);
  unsigned mask = atomic_load(word(ring, parameters->sq_off.ring_mask));
  atomic_store(word(ring, parameters->sq_off.array) + (position & mask), 0);
  atomic_store(tail, position + 1);
  _Atomic unsigned *head = word(ring, parameters->cq_off.head);
  unsigned to_submit = 1;
  while (atomic_load(head) == atomic_load(word(ring, parameters->cq_off.tail))) {
    long entered = syscall(SYS_io_uring_enter, ring->descriptor, to_submit, 1, IORING_ENTER_GETEVENTS, NULL, 0);
    if (entered < 0 && errno != EINTR) return -errno;
    /* Whatever was submitted, a signal can only have cut the wait short. */
    if (atomic_load(word(ring, parameters->sq_off.head)) == position + 1) to_submit = 0;
  }
  unsigned done = atomic_load(head);
  const struct io_uring_cqe *completions =
      (const struct io_uring_cqe *)((char *)ring->rings + parameters->cq_off.cqes);
  int64_t result = completions[done & atomic_load(word(ring, parameters->cq_off.ring_mask))].res;
  atomic_store(head, done + 1);
  return result;
}

int64_t hf_uring_transfer(hf_uring *ring, bool to_file, int file, uint64_t base, uint64_t address, size_t length,
                          uint64_t offset) {
  size_t slot = (address - base) / slot_size;
  size_t left = slot_size - (address - base) % slot_size;
  struct io_uring_sqe entry;
  memset(&entry, 0, sizeof entry);
  entry.opcode = to_file ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED;
  entry.fd = file;
  entry.addr = address;
  entry.len = (unsigned)(length < left ? length : left);
  entry.off = offset;
  entry.buf_index = (unsigned short)slot;
  pthread_mutex_lock(&ring->lock);
  int64_t result = run(ring, &entry);
  pthread_mutex_unlock(&ring->lock);
  return result;
}

void hf_uring_close(hf_uring *ring) {
  if (ring->entries != MAP_FAILED) munmap(ring->entries, ring->entries_size);
  if (ring->rings != MAP_FAILED) munmap(ring->rings, ring->rings_size);
  close(ring->descriptor);
  free(ring);
}
