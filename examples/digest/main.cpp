// digest: the SHA-256 of every file of a directory tree, as sha256sum prints it, on all cores.
#include <CLI/CLI.hpp>
#include <weft/weft.hpp>

#include "modes.hpp"

int main(int argc, char** argv) {
  digest::options o;
  CLI::App app(
      "Prints the SHA-256 of every regular file of a directory tree in the format of sha256sum, or "
      "checks such a list.");
  CLI::Option* root = app.add_option("DIRECTORY", o.root, "the tree (or one file)");
  root->capture_default_str();
  app.add_option("-c,--check", o.list, "check the files of this list instead; - is standard input")
      ->option_text("FILE")
      ->excludes(root);
  app.add_option("-j,--jobs", o.jobs, "how many fibers hash at once; else twice the processors")
      ->option_text("N")
      ->check(CLI::Range(1U, 1024U));
  app.add_flag("-L,--follow", o.follow, "follow symbolic links in the tree");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  return weft::run([&] { return o.list.empty() ? digest::make_list(o) : digest::check_list(o); });
}
