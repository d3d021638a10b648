// The functions of another language that the workloads call: compiled apart, so that no call is
// inlined.
#pragma once

extern "C" {
void weft_bench_empty(void);
// Runs for about one microsecond.
void weft_bench_busy_1us(void);
void weft_bench_move16(void* to, const void* from);
}
