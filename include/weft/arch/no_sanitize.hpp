// Functions that no sanitizer instruments: they switch stacks, read foreign ones, or run before the
// sanitizer does.
//
// Why unsafe  what they do wrong nobody reports.
#pragma once

#if defined(__clang__)
// no_sanitize would still note the function's exit, perhaps on another fiber than its entry.
#define WEFT_NO_SANITIZE __attribute__((disable_sanitizer_instrumentation))
#else
#define WEFT_NO_SANITIZE \
  __attribute__((no_sanitize_address, no_sanitize_thread, no_sanitize_undefined))
#endif
