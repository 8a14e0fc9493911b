/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the headers of bpf/include take for granted in the kernel, so that user space compiles the same parser and the same
 * windows. Programs have their maps; here a definition of one stands for nothing.
 */
#pragma once

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

#ifndef __always_inline /* libc may have it */
#define __always_inline inline __attribute__((always_inline))
#endif
#define bpf_htons(number) htobe16(number)
#define bpf_htonl(number) htobe32(number)
#define bpf_ntohs(number) be16toh(number)
#define bpf_ntohl(number) be32toh(number)
#define BPF_PERCPU_ARRAY(name, type, size)
