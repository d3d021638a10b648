// Catch2 of either version under one name.
//
// Assertions are made in the main fiber only: Catch2 is not safe for concurrent use. Other fibers
// and threads record (support/record.hpp), and the main fiber asserts.
#pragma once

#define CATCH_CONFIG_ENABLE_OPTIONAL_STRINGMAKER
#define CATCH_CONFIG_ENABLE_PAIR_STRINGMAKER

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif
