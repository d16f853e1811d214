#define _GNU_SOURCE
#include "uring.h"
#include <errno.h>
#include <linux/io_uring.h>
#include <string.h>
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
  return result_of(syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, slots, count));
}

int hf_uring_unregister_buffers(int ring) {
  return result_of(syscall(SYS_io_uring_register, ring, IORING_UNREGISTER_BUFFERS, NULL, 0));
}
