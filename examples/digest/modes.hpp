// The two things that digest does: make a list of a tree, and check one.
#pragma once

#include <string>

namespace digest {

struct options {
  std::string root = "/usr/include";
  std::string list;   // not empty: check this one
  unsigned jobs = 0;  // 0: twice the processors
  bool follow = false;
};

// Both run in a fiber and return the exit status: 0, 1 when something failed, 128 + n when signal n
// ended it early.
int make_list(const options& o);
int check_list(const options& o);

}  // namespace digest
