// The interpreter's heap: one array of fixed size, blocks side by side.
//
//   block    u32 size and flags │ payload …            size includes these 4 bytes
//   free     u32 size and flags │ next │ prev │ … │ u32 size
//
// Flags: bit 0, this block is in use; bit 1, the one before it is. A free block repeats its size at its
// end, so a neighbour finds its start; two free blocks never lie side by side. Free blocks hang in lists by
// the highest bit of their size; the search starts at the list that may fit and takes the first that does.
// Alignment is 4, which is what Cortex-M4 needs for any load of two words.

#include "board.h"

#ifndef HEAP_BYTES
#define HEAP_BYTES (64u * KIB) // the agent peaks at 61, in a stream: budgets.json
#endif

enum { IN_USE = 1, BEFORE_IN_USE = 2, FLAGS = 3 };
#define BLOCK_MIN 16u // header, two links, size at the end
#define LISTS 32

struct block {
  uint32_t header;
  struct block *next, *prev;
};

static uint32_t arena[HEAP_BYTES / 4] __attribute__((section(".heap"), aligned(8)));
static struct block *lists[LISTS];

static inline uint32_t size_of(const struct block *b) {
  return b->header & ~(uint32_t)FLAGS;
}
static inline struct block *after(const struct block *b) {
  return (struct block *)((char *)b + size_of(b));
}
static inline unsigned list_of(uint32_t size) {
  return 31u - (unsigned)__builtin_clz(size);
}

static void unlink_free(struct block *b) {
  if (b->prev != NULL) b->prev->next = b->next;
  else lists[list_of(size_of(b))] = b->next;
  if (b->next != NULL) b->next->prev = b->prev;
}

// The block is free from here on; its neighbour after it learns so.
static void link_free(struct block *b, uint32_t size) {
  b->header = size | (b->header & BEFORE_IN_USE);
  ((uint32_t *)((char *)b + size))[-1] = size;
  after(b)->header &= ~(uint32_t)BEFORE_IN_USE;
  struct block **list = &lists[list_of(size)];
  b->prev = NULL;
  b->next = *list;
  if (*list != NULL) (*list)->prev = b;
  *list = b;
}

static void note_used(int32_t change) {
  counters.heap_used += (uint32_t)change;
  if (counters.heap_used > counters.heap_peak) counters.heap_peak = counters.heap_used;
}

void heap_start(void) {
  // The last word plays a block in use, so nothing joins past the end.
  struct block *first = (struct block *)arena;
  const uint32_t size = HEAP_BYTES - 8;
  *(uint32_t *)((char *)arena + size) = 4 | IN_USE;
  first->header = BEFORE_IN_USE;
  for (unsigned at = 0; at < LISTS; at++) lists[at] = NULL;
  link_free(first, size);
  counters.heap_size = HEAP_BYTES;
  counters.heap_used = counters.heap_peak = 0;
}

static struct block *find_free(uint32_t size) {
  for (unsigned list = list_of(size); list < LISTS; list++) {
    for (struct block *b = lists[list]; b != NULL; b = b->next) {
      if (size_of(b) >= size) return b;
    }
  }
  return NULL;
}

// Cuts a block that is in use down to size; what is left over becomes free, joined with what follows.
static void trim(struct block *b, uint32_t size) {
  uint32_t spare = size_of(b) - size;
  struct block *next = after(b);
  if (!(next->header & IN_USE) && spare > 0) {
    unlink_free(next);
    spare += size_of(next);
  } else if (spare < BLOCK_MIN) {
    return;
  }
  b->header = size | (b->header & FLAGS);
  struct block *rest = after(b);
  rest->header = BEFORE_IN_USE;
  link_free(rest, spare);
}

static uint32_t block_size(size_t payload) {
  if (payload > HEAP_BYTES) payload = HEAP_BYTES; // which never fits
  const uint32_t size = ((uint32_t)payload + 4 + 3) & ~3u;
  return size < BLOCK_MIN ? BLOCK_MIN : size;
}

void *heap_alloc(void *unused, size_t payload) {
  (void)unused;
  if (payload == 0) return NULL;
  const uint32_t size = block_size(payload);
  struct block *b = find_free(size);
  if (b == NULL) {
    counters.heap_fails++;
    counters.heap_wanted = payload;
    return NULL;
  }
  unlink_free(b);
  b->header |= IN_USE;
  after(b)->header |= BEFORE_IN_USE;
  trim(b, size);
  note_used((int32_t)size_of(b));
  return (char *)b + 4;
}

void heap_free(void *unused, void *at) {
  (void)unused;
  if (at == NULL) return;
  struct block *b = (struct block *)((char *)at - 4);
  uint32_t size = size_of(b);
  note_used(-(int32_t)size);
  struct block *next = after(b);
  if (!(next->header & IN_USE)) {
    unlink_free(next);
    size += size_of(next);
  }
  if (!(b->header & BEFORE_IN_USE)) {
    const uint32_t before = ((uint32_t *)b)[-1];
    b = (struct block *)((char *)b - before);
    unlink_free(b);
    size += before;
  }
  link_free(b, size);
}

void *heap_realloc(void *unused, void *at, size_t payload) {
  if (at == NULL) return heap_alloc(unused, payload);
  if (payload == 0) {
    heap_free(unused, at);
    return NULL;
  }
  struct block *b = (struct block *)((char *)at - 4);
  const uint32_t had = size_of(b), size = block_size(payload);
  struct block *next = after(b);
  if (had < size && !(next->header & IN_USE) && had + size_of(next) >= size) { // grow into what follows
    unlink_free(next);
    b->header += size_of(next);
    after(b)->header |= BEFORE_IN_USE;
  }
  if (size_of(b) >= size) {
    trim(b, size);
    note_used((int32_t)size_of(b) - (int32_t)had);
    return at;
  }
  uint32_t *fresh = heap_alloc(unused, payload);
  if (fresh == NULL) return NULL;
  for (uint32_t word = 0; word < (had - 4) / 4; word++) fresh[word] = ((uint32_t *)at)[word];
  heap_free(unused, at);
  return fresh;
}

// newlib's malloc would come here for memory; printing numbers links it, nothing calls it.
void *_sbrk(ptrdiff_t more) {
  (void)more;
  return (void *)-1;
}
