/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A batch of packets in memory: records one behind the other, each at a multiple of 8 bytes. What follows `reserved` is
 * what BPF_PROG_TEST_RUN takes, in place: 8 bytes of XDP metadata, then the frame.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct record {
	uint32_t frame_bytes;
	uint32_t reserved;
	uint64_t t_ns; /* arrival */
	uint8_t frame[]; /* from the Ethernet header on */
};

/* The bytes of a record with such a frame, up to the next record. */
static inline size_t record_bytes(uint32_t frame_bytes)
{
	return (sizeof(struct record) + frame_bytes + 7) & ~(size_t)7;
}
