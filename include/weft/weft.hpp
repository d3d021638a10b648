// The core of weft in one header: errors, runtime, channels, select, sync, context, time.
#pragma once

#include "weft/chan.hpp"     // IWYU pragma: export
#include "weft/context.hpp"  // IWYU pragma: export
#include "weft/error.hpp"    // IWYU pragma: export
#include "weft/runtime.hpp"  // IWYU pragma: export
#include "weft/select.hpp"   // IWYU pragma: export
#include "weft/sync.hpp"     // IWYU pragma: export
#include "weft/time.hpp"     // IWYU pragma: export

/// @namespace weft
/// All that a program uses: functions here, types beside them.
///
/// @namespace weft::debug
/// Looking at the fibers of a running process.
