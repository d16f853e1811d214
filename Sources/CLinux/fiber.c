#define _GNU_SOURCE
#include "fiber.h"

#include "signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

/* A fiber that begins anew leaves frames behind, whose surroundings the address sanitizer still holds for out of
   bounds. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
void __asan_unpoison_memory_region(void const volatile *start, size_t size);
#define forget_frames(stack, size) __asan_unpoison_memory_region(stack, size)
#endif
#endif
#ifndef forget_frames
#define forget_frames(stack, size) ((void)0)
#endif

static size_t guard_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }

int64_t hf_fiber_map_stack(void **out, size_t size) {
  size_t guard = guard_size();
  char *at = mmap(NULL, size + guard, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (at == MAP_FAILED) return -errno;
  if (mprotect(at, guard, PROT_NONE) != 0) {
    int error = errno;
    munmap(at, size + guard);
    return -error;
  }
  *out = at + guard;
  return 0;
}

int64_t hf_fiber_unmap_stack(void *stack, size_t size) {
  size_t guard = guard_size();
  return munmap((char *)stack - guard, size + guard) == 0 ? 0 : -errno;
}

/* Saved registers lie on the left stack. The resume address is popped and jumped to: a return would be
   mispredicted at every switch. */
#if defined(__x86_64__)
__asm__(
    ".text\n"
    ".globl hf_fiber_switch\n"
    ".type hf_fiber_switch, @function\n"
    "hf_fiber_switch:\n"
    "  pushq %rbp\n"
    "  pushq %rbx\n"
    "  pushq %r12\n"
    "  pushq %r13\n"
    "  pushq %r14\n"
    "  pushq %r15\n"
    "  movq %rsp, (%rdi)\n"
    "  movq %rsi, %rsp\n"
    "  popq %r15\n"
    "  popq %r14\n"
    "  popq %r13\n"
    "  popq %r12\n"
    "  popq %rbx\n"
    "  popq %rbp\n"
    "  popq %rcx\n"
    "  jmpq *%rcx\n"
    ".size hf_fiber_switch, .-hf_fiber_switch\n"
    ".type hf_fiber_start, @function\n"
    "hf_fiber_start:\n"
    "  movq %r13, %rdi\n"
    "  callq *%r12\n"
    "  ud2\n"
    ".size hf_fiber_start, .-hf_fiber_start\n");
extern char hf_fiber_start[];

void *hf_fiber_prepare(void *stack, size_t size, hf_fiber_entry entry, void *context) {
  forget_frames(stack, size);
  uintptr_t top = ((uintptr_t)stack + size) & ~(uintptr_t)15;
  /* r15, r14, r13, r12, rbx, rbp, resume address: popping them leaves the stack at a multiple of 16. */
  uintptr_t *slot = (uintptr_t *)top - 9;
  memset(slot, 0, 9 * sizeof *slot);
  slot[2] = (uintptr_t)context;
  slot[3] = (uintptr_t)entry;
  slot[6] = (uintptr_t)hf_fiber_start;
  return slot;
}
#elif defined(__aarch64__)
__asm__(
    ".text\n"
    ".globl hf_fiber_switch\n"
    ".type hf_fiber_switch, %function\n"
    "hf_fiber_switch:\n"
    "  sub sp, sp, #160\n"
    "  stp x19, x20, [sp]\n"
    "  stp x21, x22, [sp, #16]\n"
    "  stp x23, x24, [sp, #32]\n"
    "  stp x25, x26, [sp, #48]\n"
    "  stp x27, x28, [sp, #64]\n"
    "  stp x29, x30, [sp, #80]\n"
    "  stp d8, d9, [sp, #96]\n"
    "  stp d10, d11, [sp, #112]\n"
    "  stp d12, d13, [sp, #128]\n"
    "  stp d14, d15, [sp, #144]\n"
    "  mov x9, sp\n"
    "  str x9, [x0]\n"
    "  mov sp, x1\n"
    "  ldp x19, x20, [sp]\n"
    "  ldp x21, x22, [sp, #16]\n"
    "  ldp x23, x24, [sp, #32]\n"
    "  ldp x25, x26, [sp, #48]\n"
    "  ldp x27, x28, [sp, #64]\n"
    "  ldp x29, x30, [sp, #80]\n"
    "  ldp d8, d9, [sp, #96]\n"
    "  ldp d10, d11, [sp, #112]\n"
    "  ldp d12, d13, [sp, #128]\n"
    "  ldp d14, d15, [sp, #144]\n"
    "  add sp, sp, #160\n"
    "  mov x16, x30\n"
    "  br x16\n"
    ".size hf_fiber_switch, .-hf_fiber_switch\n"
    ".type hf_fiber_start, %function\n"
    "hf_fiber_start:\n"
    "  mov x0, x20\n"
    "  blr x19\n"
    "  brk #1\n"
    ".size hf_fiber_start, .-hf_fiber_start\n");
