// Sensors of somebody who sits still, sampled by the millisecond's interrupt into FIFOs: what a board has of an
// oximeter, a thermometer and an ECG front end, whatever its interpreter is at.
//
//   group 0   SpO2, pulse rate     once a second; not a number while the finger is out
//   group 1   body temperature     every five seconds, hundredths of a degree
//   group 2   ECG lead I           250 a second, in steps of 5 uV
//
// Codes of ISO/IEEE 11073-10101, partition * 65536 + term. When a FIFO is full its oldest row goes, and is counted. The
// rows follow from their numbers alone, so that every run samples the same.
//
// A bench builds this with BENCH_CHANNELS and BENCH_PERIOD for one group instead: that many channels every so many ms.

#include "board.h"

#define NOT_A_NUMBER 8388607

enum { NUMERIC = 0, SAMPLED = 2 };

#ifdef BENCH_CHANNELS

#define MEMORY_WORDS 16384u
static const struct sensor_channel channels[BENCH_CHANNELS] = {[0 ... BENCH_CHANNELS - 1] = {131329, 266418, -3}};
static const struct sensor_group groups[] = {{NUMERIC, BENCH_PERIOD, BENCH_CHANNELS, channels}};
static const uint16_t capacities[] = {MEMORY_WORDS / BENCH_CHANNELS};

#else

#define ECG_ROWS 2048u // eight seconds: a signature may take six
#define OTHER_ROWS 16u
#define MEMORY_WORDS (ECG_ROWS + 3 * OTHER_ROWS)
static const struct sensor_channel oximeter[] = {{150456, 262688, 0}, {149530, 264864, 0}};
static const struct sensor_channel thermometer[] = {{150364, 268192, -2}};
static const struct sensor_channel ecg[] = {{131329, 266418, -3}};
static const struct sensor_group groups[] = {
    {NUMERIC, 1000, 2, oximeter},
    {NUMERIC, 5000, 1, thermometer},
    {SAMPLED, 4, 1, ecg},
};
static const uint16_t capacities[] = {OTHER_ROWS, OTHER_ROWS, ECG_ROWS};

#endif

#define GROUPS (sizeof groups / sizeof *groups)

// Rows are counted from 0; the FIFO has those from `first` to `end`, and was read up to `next`.
struct fifo {
  uint64_t begin; // ticks of row 0
  uint32_t first, end, next;
  uint32_t wait; // milliseconds until the next row
  int32_t *values;
};

static int32_t memory[MEMORY_WORDS];
static struct fifo fifos[GROUPS];
static volatile uint32_t sampled;

static uint32_t noise(uint32_t row) {
  uint32_t x = (row + 1) * 0x9e3779b1u;
  x = (x ^ x >> 16) * 0x7feb352du;
  return x ^ x >> 15;
}

// 0 to 4096 and back within a period.
static int32_t triangle(uint32_t at, uint32_t period) {
  const int32_t rise = (int32_t)(at % period * 8192 / period);
  return rise < 4096 ? rise : 8192 - rise;
}

// A wave of the ECG: height (1 - (d / width)^2)^2, where d is the distance from its middle, in 1/4096 of a beat.
static int32_t wave(int32_t phase, int32_t middle, int32_t width, int32_t height) {
  const int32_t d = (phase - middle) * 1024 / width;
  if (d < -1024 || d > 1024) return 0;
  const int32_t rest = 1024 - d * d / 1024;
  return height * (rest * rest / 1024) / 1024;
}

// 72 beats a minute, a little sooner and later with each breath.
static int32_t ecg_at(uint32_t row) {
  const uint64_t beats = (uint64_t)row * 4096 * 72 / (60 * 250);
  const int32_t phase = (int32_t)(beats + (uint32_t)triangle(row, 1050) / 12) & 4095;
  const int32_t microvolts = wave(phase, 740, 200, 90) + wave(phase, 1085, 66, -70) + wave(phase, 1150, 74, 850) +
                             wave(phase, 1230, 74, -160) + wave(phase, 2130, 420, 220) +
                             triangle(row, 1050) / 100 + (int32_t)(noise(row) % 13) - 6;
  return microvolts / 5 * 5;
}

static void sample_row(uint32_t group, uint32_t row, int32_t *into) {
#ifdef BENCH_CHANNELS
  (void)group;
  for (uint32_t channel = 0; channel < BENCH_CHANNELS; channel++) into[channel] = ecg_at(row + 31 * channel);
#else
  const bool is_out = row % 180 >= 60 && row % 180 < 66;
  if (group == 2) {
    into[0] = ecg_at(row);
  } else if (group == 1) {
    into[0] = 3670 + triangle(row, 120) / 160 + (int32_t)(noise(row) % 3);
  } else {
    into[0] = is_out ? NOT_A_NUMBER : 97 + (int32_t)(noise(row) % 3) - 1;
    into[1] = is_out ? NOT_A_NUMBER : 70 + triangle(row, 4) / 1024;
  }
#endif
}

static void push_row(uint32_t group) {
  struct fifo *f = fifos + group;
  const uint32_t capacity = capacities[group];
  if (f->end - f->first == capacity) f->first++;
  sample_row(group, f->end, f->values + f->end % capacity * groups[group].channel_count);
  f->end++;
}

void sensors_interrupt(void) {
  for (uint32_t group = 0; group < GROUPS; group++) {
    if ((sampled >> group & 1) == 0 || --fifos[group].wait > 0) continue;
    fifos[group].wait = groups[group].period;
    push_row(group);
  }
}

const struct sensor_group *sensors_groups(uint32_t *count) {
  *count = GROUPS;
  return groups;
}

void sensors_sample(uint32_t mask) {
  int32_t *values = memory;
  const uint32_t before = sampled;
  sampled = 0;
  for (uint32_t group = 0; group < GROUPS; group++) {
    struct fifo *f = fifos + group;
    if ((mask & ~before) >> group & 1)
      *f = (struct fifo){.begin = clock_ticks() + groups[group].period, .wait = groups[group].period, .values = values};
    values += capacities[group] * groups[group].channel_count;
  }
  sampled = mask;
}

// The interrupt may take the oldest row away until the count of rows is fixed; after that it waits.
struct sensor_rows sensors_read(uint32_t group, uint32_t max, int32_t *into) {
  struct fifo *f = fifos + group;
  const struct sensor_group *g = groups + group;
  __asm volatile("cpsid i" ::: "memory");
  const uint32_t lost = f->first > f->next ? f->first - f->next : 0;
  const uint32_t from = f->next + lost;
  uint32_t rows = f->end - from;
  if (rows > max) rows = max;
  for (uint32_t row = 0; row < rows; row++) {
    const int32_t *values = f->values + (from + row) % capacities[group] * g->channel_count;
    for (uint32_t channel = 0; channel < g->channel_count; channel++) *into++ = values[channel];
  }
  f->first = f->next = from + rows;
  __asm volatile("cpsie i" ::: "memory");
  counters.rows_lost += lost;
  counters.rows_read += rows;
  return (struct sensor_rows){.ticks = f->begin + (uint64_t)from * g->period, .lost = lost, .rows = rows};
}
