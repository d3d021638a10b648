// Hello: two fibers, a channel between them, and main waiting for the end.
#include <cstdio>
#include <string>
#include <weft/weft.hpp>

int main() {
  return weft::run([] {
    const weft::chan<std::string> words = weft::make_chan<std::string>();

    weft::go([words] {
      for (const char* word : {"hello", "from", "a", "fiber"}) words.send(word);
      words.close();
    });

    for (const std::string& word : words) std::printf("%s\n", word.c_str());
    return 0;
  });
}

// Output:
// hello
// from
// a
// fiber
