// Preloaded: has glibc give back every second what it would otherwise hoard, so that what a process
// holds is what it uses.
#include <malloc.h>
#include <pthread.h>
#include <unistd.h>

static void *trim(void *unused) {
  for (;;) {
    sleep(1);
    malloc_trim(0);
  }
  return unused;
}

__attribute__((constructor)) static void begin(void) {
  pthread_t thread;
  pthread_create(&thread, 0, trim, 0);
}
