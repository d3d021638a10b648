// The main function of every test executable.
#if !__has_include(<catch2/catch_all.hpp>)
#define CATCH_CONFIG_RUNNER
#endif
#if defined(__GNUC__) && !defined(__clang__)
// Version 2 uses <regex>, where g++ 12 under AddressSanitizer warns of what is not so.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include "support/catch.hpp"

int main(int argc, char** argv) { return Catch::Session().run(argc, argv); }
