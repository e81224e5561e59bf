// In uart.c's place, for a bench: a host on the board itself, which streams over a line of 115,200 baud that it makes up.
//
//   enrol ─▶ progress … ready ─▶ start … running ─▶ read, read, read …  RUN_MS ─▶ one line of figures, on the real UART
//
// All is in the machine's own time: a request arrives when its bytes have gone over the line and the host has had
// TURN_MS for its part; what the agent sends keeps the processor for as long as the bytes take, as polling does. So a
// run depends on nothing but the image. The three fixed requests come from the bench, as lines of the protocol
// (bench_requests.h).

#include "board.h"
#include <string.h>

#include "bench_requests.h" // ENROL, PROGRESS, START

#define DATA REGISTER(0x40004000)
#define STATE REGISTER(0x40004004)
#define CTRL REGISTER(0x40004008)
#define BYTE_CYCLES (CLOCK_HZ / 11520)
#define TURN_MS 2u
#define PAUSE_MS 250u // after a reply that brought nothing

static enum { ENROLLING, MEASURING, STARTING, STREAMING, DONE } stage;
static uint8_t request[128];
static uint32_t request_length, request_at;
static uint64_t arrives; // in cycles
static uint8_t reply[1024];
static uint32_t reply_length;
static uint32_t kept; // bytes of the stream
static uint64_t began, idle_began, line_began, line_cycles;
static uint32_t rows_began;

static uint16_t crc16(const uint8_t *bytes, uint32_t length) {
  uint16_t crc = 0;
  for (uint32_t at = 0; at < length; at++) {
    crc ^= (uint16_t)(bytes[at] << 8);
    for (int bit = 0; bit < 8; bit++) crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
  }
  return crc;
}

static const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// One line: total, message, CRC.
static void make_read(void) {
  uint8_t packet[64] = {0, 0, 0x0a, 0, 0, 0, 0, 64, 0, 8, 0xa2, 0x63, 'a', 'c', 'k', 0x1a};
  uint32_t at = 16;
  for (int i = 3; i >= 0; i--) packet[at++] = (uint8_t)(kept >> 8 * i);
  memcpy(packet + at, "\x62" "at\x1a", 4);
  at += 4;
  for (int i = 3; i >= 0; i--) packet[at++] = (uint8_t)(kept >> 8 * i);
  packet[5] = (uint8_t)(at - 10);
  packet[1] = (uint8_t)at; // message and CRC
  const uint16_t crc = crc16(packet + 2, at - 2);
  packet[at++] = (uint8_t)(crc >> 8);
  packet[at++] = (uint8_t)crc;
  request_length = 0;
  request[request_length++] = 6;
  request[request_length++] = 9;
  for (uint32_t i = 0; i < at; i += 3) {
    const uint32_t bits = (uint32_t)packet[i] << 16 | (uint32_t)packet[i + 1] << 8 | packet[i + 2];
    for (int k = 0; k < 4; k++)
      request[request_length++] = (int)(i + 3) - (int)at >= 4 - k ? '=' : (uint8_t)BASE64[bits >> (18 - 6 * k) & 63];
  }
  request[request_length++] = '\n';
}

static void fixed(const char *text) {
  request_length = (uint32_t)strlen(text);
  memcpy(request, text, request_length < sizeof request ? request_length : sizeof request);
}

static const char *text_now; // of a fixed request that is longer than `request`

static void next_request(uint32_t pause_ms) {
  text_now = NULL;
  if (stage == ENROLLING) text_now = ENROL;
  else if (stage == MEASURING) fixed(PROGRESS);
  else if (stage == STARTING) text_now = START;
  else make_read();
  if (text_now != NULL) request_length = (uint32_t)strlen(text_now);
  request_at = 0;
  arrives = clock_cycles() + (uint64_t)(pause_ms + TURN_MS) * (CLOCK_HZ / 1000) + request_length * BYTE_CYCLES;
}

static const uint8_t *find(const char *key) {
  const uint32_t length = (uint32_t)strlen(key);
  for (uint32_t at = 0; at + length < reply_length; at++)
    if (memcmp(reply + at, key, length) == 0) return reply + at + length;
  return NULL;
}

