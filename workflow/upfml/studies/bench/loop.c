// SPDX-License-Identifier: GPL-2.0-only
/*
 * A forest in user space, called in a loop, one sample after another, and the loop alone: model.h
 * (upfml/model/convert.py), or with TL2CGEN main.c and header.h, as tl2cgen writes them, whose features are
 * floating-point numbers. FEATURES is their number.
 */
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#ifdef TL2CGEN
#include "main.c"

typedef union Entry feature;

static int32_t infer(feature *features)
{
	double votes[MAX_N_CLASS] = { 0 };
	int32_t class = 0;

	predict(features, 1, votes);
	for (int32_t i = 1; i < MAX_N_CLASS; i++)
		if (votes[i] > votes[class])
			class = i;
	return class;
}
#else
#include "model.h"

typedef int64_t feature;

static int32_t infer(const feature *features)
{
	return model_predict(features, FEATURES);
}
#endif

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now); /* without the time that others have the CPU, as in a test run */
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* ns that `runs` inferences take, over the `length` inputs again and again; `classes` has what each input's last was. */
uint64_t loop_infer(feature *inputs, size_t length, size_t runs, int32_t *classes)
{
	uint64_t began_ns = now_ns();

	for (size_t run = 0, at = 0; run < runs; run++) {
		classes[at] = infer(inputs + at * FEATURES);
		asm volatile("" ::: "memory");
		at = at + 1 < length ? at + 1 : 0;
	}
	return now_ns() - began_ns;
}

uint64_t loop_no_infer(feature *inputs, size_t length, size_t runs, int32_t *classes)
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