extern char hf_fiber_start[];

void *hf_fiber_prepare(void *stack, size_t size, hf_fiber_entry entry, void *context) {
  forget_frames(stack, size);
  uintptr_t top = ((uintptr_t)stack + size) & ~(uintptr_t)15;
  uintptr_t *slot = (uintptr_t *)top - 20;
  memset(slot, 0, 20 * sizeof *slot);
  slot[0] = (uintptr_t)entry;
  slot[1] = (uintptr_t)context;
  slot[11] = (uintptr_t)hf_fiber_start;
  return slot;
}
#else
#error "no fiber switch for this processor"
#endif

/* Traps. */

static const int trap_signals[] = {SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT};
enum { trap_count = sizeof trap_signals / sizeof *trap_signals, signal_stack_size = 64 * 1024 };

static pthread_mutex_t trap_mutex = PTHREAD_MUTEX_INITIALIZER;
static int trap_catchers;
static struct sigaction former_actions[trap_count];
static bool is_installed[trap_count];

static _Thread_local hf_trap_function trap_function;
static _Thread_local void *trap_context;
static _Thread_local int trap_signal;
/* The handler's stack, and above it one on which the fiber that trapped goes on. */
static _Thread_local char *signal_stacks;
static _Thread_local stack_t former_stack;

static void leave_trapped_fiber(void) {
  trap_function(trap_context, trap_signal);
  signal(trap_signal, SIG_DFL);
  raise(trap_signal);
}

static void on_trap(int signal, siginfo_t *info, void *raw) {
  if (trap_function == NULL) {
    /* Another thread's. */
    for (int i = 0; i < trap_count; i++) {
      if (trap_signals[i] == signal) pass_on(signal, info, raw, &former_actions[i]);
    }
    return;
  }
  /* The fiber may have no stack left, and nothing on it is needed any more. */
  trap_signal = signal;
  ucontext_t *context = raw;
  uintptr_t top = (uintptr_t)signal_stacks + 2 * signal_stack_size;
#if defined(__x86_64__)
  context->uc_mcontext.gregs[REG_RSP] = (greg_t)(top - 8);
  context->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)leave_trapped_fiber;
#else
  context->uc_mcontext.sp = top;
  context->uc_mcontext.pc = (uintptr_t)leave_trapped_fiber;
#endif
}

static void install(bool catching) {
  pthread_mutex_lock(&trap_mutex);
  if (catching && trap_catchers++ == 0) {
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    for (int i = 0; i < trap_count; i++) {
      /* Still there, below a handler that came later: once more on top of it, each would pass on to the other. */
      if (is_installed[i]) continue;
      sigaction(trap_signals[i], &action, &former_actions[i]);
      is_installed[i] = true;
    }
  } else if (!catching && --trap_catchers == 0) {
    for (int i = 0; i < trap_count; i++) {
      struct sigaction action;
      sigaction(trap_signals[i], NULL, &action);
      /* A handler that came later passes on to this one, and stays. */
      if (action.sa_sigaction != on_trap) continue;
      sigaction(trap_signals[i], &former_actions[i], NULL);
      is_installed[i] = false;
    }
  }
  pthread_mutex_unlock(&trap_mutex);
}

int64_t hf_catch_traps(hf_trap_function function, void *context) {
  bool was = trap_function != NULL;
  if (function != NULL && !was) {
    void *stacks;
    int64_t result = hf_fiber_map_stack(&stacks, 2 * signal_stack_size);
    if (result != 0) return result;
    signal_stacks = stacks;
    stack_t stack = {.ss_sp = stacks, .ss_size = signal_stack_size};
    if (sigaltstack(&stack, &former_stack) != 0) {
      int error = errno;
      hf_fiber_unmap_stack(stacks, 2 * signal_stack_size);
      return -error;
    }
  }
  trap_context = context;
  trap_function = function;
  if (function != NULL && !was) install(true);
  if (function == NULL && was) {
    install(false);
    sigaltstack(&former_stack, NULL);
    hf_fiber_unmap_stack(signal_stacks, 2 * signal_stack_size);
  }
  return 0;
}
