// SPDX-License-Identifier: GPL-2.0-only
/*
 * A forest in user space (model.h, upfml/convert.py), called in a loop, one sample after another, and the loop alone.
 * FEATURES is their number.
 */
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include "model.h"

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now); /* without the time that others have the CPU, as in a test run */
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* ns that `runs` inferences take, over the `length` inputs again and again; `classes` has what each input's last was. */
uint64_t loop_infer(const int64_t *inputs, size_t length, size_t runs, int32_t *classes)
{
	uint64_t began_ns = now_ns();

	for (size_t run = 0, at = 0; run < runs; run++) {
		classes[at] = model_predict(inputs + at * FEATURES, FEATURES);
		asm volatile("" ::: "memory");
		at = at + 1 < length ? at + 1 : 0;
	}
	return now_ns() - began_ns;
}

uint64_t loop_no_infer(const int64_t *inputs, size_t length, size_t runs, int32_t *classes)
{
	uint64_t began_ns = now_ns();

	(void)inputs;
	for (size_t run = 0, at = 0; run < runs; run++) {
		classes[at] = 0;
		asm volatile("" ::: "memory");
		at = at + 1 < length ? at + 1 : 0;
	}
	return now_ns() - began_ns;
}
