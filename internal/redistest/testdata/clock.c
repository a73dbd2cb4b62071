// What the clock of a server shows, moved by the microseconds that the file
// HARK_TEST_CLOCK begins with: see Clock.

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *moved;

static __attribute__((constructor)) void begin(void) {
	const char *name = getenv("HARK_TEST_CLOCK");
	int file = name ? open(name, O_RDONLY) : -1;
	if (file < 0)
		return;
	void *at = mmap(0, sizeof *moved, PROT_READ, MAP_SHARED, file, 0);
	if (at != MAP_FAILED)
		moved = at;
	close(file);
}

int clock_gettime(clockid_t id, struct timespec *t) {
	int failed = syscall(SYS_clock_gettime, id, t);
	if (!failed && moved && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
		int64_t micros = (int64_t)t->tv_sec * 1000000 + t->tv_nsec / 1000 + *moved;
		t->tv_sec = micros / 1000000;
		t->tv_nsec = micros % 1000000 * 1000;
	}
	return failed;
}

int gettimeofday(struct timeval *t, void *zone) {
	struct timespec now;
	(void)zone;
	clock_gettime(CLOCK_REALTIME, &now);
	t->tv_sec = now.tv_sec;
	t->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *t) {
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (t)
		*t = now.tv_sec;
	return now.tv_sec;
}
