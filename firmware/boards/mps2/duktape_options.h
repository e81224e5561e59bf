// Debian's configuration of Duktape, and what a board of this size wants otherwise. Included before
// everything else (-include), so that the include guard of the original makes ours the only one.

#include <duk_config.h>

// Built-in functions as tagged values and not as objects: about 20 KB of heap less.
#define DUK_USE_LIGHTFUNC_BUILTINS

// Whole numbers below 2^47 are added and multiplied as such: this core's FPU has no doubles.
#define DUK_USE_FASTINT

// Nothing reads line numbers or call stacks here; errors keep name and message.
#undef DUK_USE_TRACEBACKS
#undef DUK_USE_PC2LINE
#undef DUK_USE_FUNC_FILENAME_PROPERTY

#undef DUK_USE_HSTRING_ARRIDX

// Pointers into RAM as 16 bits of words, and counts and lengths that a heap of this size can't exceed in 16.
#define DUK_USE_HEAPPTR16
#define DUK_USE_HEAPPTR_ENC16(unused, pointer) \
  ((duk_uint16_t) ((pointer) == NULL ? 0 : ((duk_uint32_t) (pointer) - 0x20000000u) >> 2))
#define DUK_USE_HEAPPTR_DEC16(unused, word) \
  ((void *) ((word) == 0 ? 0 : 0x20000000u + ((duk_uint32_t) (word) << 2)))
#undef DUK_USE_REFCOUNT32
#define DUK_USE_REFCOUNT16
#define DUK_USE_STRTAB_PTRCOMP
#define DUK_USE_STRHASH16
#define DUK_USE_STRLEN16
#define DUK_USE_BUFLEN16
#define DUK_USE_OBJSIZES16

// A cache for literals in C code, of which there is hardly any.
#undef DUK_USE_LITCACHE_SIZE

// The bytes of a string that lies in flash with a zero behind it stay there, where the pointer is shorter.
#define DUK_USE_HSTRING_EXTDATA
#define DUK_USE_EXTSTR_INTERN_CHECK(unused, at, length) \
  ((duk_size_t) (at) < 0x80000u && (length) > 6 && ((const char *) (at))[length] == 0 ? (at) : NULL)
#define DUK_USE_EXTSTR_FREE(unused, at) ((void) 0)

// Buckets are pointers; the agent and the built-ins have a few hundred strings.
#undef DUK_USE_STRTAB_MINSIZE
#define DUK_USE_STRTAB_MINSIZE 128

// Value stack: grow by an eighth, shrink early.
#undef DUK_USE_VALSTACK_GROW_SHIFT
#define DUK_USE_VALSTACK_GROW_SHIFT 3
#undef DUK_USE_VALSTACK_SHRINK_SLACK_SHIFT
#define DUK_USE_VALSTACK_SHRINK_SLACK_SHIFT 5

// Recursion that would reach the guard of the C stack is a JavaScript error before that.
#undef DUK_USE_NATIVE_CALL_RECLIMIT
#define DUK_USE_NATIVE_CALL_RECLIMIT 12
#undef DUK_USE_MARK_AND_SWEEP_RECLIMIT
#define DUK_USE_MARK_AND_SWEEP_RECLIMIT 32

// No clock of the day; Date exists and stands at its beginning.
#undef DUK_USE_DATE_NOW_GETTIMEOFDAY
#undef DUK_USE_DATE_NOW_TIME
#undef DUK_USE_DATE_TZO_GMTIME_R
#undef DUK_USE_DATE_TZO_GMTIME_S
#undef DUK_USE_DATE_TZO_GMTIME
#undef DUK_USE_DATE_PRS_STRPTIME
#undef DUK_USE_DATE_FMT_STRFTIME
#define DUK_USE_DATE_GET_NOW(ctx) 0.0
#define DUK_USE_DATE_GET_LOCAL_TZOFFSET(d) 0

// Cortex-M4 loads and stores two words at any multiple of four; heap.c aligns no better.
#undef DUK_USE_ALIGN_BY
#define DUK_USE_ALIGN_BY 4
