/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A position in a packet that moves only over bytes that are there, and knows when it has left those that the packet's
 * own length fields speak of: Ethernet padding, or what lies behind a datagram that is shorter than its headers.
 */
#pragma once

/* No chain of headers that the parsers follow is longer. A mask, which the verifier understands. */
#define CURSOR_MAX 0x7fff

/* A number in a header speaks of at most 255 units of 8 bytes to skip. A mask, too. */
#define CURSOR_SKIP_MAX 0x7ff

struct cursor {
	void *start; /* of the packet */
	void *at;
	void *end; /* first byte behind the packet */
	/*
	 * Bytes that the length fields so far leave from `at` on; below zero once a header has reached beyond them. Tested
	 * once a layer (cursor_is_beyond) rather than at every step: fewer branches for program and verifier.
	 */
	s64 announced;
};

static __always_inline struct cursor cursor_start(void *first, void *end)
{
	return (struct cursor){ .start = first, .at = first, .end = end, .announced = 1LL << 32 };
}

/* A header says that `bytes` follow what of it is behind us; below zero when it is shorter than that itself. */
static __always_inline void cursor_announce(struct cursor *cursor, s64 bytes)
{
	if (bytes < cursor->announced)
		cursor->announced = bytes;
}

static __always_inline bool cursor_is_beyond(const struct cursor *cursor)
{
	return cursor->announced < 0;
}

/* The next `size` bytes, then past them; NULL when the packet ends before. `size` must be a constant. */
static __always_inline void *cursor_take(struct cursor *cursor, u32 size)
{
	void *taken = cursor->at;

	cursor->announced -= size;
	if (taken + size > cursor->end)
		return NULL;
	cursor->at = taken + size;
	return taken;
}

/*
 * Have the verifier forget by which headers the cursor came here, where ways meet: it knows nothing about a difference
 * of pointers. Otherwise it walks what follows once for each combination of headers before.
 */
static __always_inline void cursor_meet(struct cursor *cursor)
{
	void *at = cursor->at;

	asm volatile("" : "+r"(at)); /* or the compiler counts along and puts constants here */
	at = cursor->start + ((at - cursor->start) & CURSOR_MAX);
	asm volatile("" : "+r"(at));
	cursor->at = at;
}

/*
 * Past `size` bytes, a number read from the packet, of at most CURSOR_SKIP_MAX; false likewise. The verifier of Linux 6.1
 * does not see that it is bounded where it is a product, or was tested for not being zero; that of 6.18 does.
 */
static __always_inline bool cursor_skip(struct cursor *cursor, u32 size)
{
	u64 bounded = size;

	asm volatile("" : "+r"(bounded)); /* or the compiler, which does see it, leaves the mask out */
	bounded &= CURSOR_SKIP_MAX;
	cursor->announced -= bounded;
	cursor->at += bounded;
	return cursor->at <= cursor->end;
}