static void put_number(char **to, uint64_t value) {
  char digits[20];
  int count = 0;
  do digits[count++] = (char)('0' + value % 10);
  while ((value /= 10) > 0);
  while (count > 0) *(*to)++ = digits[--count];
  *(*to)++ = ' ';
}

static void tell(void) {
  char line[160] = "bench ", *to = line + 6;
  put_number(&to, (clock_cycles() - began) / (CLOCK_HZ / 1000));
  put_number(&to, (clock_idle() - idle_began) / (CLOCK_HZ / 1000));
  put_number(&to, (line_cycles - line_began) / (CLOCK_HZ / 1000));
  put_number(&to, counters.rows_read - rows_began);
  put_number(&to, counters.rows_lost);
  put_number(&to, kept);
  put_number(&to, counters.heap_peak);
  memcpy(to, "end\n", 5);
  uart_text(line);
}

static void begin_stream(void) {
  stage = STREAMING;
  began = clock_cycles();
  idle_began = clock_idle();
  line_began = line_cycles;
  rows_began = counters.rows_read;
}

static void on_reply(void) {
  uint32_t pause = 0;
  const uint8_t *found;
  if (stage == ENROLLING) stage = MEASURING;
  else if (stage == MEASURING) {
    if (find("\x65" "ready") != NULL) stage = STARTING;
    pause = 500;
  } else if (stage == STARTING) {
    found = find("\x65" "state");
    if (found == NULL) uart_text("bench: start was refused\n");
    else if (*found == 2) begin_stream();
    pause = 500;
  } else if (stage == STREAMING) {
    found = find("\x64" "data");
    uint32_t length = 0;
    if (found != NULL) {
      length = found[0] & 31;
      if (length == 24) length = found[1];
      else if (length == 25) length = (uint32_t)found[1] << 8 | found[2];
    } else uart_text("bench: read was refused\n");
    kept += length;
    if (length == 0) pause = PAUSE_MS;
    if (clock_cycles() - began > (uint64_t)BENCH_RUN_MS * (CLOCK_HZ / 1000)) {
      stage = DONE;
      tell();
      return;
    }
  }
  next_request(pause);
}

void uart_start(void) {
  CTRL = 1;
  stage = ENROLLING;
  next_request(100);
}

void uart_interrupt(void) {
}

bool uart_pending(void) {
  return stage != DONE && request_at < request_length && clock_cycles() >= arrives;
}

size_t uart_receive(uint8_t *into, size_t room) {
  size_t count = 0;
  for (; count < room && request_at < request_length; request_at++)
    into[count++] = text_now != NULL ? (uint8_t)text_now[request_at] : request[request_at];
  return count;
}

static int value_of(uint8_t c) {
  const char *at = c == 0 ? NULL : strchr(BASE64, c);
  return at == NULL ? -1 : (int)(at - BASE64);
}

// Lines are base64 each on its own, in groups of four.
static void take(const uint8_t *bytes, size_t length) {
  uint32_t bits = 0, have = 0, pads = 0;
  reply_length = 0;
  for (size_t at = 0; at < length; at++) {
    if (bytes[at] == 6 || bytes[at] == 4 || bytes[at] == '\n') {
      if (bytes[at] != '\n') at++; // the second byte of the marker
      continue;
    }
    const int value = value_of(bytes[at]);
    if (value < 0) pads++;
    bits = bits << 6 | (value < 0 ? 0u : (uint32_t)value);
    if (++have < 4) continue;
    for (uint32_t i = 0; i + pads < 3 && reply_length < sizeof reply; i++) reply[reply_length++] = (uint8_t)(bits >> (16 - 8 * i));
    bits = have = pads = 0;
  }
  on_reply();
}

// The agent sends a reply in one piece.
void uart_send(const uint8_t *bytes, size_t length) {
  const uint64_t until = clock_cycles() + length * BYTE_CYCLES;
  while (clock_cycles() < until) {
  }
  line_cycles += length * BYTE_CYCLES;
  take(bytes, length);
}

void uart_text(const char *text) {
  for (; *text != 0; text++) {
    while (STATE & 1) {
    }
    DATA = (uint8_t)*text;
  }
}
