// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a reading of CLOCK_MONOTONIC takes in C, from the vDSO: upfml/studies/timer.py calls it.
 */
#include <stdint.h>
#include <time.h>

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ns that `times` readings took. */
uint64_t timer_readings(uint64_t times)
{
	uint64_t begin_ns = now_ns();

	for (uint64_t i = 1; i < times; i++)
		now_ns();
	return now_ns() - begin_ns;
}
