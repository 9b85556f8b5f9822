/* Preloaded into a server: its wall clock is as many seconds off as a file says, which a test may change at any time.

Every thread sees a step at the same moment, and reading the clock costs no more than before: the file is mapped.
Waits until a moment of the wall clock are translated, since the kernel goes by the true one. The monotonic clock is
left alone. libfaketime reads its file anew at each look at any clock, in shared buffers without a lock. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static _Atomic int64_t none = 0;
static _Atomic int64_t *offset = &none;

static long (*kernel)(long, ...);

__attribute__((constructor)) static void begin(void) {
  kernel = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  const char *path = getenv("STEPPED_CLOCK");
  int file = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0)
    abort();
  void *place = mmap(NULL, sizeof none, PROT_READ, MAP_SHARED, file, 0);
  if (place == MAP_FAILED)
    abort();
  close(file);
  offset = place;
}

static int of_the_wall(clockid_t clock) { return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE; }

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*true_one)(clockid_t, struct timespec *);
  if (true_one == NULL)
    true_one = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int failed = true_one(clock, now);
  if (!failed && of_the_wall(clock))
    now->tv_sec += atomic_load(offset);
  return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec found;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &found);
  now->tv_sec = found.tv_sec;
  now->tv_usec = found.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *now) {
  struct timespec found;
  clock_gettime(CLOCK_REALTIME, &found);
  if (now != NULL)
    *now = found.tv_sec;
  return found.tv_sec;
}

long syscall(long number, ...) {
  va_list given;
  long a[6];
  va_start(given, number);
  for (int n = 0; n < 6; n++)
    a[n] = va_arg(given, long);
  va_end(given);
  struct timespec until;
  if (number == SYS_futex && (a[1] & FUTEX_CLOCK_REALTIME) && a[3] != 0) {
    until = *(const struct timespec *)a[3];
    until.tv_sec -= atomic_load(offset);
    a[3] = (long)&until;
  }
  return kernel(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
