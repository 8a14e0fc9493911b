/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A position in a packet that moves only over bytes that are there.
 */
#pragma once

struct cursor {
	void *at;
	void *end; /* first byte behind the packet */
};

/* The next `size` bytes, then past them; NULL when the packet ends before. `size` must be a constant. */
static __always_inline void *cursor_take(struct cursor *cursor, u32 size)
{
	void *taken = cursor->at;

	if (taken + size > cursor->end)
		return NULL;
	cursor->at = taken + size;
	return taken;
}

/* Past `size` bytes, a number read from the packet: bounded by the caller's mask for the verifier. */
static __always_inline void cursor_skip(struct cursor *cursor, u32 size)
{
	cursor->at += size;
}
