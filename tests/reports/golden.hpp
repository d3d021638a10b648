// Compares a report with the text that is kept for it, chance and the machine masked.
//
// WEFT_WRITE_GOLDEN=1 in the environment writes the files anew; look at what git shows then.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <vector>

#include "support/catch.hpp"

namespace test {

// Addresses, numbers of fibers in their order of appearance, lines, times and names of the compiler
// become words; frames of a stack, which depend on inlining, one line.
inline std::string masked(std::string text) {
  const auto replace = [&](const char* pattern, const char* word) {
    text = std::regex_replace(text, std::regex(pattern), word);
  };
  replace("(?:[^\\t\\n][^\\n]*\\n\\t[^\\n]*\\+0x[0-9a-f]+\\n)+", "STACK\n");
  replace("\\n\\t\\.\\.\\. [0-9]* ?more frames\\nSTACK", "\n\tsome frames left out\nSTACK");
  replace("0x[0-9a-f]+", "ADDRESS");
  replace("to run [^\\n]*", "to run TYPE");
  replace("created by [^\\n]*", "created by FUNCTION");
  replace("\\t[^\\n]*?([a-z_]+\\.cpp):[0-9]+", "\tFOLDER/$1:LINE");
  replace("[0-9]+ ms", "N ms");
  replace("in [^ ]*/([a-z_.]+) and version", "in FOLDER/$1 and version");
  replace("in [^ ]*/([a-z_.]+)\\. Link", "in FOLDER/$1. Link");
  replace("version [0-9.]+", "version V");
  std::string numbered;
  std::vector<std::string> seen;
  const std::regex fiber("fiber ([0-9]+)");
  std::string rest = text;
  std::smatch match;
  while (std::regex_search(rest, match, fiber)) {
    const std::string id = match[1];
    auto at = std::find(seen.begin(), seen.end(), id);
    if (at == seen.end()) at = seen.insert(seen.end(), id);
    numbered += match.prefix().str() + "fiber #" + std::to_string(at - seen.begin() + 1);
    rest = match.suffix();
  }
  return numbered + rest;
}

inline void check_golden(const std::string& name, const std::string& report) {
  const std::string path = std::string(WEFT_GOLDEN_FOLDER) + "/" + name + ".txt";
  const std::string text = masked(report);
  if (std::getenv("WEFT_WRITE_GOLDEN") != nullptr) {
    std::ofstream(path) << text;
    return;
  }
  std::ifstream file(path);
  const std::string kept{std::istreambuf_iterator<char>(file), {}};
  INFO("the report as it came:\n" << report);
  CHECK(text == kept);
}

}  // namespace test
