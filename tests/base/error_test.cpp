// Codes, their texts and what they equal; the exceptions and their places in the standard's tree.
#include "weft/error.hpp"

#include <cerrno>
#include <string>
#include <system_error>
#include <type_traits>

#include "support/catch.hpp"

TEST_CASE("error: codes have the texts that Go has", "[base][unit][CX-03][CX-08]") {
  CHECK(make_error_code(weft::errc::canceled).message() == "context canceled");
  CHECK(make_error_code(weft::errc::deadline_exceeded).message() == "context deadline exceeded");
  CHECK(std::string(weft::error_category().name()) == "weft");
  for (const auto code :
       {weft::errc::closed, weft::errc::unexpected_end, weft::errc::fiber_exited}) {
    const std::string text = make_error_code(code).message();
    CHECK_FALSE(text.empty());
    CHECK(text.find("unknown") == std::string::npos);
  }
  CHECK(weft::error_category().message(99) == "unknown error 99");
}

TEST_CASE("error: codes equal the standard's conditions where there are some",
          "[base][unit][CX-08][CX-15]") {
  const std::error_code late = weft::errc::deadline_exceeded;
  CHECK(late == std::errc::timed_out);
  CHECK(late != std::errc::operation_canceled);
  const std::error_code canceled = weft::errc::canceled;
  CHECK(canceled == std::errc::operation_canceled);
  CHECK(canceled != std::errc::timed_out);
  CHECK(canceled == weft::errc::canceled);
  CHECK(canceled != late);
  CHECK(std::error_code(weft::errc::closed) != std::errc::bad_file_descriptor);
  CHECK(static_cast<bool>(canceled));
  // The system's own codes for the same conditions are other codes.
  CHECK(std::error_code(ETIMEDOUT, std::system_category()) == std::errc::timed_out);
  CHECK(std::error_code(ETIMEDOUT, std::system_category()) != late);
}

TEST_CASE("error: errors of use are logic errors, the world's are system errors", "[base][unit]") {
  STATIC_REQUIRE(std::is_base_of_v<std::logic_error, weft::closed_channel>);
  STATIC_REQUIRE(std::is_base_of_v<std::logic_error, weft::nil_channel>);
  STATIC_REQUIRE(std::is_base_of_v<std::logic_error, weft::usage_error>);
  STATIC_REQUIRE(std::is_base_of_v<std::runtime_error, weft::deadlock_error>);
  STATIC_REQUIRE(std::is_base_of_v<std::system_error, weft::io_error>);
  STATIC_REQUIRE(std::is_nothrow_copy_constructible_v<weft::io_error>);
}

TEST_CASE("error: io_error tells how far it came", "[base][unit]") {
  const weft::io_error e(weft::errc::closed, std::string("write"), 12);
  CHECK(e.transferred() == 12);
  CHECK(e.code() == weft::errc::closed);
  CHECK(std::string(e.what()).starts_with("write"));
}

TEST_CASE("error: the throwing helpers throw what they are named for", "[base][unit]") {
  using namespace weft::detail;
  CHECK_THROWS_AS(throw_usage_error("x"), weft::usage_error);
  CHECK_THROWS_AS(throw_invalid_argument("x"), std::invalid_argument);
  CHECK_THROWS_AS(throw_closed_channel("x"), weft::closed_channel);
  CHECK_THROWS_AS(throw_nil_channel("x"), weft::nil_channel);
  CHECK_THROWS_AS(throw_deadlock("x"), weft::deadlock_error);
  try {
    throw_usage_error("sync: negative WaitGroup counter");
  } catch (const std::logic_error& e) {
    CHECK(std::string(e.what()) == "sync: negative WaitGroup counter");
  }
  try {
    throw_system_error(weft::errc::canceled);
  } catch (const std::system_error& e) {
    CHECK(e.code() == weft::errc::canceled);
    CHECK(std::string(e.what()) == "context canceled");
  }
  try {
    throw_system_error(make_error_code(weft::errc::closed), "accept");
  } catch (const std::system_error& e) {
    CHECK(std::string(e.what()).starts_with("accept: "));
  }
  try {
    throw_errno(ENOENT, "open");
  } catch (const std::system_error& e) {
    CHECK(e.code() == std::errc::no_such_file_or_directory);
  }
}
