/* Replays golden cycles on a bare Cortex-M and prints what the network says, for the host to compare.
   Output goes to the debugger by semihosting; the clock is SysTick. */

#include <stdint.h>

#include "golden.h"
#include "forecast.h"

#define SYST_CSR (*(volatile uint32_t *)0xE000E010)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018)
#define CPACR (*(volatile uint32_t *)0xE000ED88)

extern uint32_t __stack_low, __stack_top, __data_start, __data_end, __data_load, __bss_start, __bss_end;

static float state[2][1][STATE], rul[1][RUL], risk[1][RISK_ROWS][RISK_COLUMNS];
static float incidence[1][CAUSES][INTERVALS], soh[1], novelty[1], valid[1];
static float sensed[1][SENSORS], sensed_spread[1][SENSORS];

static void call(int operation, const void *argument) {
  register int r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

static void print_hex(uint32_t value, char end) {
  char text[10];
  for (int i = 0; i < 8; ++i) text[i] = "0123456789abcdef"[value >> (28 - 4 * i) & 15];
  text[8] = end;
  text[9] = '\0';
  call(4, text);
}

static void print_floats(const float *values, int count) {
  union { float number; uint32_t bits; } word;
  for (int i = 0; i < count; ++i) {
    word.number = values[i];
    print_hex(word.bits, ' ');
  }
}

static void replay(void) {
  uint32_t ticks = 0;
  for (int cycle = 0; cycle < CYCLES; ++cycle) {
    SYST_CVR = 0;
    const uint32_t began = SYST_CVR;
    forecast(state[cycle % 2], &golden_values[cycle], &golden_observed[cycle], golden_design,
             &golden_elapsed[cycle], state[1 - cycle % 2], rul, risk, incidence, soh, novelty, valid,
             sensed, sensed_spread);
    ticks += (began - SYST_CVR) & 0xFFFFFF;
    print_floats(rul[0], RUL);
    print_floats(risk[0][0], RISK_ROWS * RISK_COLUMNS);
    print_floats(incidence[0][0], CAUSES * INTERVALS);
    print_floats(soh, 1);
    print_floats(novelty, 1);
    print_floats(valid, 1);
    print_floats(sensed[0], SENSORS);
    print_floats(sensed_spread[0], SENSORS);
    call(4, "\n");
  }
  print_hex(ticks, ' ');
}

__attribute__((naked)) void start(void) { __asm__("ldr sp, =__stack_top\n b begin"); }

__attribute__((used, noreturn)) static void begin(void) {
  CPACR |= 0xFu << 20; /* the floating-point unit */
  __asm__ volatile("dsb\n isb");
  for (uint32_t *to = &__data_start, *from = &__data_load; to < &__data_end;) *to++ = *from++;
  for (uint32_t *to = &__bss_start; to < &__bss_end;) *to++ = 0;
  uint32_t *here;
  __asm__ volatile("mov %0, sp" : "=r"(here));
  for (uint32_t *to = &__stack_low; to < here - 16; ++to) *to = 0xA5A5A5A5;
  SYST_RVR = 0xFFFFFF;
  SYST_CSR = 5;
  replay();
  uint32_t *deepest = &__stack_low;
  while (*deepest == 0xA5A5A5A5) ++deepest;
  print_hex((uint32_t)((char *)&__stack_top - (char *)deepest), '\n');
  call(0x18, (const void *)0x20026);
  for (;;) {
  }
}

static void hang(void) {
  for (;;) {
  }
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    &__stack_top, start, hang, hang, hang, hang, hang};
